"""One execution of a run: the device, the engine's child processes, the heartbeat, and what comes out."""

import logging
import socket
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from training import launch
from training.models import Run
from training.services.runs import MAX_ATTEMPTS, run_send

log = logging.getLogger(__name__)
CANCELLED = "cancelled on request"
LOST = "another worker owns the run"


def run_execute(run_id: int) -> str:
    """Trains and evaluates a queued run in this process' children; gives back the state it left, "" if there was nothing to do.

    Can be called twice: whoever changes the row from queued to running owns it; the other returns at once.
    Raises NoFreeDevice or FolderBusy, with the run queued as before, when the machine has no place for it now: also one that cannot
    write where runs are kept, which the run says while it waits.
    """
    run = Run.objects.filter(pk=run_id, state=Run.State.QUEUED).first()
    if run is None:
        return ""
    try:
        return _execute(run)
    except OSError as error:
        told = f"{socket.gethostname()} cannot begin it: {error}. It stays queued and is tried again."
        Run.objects.filter(pk=run_id, state=Run.State.QUEUED).update(error=told)
        raise launch.FolderBusy(told) from error


def _execute(run: Run) -> str:
    with launch.device_claim(run.gpus, locks=settings.TRAIN_LOCKS_DIR, allowed=settings.TRAIN_GPUS) as device:
        folder = Path(run.folder) if run.folder else settings.RUNS_DIR / f"{run.pk:05d}-{run.recipe}"
        orphan = run.pid if run.host == socket.gethostname() else None
        with launch.folder_claim(folder, orphan_pid=orphan, grace_s=settings.TRAIN_GRACE_S) as lock:
            execution = Execution(run, folder, device, (*device.fds, lock))
            return execution.go() if execution.claim() else ""


def run_finish(run_id: int, *, lease: uuid.UUID) -> bool:
    """Reads result.json back and marks the run finished; False if the run was no longer this execution's.

    Raises ValueError if the engine left no readable result.
    """
    run = Run.objects.get(pk=run_id)
    result = launch.result_read(run.path)
    return _end(Run.objects.filter(pk=run_id, state=Run.State.RUNNING, lease=lease), Run.State.FINISHED, metrics=result, error="")


def _end(rows: QuerySet[Run], state: str, **values: object) -> bool:
    return bool(rows.update(state=state, lease=None, finished_at=timezone.now(), **values))


@dataclass
class Execution:
    """The time between taking a run from the queue and giving it back or ending it. Every write asks for the lease."""

    run: Run
    folder: Path
    device: launch.Device
    locks: tuple[int, ...]
    lease: uuid.UUID = field(default_factory=uuid.uuid4)
    pid: int | None = None
    offset: int = 0
    progress: dict[str, Any] = field(default_factory=dict)

    @property
    def mine(self) -> QuerySet[Run]:
        return Run.objects.filter(pk=self.run.pk, state=Run.State.RUNNING, lease=self.lease)

    def claim(self) -> bool:
        """Takes the row from queued to running; False if it is no longer queued."""
        now = timezone.now()
        return bool(
            Run.objects.filter(pk=self.run.pk, state=Run.State.QUEUED).update(
                state=Run.State.RUNNING,
                lease=self.lease,
                attempts=F("attempts") + 1,
                folder=str(self.folder),
                device=self.device.name,
                host=socket.gethostname(),
                heartbeat_at=now,
                started_at=Coalesce("started_at", now),
                error="",
            )
        )

    def go(self) -> str:
        """The state in which this execution left the run."""
        try:
            state = self.step(self.train_command()) or self.step(self.evaluate_command())
            if state:
                return state
            return Run.State.FINISHED if run_finish(self.run.pk, lease=self.lease) else ""
        except (OSError, ValueError) as error:  # a full disk, a missing interpreter, no result.json
            return self.end(Run.State.FAILED, str(error))
        except KeyboardInterrupt:  # of manage.py train --here: nobody else would ever end the run
            self.end(Run.State.CANCELLED, "stopped by Ctrl-C; retry goes on from the last checkpoint")
            raise

    def train_command(self) -> list[str]:
        run = self.run
        return launch.train_command(
            settings.TRAIN_ENGINE,
            recipe=run.recipe,
            release=run.release.folder,
            out=self.folder,
            seed=run.seed,
            overrides=run.overrides,
            resume=(self.folder / "checkpoints").is_dir(),
            num_gpus=len(self.device.gpus),
        )

    def evaluate_command(self) -> list[str]:
        return launch.evaluate_command(settings.TRAIN_ENGINE, release=self.run.release.folder, out=self.folder)

    def step(self, command: list[str]) -> str | None:
        """Runs one child to its end; None when it did its work, else the state in which the run was left."""
        child = launch.Child(
            command, log=self.folder / "log.txt", environment=self.device.environment, cwd=settings.BASE_DIR, locks=self.locks
        )
        self.pid = child.pid  # told with the first heartbeat: follow stops the child whatever goes wrong there
        status, reason = launch.follow(
            child,
            beat=self.beat,
            heartbeat_s=settings.TRAIN_HEARTBEAT_S,
            time_limit_s=settings.TRAIN_TIME_LIMIT_S,
            grace_s=settings.TRAIN_GRACE_S,
        )
        if reason == LOST:
            return ""
        asked = self.beat()  # the last metrics, and whether somebody cancelled while the child was ending
        if reason == CANCELLED or (status and asked == CANCELLED):
            return self.end(Run.State.CANCELLED, CANCELLED)
        if reason:
            return self.end(Run.State.FAILED, f"{reason}; retry goes on from the last checkpoint")
        if status and launch.was_stopped(status, self.folder / "log.txt"):
            return self.give_back()
        if status:
            return self.end(Run.State.FAILED, launch.last_words(self.folder / "log.txt") or f"the engine ended with status {status}")
        return None

    def beat(self) -> str | None:
        """Writes the heartbeat and the newest metrics; gives back why the child must stop, if it must.

        A database that is away for a moment does not stop hours of training: the next beat tries again.
        """
        try:
            rows, self.offset = launch.metrics_read(self.folder / "metrics.jsonl", self.offset)
            for row in rows:
                self.progress |= {name: value for name, value in row.items() if name != "heartbeat"}
            if not self.mine.update(heartbeat_at=timezone.now(), progress=self.progress, pid=self.pid):
                return LOST
            return CANCELLED if self.mine.filter(cancel_requested_at__isnull=False).exists() else None
        except (OperationalError, InterfaceError) as error:
            log.warning("run %s: no heartbeat, %s", self.run.pk, error)
            connection.close()
            return None

    def give_back(self) -> str:
        """The child was told to stop by someone else (the machine goes down): queue it again, once, as after a dead worker."""
        if self.run.attempts + 1 >= MAX_ATTEMPTS:
            return self.end(Run.State.FAILED, "stopped from outside twice; retry goes on from the last checkpoint")
        if not self.mine.update(state=Run.State.QUEUED, lease=None):
            return ""
        run_send(self.run)
        return Run.State.QUEUED

    def end(self, state: str, error: str) -> str:
        return state if _end(self.mine, state, error=error[-2_000:]) else ""
