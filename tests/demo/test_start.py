"""What somebody can mend is told in a line, before anything is begun: a port, a folder, a setting, a database, a full disk."""

import errno
import socket
import subprocess
import sys

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError

from config.settings import BASE_DIR
from demo import ground, processes, serve


@pytest.fixture
def taken_port():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize(
    ("command", "variables", "words"),
    [
        ("demo", {"EMOTIONS_VAR": "/proc/nowhere"}, "/proc/nowhere cannot be written (No such file or directory): set EMOTIONS_VAR"),
        ("demo.serve", {"EMOTIONS_VAR": "/proc/nowhere"}, "/proc/nowhere cannot be written (No such file or directory): set EMOTIONS_VAR"),
        ("demo", {"DEBUG": "maybe"}, "A setting is wrong: DEBUG='maybe' is neither true nor false"),
        ("demo", {"DATABASE_URL": "nonsense"}, "A setting is wrong: DATABASE_URL is no address of a database"),
        ("demo.serve", {"DEBUG": "maybe"}, "A setting is wrong: DEBUG='maybe' is neither true nor false"),
        ("demo.serve", {"DATABASE_URL": "nonsense"}, "A setting is wrong: DATABASE_URL is no address of a database"),
        (
            "demo.serve",
            {"DATABASE_URL": "postgres://u:secret@127.0.0.1:1/x"},
            "The database cannot be used (DATABASE_URL): connection to server",
        ),
    ],
)
def test_what_is_set_wrong_is_told_in_a_line(tmp_path, monkeypatch, command, variables, words):
    said = started(command, {"EMOTIONS_VAR": str(tmp_path), **variables}, monkeypatch)
    assert words in said
    assert len(said.splitlines()) == 1
    assert "secret" not in said
    assert not list(tmp_path.rglob("*.mp4")), "clips were made before the settings were read"


def test_clips_that_are_none_are_told_in_a_line(tmp_path, monkeypatch):
    (tmp_path / "clips" / "Fear").mkdir(parents=True)
    (tmp_path / "clips" / "Fear" / "1.mp4").write_bytes(b"hello\n")
    said = started("demo", {"EMOTIONS_VAR": str(tmp_path / "var")}, monkeypatch, "--no-serve", "--clips", str(tmp_path / "clips"))
    assert " ".join(said.split()).endswith("holds no video that can be read (Fear/1.mp4 …)")
    assert "Traceback" not in said


@pytest.mark.parametrize("command", ["demo", "demo.serve"])
def test_a_taken_port_is_told_before_anything_is_begun(tmp_path, monkeypatch, command, taken_port):
    said = started(command, {"EMOTIONS_VAR": str(tmp_path / "var")}, monkeypatch, "--port", str(taken_port))
    assert (
        said.strip() == f"Port {taken_port} cannot be served on (Address already in use): end what uses it, or choose another with --port"
    )
    assert not (tmp_path / "var").exists()


def started(command, variables, monkeypatch, *arguments) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, "-m", command, *arguments], cwd=BASE_DIR, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("text", ["0", "65536", "-1", "web"])
def test_what_is_no_port_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        serve.main(["--port", text])
    assert f"{text} is not a port" in capsys.readouterr().err


def test_two_at_once_in_one_folder_are_refused(tmp_path):
    with processes.only_one(tmp_path), pytest.raises(SystemExit, match="in use by another"), processes.only_one(tmp_path):
        pass


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        processes.DatabaseError("database or disk is full"),
        RuntimeError("no 'ready' in worker.log; it ends:\nTraceback\nOSError: [Errno 28] No space left on device\nbye"),
    ],
)
def test_a_full_disk_is_told_in_a_line(error):
    with pytest.raises(SystemExit, match=r"The disk is full .* make room and run it again"), processes.room_on_disk():
        raise error


def test_a_database_on_a_full_disk_is_not_blamed_on_its_address(monkeypatch):
    def full(*args, **kwargs):
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(ground, "call_command", full)
    with pytest.raises(SystemExit, match="The disk is full"), processes.room_on_disk():
        ground.make_ready()


def test_another_error_stays_what_it_is():
    with pytest.raises(OSError, match="a bug"), processes.room_on_disk():
        raise OSError(errno.EBADF, "a bug")


def test_a_site_without_people_says_how_to_get_some(db, capsys):
    serve.tell_if_empty()
    assert "Nobody can sign in yet: ./run demo" in capsys.readouterr().out
    User.objects.create(username="alice")
    serve.tell_if_empty()
    assert capsys.readouterr().out == ""
