"""The processes that the demo starts: none outlives it, however it ends."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

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
    var.mkdir(parents=True, exist_ok=True)
    with (var / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"{var} is in use by another ./run demo or ./run serve: end it first, or set EMOTIONS_VAR") from None
        yield


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
