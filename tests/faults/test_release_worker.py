"""A worker that is killed in the middle of writing a release: the next one makes it, once, and nothing else is left."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from config.settings import BASE_DIR
from tests.faults.machine import kill, wait_until

pytestmark = pytest.mark.slow

SLOW_BYTES = 32 << 30  # a hole on the disk, and many seconds of sha256

VIDEOS = """
import os
from annotation.models import Group, Sample
from crawler.models import Video
from django.utils import timezone
from qa import services, tasks
group = Group.objects.create(letter="A")
for number, label in enumerate(("Fear", "Neutral", "Tension", "Neutral", "Sadness"), start=1):
    (settings.MEDIA_ROOT / f"{number}.mp4").write_bytes(b"clip %d" % number)
    video = Video.objects.create(platform="tiktok", platform_id=str(number), url="https://x", state="accepted", number=number, file=f"{number}.mp4")
    Sample.objects.create(video=video, group=group, state="decided", label=label, decided_rung="member", decided_at=timezone.now())
os.truncate(settings.MEDIA_ROOT / "5.mp4", slow)
"""
ASK = """
(job,) = services.releases_ask(["all"], seed=1, formats=["csv"])
tasks.make_release.delay(job.pk)
"""
SWEEP_LATER = """
from datetime import timedelta
from django.utils import timezone
from qa import tasks
from qa.models import ReleaseJob
ReleaseJob.objects.update(alive_at=timezone.now() - timedelta(hours=1))
tasks.resume_lost_jobs.delay()
"""
LOOK = """
from config.models import FailedTask
from qa import services
from qa.models import Release, ReleaseItem, ReleaseJob
job = ReleaseJob.objects.get()
answer = {
    "state": job.state,
    "releases": [release.path for release in Release.objects.all()],
    "items": ReleaseItem.objects.count(),
    "problems": [problem for release in Release.objects.all() for problem in services.release_verify(release.folder)],
    "failed": FailedTask.objects.count(),
}
"""


def test_a_release_whose_worker_was_killed_is_made_once_by_the_next(make_machine):
    machine = make_machine()
    (machine.folder / "media").mkdir(exist_ok=True)
    folder = machine.folder / "releases" / "site" / "1"

    def rows() -> tuple[str, int, int]:
        """State of the job, releases and their rows, read without a process of its own."""
        with closing(sqlite3.connect(machine.folder / "emotions.sqlite3")) as database:
            asked = "SELECT state, (SELECT COUNT(*) FROM qa_release), (SELECT COUNT(*) FROM qa_releaseitem) FROM qa_releasejob"
            return database.execute(asked).fetchone()

    worker = machine.worker("default")
    machine.python(VIDEOS + ASK, slow=SLOW_BYTES)
    wait_until(lambda: len(list(folder.glob(".all.*/t*/*.mp4"))) == 5, "the worker to be at the long clip")
    kill(worker)
    assert rows() == ("running", 0, 0)
    assert list(folder.glob(".all.*")), "the worker was killed while it wrote"
    os.truncate(machine.folder / "media" / "5.mp4", 100)

    machine.python(SWEEP_LATER)
    machine.worker("default")
    wait_until(lambda: rows()[0] != "running", "the next worker to make it")
    assert machine.python(LOOK) == {"state": "done", "releases": [str(folder / "all")], "items": 5, "problems": [], "failed": 0}
    assert [path.name for path in folder.iterdir()] == ["all"]


def test_what_a_killed_export_left_goes_with_the_next(make_machine, tmp_path):
    machine, folder = make_machine(), tmp_path / "out"
    (machine.folder / "media").mkdir(exist_ok=True)
    machine.python(VIDEOS, slow=SLOW_BYTES)
    command = [sys.executable, str(BASE_DIR / "manage.py"), "export_variants", "--out", str(folder), "--variants", "all"]
    export = subprocess.Popen(command, env=machine.environment, cwd=BASE_DIR, start_new_session=True)
    machine.processes.append(export)
    wait_until(lambda: len(list(folder.glob(".all.*/t*/*.mp4"))) == 5, "the export to be at the long clip")
    kill(export)
    assert list(folder.glob(".all.*")), "the export was killed while it wrote"

    os.truncate(machine.folder / "media" / "5.mp4", 100)
    again = machine.manage("export_variants", "--out", str(folder), "--variants", "all")
    assert again.returncode == 0, again.stderr
    assert [path.name for path in folder.iterdir()] == ["all"]
    assert machine.manage("verify_release", str(folder / "all")).returncode == 0
