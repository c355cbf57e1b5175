"""What is kept for a number of days and then goes: RETAIN_*_DAYS, each on its own, none set by default.

Labels, votes, decisions, releases and every clip with a number stay, whatever the settings say. Each piece is removed in a transaction
of its own and is found by what it still holds, so the sweep may stop anywhere, run twice, and go on the next night.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.timezone import localtime

from annotation.models import Assignment
from config import append_only, audit
from config.models import Event, FailedTask
from crawler.models import Video
from crawler.storage import clips
from training.models import Run

BATCH = 500
OVER = ("submitted", "skipped", "withdrawn")


@dataclass(frozen=True)
class Kind:
    """One kind of thing: `due` gives the ids of what is older, `remove` takes one batch of them away."""

    name: str
    setting: str
    about: str
    due: Callable[[datetime], list[int]]
    remove: Callable[[list[int]], None]

    @property
    def days(self) -> int:
        return int(getattr(settings, self.setting))

    def before(self, now: datetime) -> datetime:
        return now - timedelta(days=self.days)


@dataclass(frozen=True)
class Swept:
    kind: Kind
    removed: int
    left: int


def planned(*, now: datetime) -> Iterator[tuple[Kind, int | None]]:
    """Each kind with how many of it would go; None where nothing of it ever goes."""
    for kind in KINDS:
        yield kind, len(kind.due(kind.before(now))) if kind.days else None


def sweep(*, now: datetime, most_s: float) -> list[Swept]:
    """Removes what is due, for `most_s` seconds at most; the rest waits for the next time. Raises crawler.storage.Away when clips cannot be reached."""
    until = time.monotonic() + most_s
    SessionStore.clear_expired()
    return [_swept(kind, kind.due(kind.before(now)), until) for kind in KINDS if kind.days]


def _swept(kind: Kind, due: list[int], until: float) -> Swept:
    removed = 0
    while removed < len(due) and time.monotonic() < until:
        batch = due[removed : removed + BATCH]
        kind.remove(batch)
        removed += len(batch)
    return Swept(kind, removed, len(due) - removed)


# --- page records ------------------------------------------------------------------------------------------------
def _old_records(before: datetime) -> list[int]:
    over = Video.objects.filter(state__in=("accepted", "dropped", "failed"), discovered_at__lt=before)
    return _ids(over.exclude(raw={}))


def _forget_records(ids: list[int]) -> None:
    Video.objects.filter(pk__in=ids).update(raw={})


# --- clips that were turned down ---------------------------------------------------------------------------------
def _turned_down(before: datetime) -> list[int]:
    """Dropped videos with a file that no label, release or other row needs: one file may be that of several posts."""
    old = Video.objects.filter(state="dropped", touched_at__lt=before, sample=None, gold=None, release_items=None).exclude(file="")
    wanted = Video.objects.filter(file=OuterRef("file")).exclude(pk__in=old.values("pk"))
    return _ids(old.filter(~Exists(wanted)))


def _remove_clips(ids: list[int]) -> None:
    """The file first: a sweep that dies in between finds the row again, and removing twice is harmless."""
    for pk, name in Video.objects.filter(pk__in=ids).exclude(file="").values_list("pk", "file"):
        with transaction.atomic():
            # Lock the file's posts: somebody may be undoing the decision just now.
            states = Video.objects.select_for_update().filter(file=name).values_list("state", flat=True)
            if set(states) == {"dropped"}:
                clips().discard(name)
                Video.objects.filter(pk=pk).update(file="")


# --- drafts of turns that are over, logs of runs, settled tasks ---------------------------------------------------
def _old_drafts(before: datetime) -> list[int]:
    return _ids(Assignment.objects.filter(state__in=OVER, draft_saved_at__lt=before).exclude(draft={}))


def _forget_drafts(ids: list[int]) -> None:
    Assignment.objects.filter(pk__in=ids, state__in=OVER).update(draft={})


def _old_logs(before: datetime) -> list[int]:
    over = Run.objects.exclude(Q(state__in=Run.LIVE) | Q(folder="")).filter(finished_at__lt=before).order_by("pk")
    return [run.pk for run in over.only("folder") if _log_of(run).exists()]


def _remove_logs(ids: list[int]) -> None:
    for run in Run.objects.filter(pk__in=ids).exclude(state__in=Run.LIVE):
        _log_of(run).unlink(missing_ok=True)


def _log_of(run: Run) -> Path:
    return Path(run.folder) / "log.txt"


def _old_tasks(before: datetime) -> list[int]:
    return _ids(FailedTask.objects.filter(failed_at__lt=before).exclude(state=FailedTask.State.WAITING))


def _remove_tasks(ids: list[int]) -> None:
    FailedTask.objects.filter(pk__in=ids).exclude(state=FailedTask.State.WAITING).delete()


# --- the audit log -----------------------------------------------------------------------------------------------
def _old_lines(before: datetime) -> list[int]:
    return _ids(Event.objects.filter(at__lt=before))


def _remove_lines(ids: list[int]) -> None:
    """The one place that shortens the log, and it says so in the log."""
    with transaction.atomic(), append_only.unlocked():
        lines = Event.objects.filter(pk__in=ids)
        if last := lines.order_by("-at").first():
            lines._raw_delete(lines.db)
            audit.record(Event.Kind.DELETED, f"lines up to {localtime(last.at):%Y-%m-%d}", what="config.Event", after={"lines": len(ids)})


def _ids(rows: object) -> list[int]:
    return list(rows.order_by("pk").values_list("pk", flat=True))  # type: ignore[attr-defined]  # a query of any model


KINDS = (
    Kind("records", "RETAIN_RECORDS_DAYS", "page records of posts that are accepted, dropped or failed", _old_records, _forget_records),
    Kind("rejected", "RETAIN_REJECTED_DAYS", "clips that were turned down, their verdicts stay", _turned_down, _remove_clips),
    Kind("drafts", "RETAIN_DRAFTS_DAYS", "drafts of turns that are over", _old_drafts, _forget_drafts),
    Kind("logs", "RETAIN_LOGS_DAYS", "logs of training runs that have ended", _old_logs, _remove_logs),
    Kind("tasks", "RETAIN_TASKS_DAYS", "failed tasks that were sent again or put aside", _old_tasks, _remove_tasks),
    Kind("audit", "RETAIN_AUDIT_DAYS", "lines of the audit log", _old_lines, _remove_lines),
)
