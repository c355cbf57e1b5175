"""The site and its worker as processes on this machine, on the embedded default."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.processes import running, wait_for_line

WORKER = ["-m", "celery", "-A", "config", "worker", "--queues", "default,crawl,gpu", "--concurrency", "2", "--loglevel", "INFO"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def site(logs: Path, *, port: int | None = None) -> Iterator[str]:
    """The site under gunicorn on loopback; gives its address. Raises RuntimeError with the log's end if it does not start."""
    port = port or free_port()
    log = logs / "site.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    command = ["-m", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "8", "--timeout", "60"]
    with running(command, log=log) as child:
        wait_for_line(log, "Listening at", child)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def worker(logs: Path, *, beat: bool) -> Iterator[None]:
    """A Celery worker for every queue; with beat, the schedule runs too."""
    log = logs / "worker.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    with running([*WORKER, *(["--beat"] if beat else [])], log=log) as child:
        wait_for_line(log, "ready.", child)
        yield
