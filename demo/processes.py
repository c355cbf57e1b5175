"""The processes that the demo starts: none outlives it, however it ends."""

from __future__ import annotations

import argparse
import ctypes
import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from django.db import DatabaseError

from demo import ROOT

# The kernel ends the child when the demo dies, even by SIGKILL; at once, since a worker that may finish its task
# would go on crawling a replica that is gone, and write down that nothing can be reached.
DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"]
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """The same for a process of a pool, called in it: it would wait for work for ever."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def only_one(var: Path) -> Iterator[None]:
    """Holds the folder's lock: two demos or sites on one folder would drive each other's workers. Raises SystemExit."""
    try:
        var.mkdir(parents=True, exist_ok=True)
        lock = (var / "lock").open("a")
    except OSError as error:
        raise SystemExit(f"{var} cannot be written ({error.strerror}): set EMOTIONS_VAR to a folder of yours") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"{var} is in use by another ./run demo or ./run serve: end it first, or set EMOTIONS_VAR") from None
        yield


def port_number(text: str) -> int:
    """For argparse: a port that the site can be served on."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: choose one of 1..65535")
    return int(text)


def port_check(port: int) -> None:
    """Raises SystemExit where the port is taken: better now than after the journey."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gunicorn: a port just left is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SystemExit(
                f"Port {port} cannot be served on ({error.strerror}): end what uses it, or choose another with --port"
            ) from None


DISK_FULL = (os.strerror(errno.ENOSPC), "disk is full")  # the system's words, and SQLite's


@contextmanager
def room_on_disk() -> Iterator[None]:
    """Ends in one line when the disk is full, for this process or, by its log, for a child. Raises SystemExit."""
    try:
        yield
    except (OSError, DatabaseError, RuntimeError) as error:
        told = next((line.strip() for line in str(error).splitlines() if any(words in line for words in DISK_FULL)), None)
        if told is None:
            raise
        raise SystemExit(f"The disk is full ({told}): make room and run it again, it goes on where it was") from None


@contextmanager
def running(
    command: Sequence[str], *, log: Path, env: dict[str, str] | None = None, grace_s: float = 10
) -> Iterator[subprocess.Popen[bytes]]:
    """A child process with its output in a log file, ended with its whole process group on the way out."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            [*DIE_WITH_PARENT, sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield child
    finally:
        end(child, grace_s)


def end(child: subprocess.Popen[bytes], grace_s: float) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(grace_s)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(child.pid, signal.SIGKILL)  # what it left behind, such as a browser
    except ProcessLookupError:
        pass
    child.wait()


def wait_for_line(log: Path, text: str, child: subprocess.Popen[bytes], *, timeout_s: float = 60) -> str:
    """The first line of the log that holds the text. Raises RuntimeError with the log's end if the process dies or stays silent."""
    start = time.monotonic()
    while time.monotonic() - start < timeout_s:
        for line in log.read_text(errors="replace").splitlines():
            if text in line:
                return line
        if child.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"no {text!r} in {log}; it ends:\n{tail(log)}")


def tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
