"""A full disk: what was there stays there, and no half-written file is left."""

import resource

import pytest

pytestmark = pytest.mark.slow
SMALL = 100_000  # bytes; the database alone is larger


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, SMALL))


def test_a_backup_that_does_not_fit_leaves_the_earlier_one(make_machine, tmp_path):
    machine = make_machine()
    file = tmp_path / "backups" / "site.backup"
    assert machine.manage("backup", str(file)).returncode == 0
    before = file.read_bytes()
    failed = machine.manage("backup", str(file), "--yes", preexec_fn=limit)
    assert failed.returncode != 0
    assert "no backup was made" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]
    assert machine.manage("backup", str(file), "--verify").returncode == 0


FILL = """
import hashlib
from datetime import datetime, timezone
from annotation.models import Group, Sample
from crawler.models import Video
now = datetime.now(timezone.utc)
group, _ = Group.objects.get_or_create(letter="A")
for number in range(1, 4):
    data = bytes([number]) * size
    sha256 = hashlib.sha256(data).hexdigest()
    path = settings.MEDIA_ROOT / f"{number}.mp4"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    video = Video.objects.create(
        platform="tiktok", platform_id=str(number), number=number, state="accepted", accepted_at=now, file=path.name, sha256=sha256,
        size_bytes=size, duration_s=5.0, frames=150, width=720, height=1280, fps=30.0,
    )
    Sample.objects.create(video=video, group=group, state="decided", label="Fear", decided_rung="member", decided_at=now)
"""
LOOK = """
from qa.models import Release
answer = [release.name for release in Release.objects.all()]
"""
CLIP = 24_000_000  # bytes; more than the database will ever need here
ROOM = 16_000_000


def little_room() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, ROOM))


def test_a_release_that_does_not_fit_leaves_nothing_and_works_when_there_is_room(make_machine, tmp_path):
    machine = make_machine()
    machine.python(FILL, size=CLIP)
    out = tmp_path / "releases"
    command = ("export_variants", "--out", str(out), "--variants", "all", "--media", "copy", "--allow-short")
    failed = machine.manage(*command, preexec_fn=little_room)
    assert failed.returncode != 0
    assert "no release was written" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert list(out.iterdir()) == [], "no half-written folder"
    assert machine.python(LOOK) == [], "and no row that promises one"
    done = machine.manage(*command)
    assert done.returncode == 0, done.stderr
    assert machine.manage("verify_release", str(out / "all")).returncode == 0
    assert len(machine.python(LOOK)) == 1
