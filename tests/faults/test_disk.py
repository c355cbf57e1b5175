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
