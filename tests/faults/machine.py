"""A whole site of its own in a folder: database, queue, workers as real processes that a test may kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config.settings import BASE_DIR

PRELUDE = "import json, django; django.setup(); from django.conf import settings\n"


class Machine:
    """manage.py, Python snippets and Celery workers on one EMOTIONS_VAR. Everything started dies with close()."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV") if name in os.environ}
        self.environment = {
            **keep,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "EMOTIONS_VAR": str(folder),
            "PYTHONPATH": str(BASE_DIR),
            **environment,
        }

    def python(self, code: str, **values: Any) -> Any:
        """What the snippet leaves in `answer`, run in a process of its own with Django set up."""
        script = f"{PRELUDE}globals().update(json.loads({json.dumps(json.dumps(values))}))\nanswer = None\n{code}\nprint('\\n' + json.dumps(answer))"
        done = subprocess.run(
            [sys.executable, "-c", script], env=self.environment, cwd=BASE_DIR, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.strip().splitlines()[-1])

    def manage(self, *arguments: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(BASE_DIR / "manage.py"), *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=BASE_DIR, capture_output=True, text=True, timeout=300, check=False, **kwargs
        )

    def worker(self, queues: str = "default,crawl,gpu", *options: str) -> subprocess.Popen[bytes]:
        """A Celery worker in its own process group, ready for work."""
        log = self.folder / f"worker-{len(self.processes)}.log"
        command = [sys.executable, "-m", "celery", "-A", "config", "worker", "--queues", queues, "--concurrency", "1", "--loglevel", "INFO"]
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*command, "--without-gossip", "--without-mingle", *options],
                env=self.environment, cwd=BASE_DIR, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        wait_until(lambda: b" ready." in log.read_bytes() or process.poll() is not None, f"a worker ({log})", timeout_s=180)
        assert process.poll() is None, log.read_text()[-3000:]
        return process

    def close(self) -> None:
        for process in self.processes:
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the process and all that shares its group; harmless when it is gone."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait(60)


def wait_until(done: Callable[[], Any], what: str, *, timeout_s: float = 120) -> Any:
    """The first true answer. Raises AssertionError after timeout_s."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer := done():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"waited {timeout_s:g} s for {what}")


def copy_of(template: Path, folder: Path) -> Path:
    shutil.copytree(template, folder)
    return folder
