"""The demo as a person runs it: its own processes, its own folder; shortened, killed, and run again."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CLIPS = 24
pytestmark = [pytest.mark.slow, pytest.mark.browser]

# A table and what makes its rows the same thing: nothing may stand there twice.
IDENTITIES = {
    "crawler_video": "platform, platform_id",
    "annotation_person": "user_id",
    "annotation_sample": "video_id",
    "annotation_assignment": "sample_id, person_id, round",
    "annotation_vote": "sample_id, person_id, round",
    "qa_release": "variant",
    "training_run": "release_id, recipe, seed",
}


def demo(var: Path, *arguments: str) -> subprocess.Popen[bytes]:
    # The journey's children read the real settings, whatever this test process was started with.
    env = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "DJANGO_SETTINGS_MODULE", "CELERY_BROKER_URL"}}
    env["EMOTIONS_VAR"] = str(var)
    command = [sys.executable, "-m", "demo", "--no-serve", *arguments]
    with output_of(var).open("w") as output:  # no pipe: it would end only with the last of the demo's children
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)


def output_of(var: Path) -> Path:
    return var.with_name("output.txt")


def finish(process: subprocess.Popen[bytes], var: Path, timeout_s: float = 600) -> str:
    status = process.wait(timeout_s)
    output = output_of(var).read_text()
    assert status == 0, output[-6000:]
    return output


def rows(var: Path) -> dict[str, tuple[int, int]]:
    """Per table: rows, and different things among them."""
    with sqlite3.connect(var / "emotions.sqlite3") as database:
        return {
            table: database.execute(f"SELECT count(*), (SELECT count(*) FROM (SELECT DISTINCT {key} FROM {table})) FROM {table}").fetchone()  # noqa: S608 - names of the project's own tables
            for table, key in IDENTITIES.items()
        }


@pytest.fixture
def var(tmp_path: Path):
    yield tmp_path / "var"
    shutil.rmtree(tmp_path / "var", ignore_errors=True)


def test_the_journey_killed_on_its_way_ends_the_same(var):
    """Killed twice without warning, then run to its end, then run once more: every stage full, nothing there twice, nothing added."""
    for seconds in (12, 35):
        process = demo(var, "--count", str(CLIPS))
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    output = finish(demo(var, "--count", str(CLIPS)), var)
    for column in ("ACC", "WA-F1", "UAR", "Fleiss", "S_a", "S_r"):
        assert column in output
    once = rows(var)
    assert all(count == different > 0 for count, different in once.values()), once
    again = finish(demo(var, "--count", str(CLIPS)), var)
    assert rows(var) == once
    assert "came out empty" not in again


def test_the_journey_on_real_clips(var, tmp_path, sample_data):
    """Thirty real clips with sound, labelled by their folders."""
    clips = tmp_path / "clips"
    for folder in sorted((sample_data / "music_video" / "Train").iterdir()):
        (clips / folder.name).mkdir(parents=True)
        for clip in sorted(folder.iterdir())[:5]:
            shutil.copy(clip, clips / folder.name)
    output = finish(demo(var, "--clips", str(clips)), var)
    assert "UAR" in output
    assert rows(var)["annotation_sample"][0] >= 20
