"""A crawl whose process is killed again and again, and whose replica restarts meanwhile, ends as one that was left in peace."""

import json
import os
import sqlite3
import subprocess
import sys

import pytest

from config.settings import BASE_DIR
from demo.clips import make_clips

pytestmark = [pytest.mark.slow, pytest.mark.browser]
CLIPS = 18


def test_every_healthy_post_is_kept_exactly_once_however_often_the_crawl_dies(tmp_path):
    make_clips(tmp_path / "clips", count=CLIPS, seed=4)
    command = [sys.executable, "-m", "benchmarks.crawling", "--clips", str(tmp_path / "clips"), "--seed", "4"]
    options = ["--stages", "1", "--terms", "20", "--kills", "3", "--restarts", "1", "--timeout-s", "500"]
    environment = {**os.environ, "EMOTIONS_VAR": str(tmp_path / "var"), "LOG_LEVEL": "WARNING", "DATABASE_URL": ""}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run([*command, *options], cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=560, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["hurt_in_time"] == 4, "every blow fell while there was work"
    assert found["recall"] >= 0.99, found
    assert found["kept"] >= CLIPS // 3, found
    assert (found["healthy_not_kept_exactly_once"], found["faults_misnamed"]) == (0, 0), found
    assert (found["private_or_disallowed_kept"], found["posts_that_do_not_exist"]) == (0, 0), found
    assert (found["files_missing"], found["parts_left"], found["numbers_without_gaps"]) == (0, 0, True), found


def test_a_measurement_does_not_begin_on_a_site_s_own_rows(tmp_path):
    site = sqlite3.connect(tmp_path / "emotions.sqlite3")
    site.execute("create table crawler_video (id integer)")
    site.close()
    for module, more in (("crawling", ["--clips", str(tmp_path)]), ("steering", ["same"])):
        environment = {**os.environ, "EMOTIONS_VAR": str(tmp_path), "DATABASE_URL": ""}
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        command = [sys.executable, "-m", f"benchmarks.{module}", *more]
        done = subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert (done.returncode, "is in use" in done.stderr) == (1, True), done.stderr[-2000:]
