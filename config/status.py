"""How the site is doing: what waits, what is stuck, what failed, how much room is left. For the status page and the monitoring."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Min, Sum
from django.utils import timezone
from django.utils.translation import get_language, pgettext
from django.utils.translation import gettext as _
from django_celery_beat.models import PeriodicTask
from kombu.exceptions import OperationalError as BrokerError

from annotation.models import Assignment, Sample, Vote
from config.celery import app
from config.models import Backup, FailedTask
from config.places import place_of
from crawler.models import Stage, Tombstone, Video
from crawler.selectors import remembered, review_oldest, rule_matches
from crawler.services import Away, clips
from qa.models import Release
from training.models import Run

QUEUES = ("default", "crawl", "gpu")
UNFINISHED_VIDEO = ("discovered", "meta", "media", "verified", "deduplicated", "screened")
STUCK_AFTER = timedelta(hours=1)
BACKUP_AFTER = timedelta(days=2)
BEAT_SILENT_AFTER = timedelta(minutes=5)
LEAST_FREE_SHARE = 0.1


@dataclass
class Status:
    """Plain numbers of one moment; `alarms` says in words what needs a person."""

    now: datetime
    queues: dict[str, int | None]
    oldest_s: dict[str, float]
    stuck: dict[str, int]
    videos: dict[str, int]
    failures: list[dict[str, Any]]
    samples: dict[str, int]
    runs: dict[str, int]
    gpus: dict[str, int]
    failed_tasks: int
    votes: int
    votes_last_minute: int
    leases_expired: int
    disk_free: int
    disk_total: int
    beat_at: datetime | None
    beat_started_at: datetime | None
    backup: Backup | None
    release: Release | None
    clips_away: str
    alarms: list[str] = field(default_factory=list)

    @property
    def beat_is_silent(self) -> bool:
        """Also where its last sign lies ahead: a clock was put back, and beat sends nothing until that moment comes again."""
        return self.beat_at is None or abs(self.now - self.beat_at) > BEAT_SILENT_AFTER

    @property
    def beat_is_starting(self) -> bool:
        """It began a moment ago and has not sent anything yet, which it does every minute."""
        return self.beat_is_silent and self.beat_started_at is not None and self.now - self.beat_started_at <= BEAT_SILENT_AFTER


def status(now: datetime | None = None) -> Status:
    """How things are now; in a very large collection how they were at most a minute ago."""
    return _status(now) if now else remembered(f"status.{get_language()}", lambda: _status(timezone.now()))


def status_scraped() -> Status:
    """For the monitoring: as status(), but what only ever grows is counted now.

    Each process of the site remembers figures of its own moment. A counter read from one and then from another would go down,
    which Prometheus takes for a new beginning.
    """
    return replace(status(), votes=Vote.objects.count(), leases_expired=_leases_expired())


def _leases_expired() -> int:
    return Assignment.objects.filter(expiries__gt=0).aggregate(total=Sum("expiries"))["total"] or 0


def _status(now: datetime) -> Status:
    disk = shutil.disk_usage(settings.VAR_DIR)
    found = Status(
        now=now,
        queues=queue_lengths(),
        oldest_s=_oldest(now),
        stuck=_stuck(now),
        videos=_counted(Video, "state"),
        failures=_failures(),
        samples=_counted(Sample, "state"),
        runs=_counted(Run, "state"),
        gpus=_gpus(),
        failed_tasks=FailedTask.objects.filter(state="waiting").count(),
        votes=Vote.objects.count(),
        votes_last_minute=Vote.objects.filter(created_at__gte=now - timedelta(minutes=1)).count(),
        leases_expired=_leases_expired(),
        disk_free=disk.free,
        disk_total=disk.total,
        beat_at=PeriodicTask.objects.order_by("-last_run_at")
        .filter(last_run_at__isnull=False)
        .values_list("last_run_at", flat=True)
        .first(),
        beat_started_at=_beat_started(),
        backup=Backup.objects.order_by("-created_at").first(),
        release=Release.objects.order_by("-created_at").first(),
        clips_away=clips().problem(),
    )
    found.alarms = list(_alarms(found))
    return found


def _beat_started() -> datetime | None:
    """When beat last began: it saves every entry of the schedule then, and later only those that it has sent."""
    entries = PeriodicTask.objects.filter(name__in=settings.CELERY_BEAT_SCHEDULE)
    return entries.aggregate(at=Min("date_changed"))["at"]


def _counted(model: Any, name: str) -> dict[str, int]:
    return dict(model.objects.order_by(name).values_list(name).annotate(Count("pk")))


def _gpus() -> dict[str, int]:
    """GPUs that training runs hold now, by machine; 0 for one that trains on its processor."""
    held: dict[str, int] = {}
    for host, device in Run.objects.filter(state=Run.State.RUNNING).values_list("host", "device"):
        number, is_gpus, _ = device.partition(" × ")
        held[host] = held.get(host, 0) + (int(number) if is_gpus else 0)
    return held


def _failures() -> list[dict[str, Any]]:
    """Failed videos by platform and cause (the word before the colon), the most frequent first."""
    counts: dict[tuple[str, str], int] = {}
    for platform, reason, number in Video.objects.filter(state="failed").values_list("platform", "reason").annotate(Count("pk")):
        key = (platform, reason.partition(":")[0].strip() or "unknown")
        counts[key] = counts.get(key, 0) + number
    rows: list[dict[str, Any]] = [{"platform": platform, "cause": cause, "count": number} for (platform, cause), number in counts.items()]
    return sorted(rows, key=lambda row: -row["count"])


def _oldest(now: datetime) -> dict[str, float]:
    """How long the oldest piece of work of each kind has waited, in seconds; 0 when none waits."""
    moments = {
        "video": Video.objects.filter(state__in=UNFINISHED_VIDEO).aggregate(at=Min("touched_at"))["at"],
        "review": review_oldest(),
        "sample": Sample.objects.filter(state="open").aggregate(at=Min("created_at"))["at"],
        "run": Run.objects.filter(state="queued").aggregate(at=Min("created_at"))["at"],
    }
    return {name: max(0.0, (now - at).total_seconds()) if at else 0.0 for name, at in moments.items()}


def _stuck(now: datetime) -> dict[str, int]:
    """Work that a sweep should have taken back by now."""
    stale = now - 3 * timedelta(seconds=settings.TRAIN_STALE_S)
    return {
        "videos": Video.objects.filter(state__in=UNFINISHED_VIDEO, touched_at__lt=now - STUCK_AFTER).count(),
        "leases": Assignment.objects.filter(state="leased", lease_expires_at__lt=now - timedelta(minutes=5)).count(),
        "runs": Run.objects.filter(state="running", heartbeat_at__lt=stale).count(),
    }


def _alarms(found: Status) -> Iterator[str]:
    if None in found.queues.values():
        yield _("The broker does not answer: tasks wait until it is back.")
    if found.beat_is_silent and not found.beat_is_starting:
        yield _("Beat has sent nothing for five minutes: start it, or nothing periodic happens.")
    for name, number in found.stuck.items():
        if number:
            yield _("%(number)s %(name)s show no life and were not taken back: is a worker running?") % {
                "number": number,
                "name": pgettext("work", name),
            }
    if found.failed_tasks:
        yield _("%(number)s tasks failed for good: look at them and send them again.") % {"number": found.failed_tasks}
    for row in rule_matches():
        if row["alarm"]:
            said = {"name": row["platform"], "share": f"{row['failed_share']:.2f}"}
            yield _("%(name)s: a share of %(share)s of its pages is read by no rule; it may have changed them.") % said
    for stage in Stage.objects.filter(state="failed", retry_at=None):
        yield _("Stage %(name)s failed and is not tried again: %(reason)s") % {"name": stage.name, "reason": stage.reason}
    if found.clips_away:
        yield _("Clips can be neither fetched nor shown: %(problem)s. What waits for that goes on by itself.") % {
            "problem": found.clips_away
        }
    if leftovers := Tombstone.objects.exclude(leftovers=[]).count():
        yield _("%(number)s take-downs wait for the store of the clips: nobody can see these clips, but their files are still there.") % {
            "number": leftovers
        }
    if found.disk_free < LEAST_FREE_SHARE * found.disk_total:
        sizes = {"free": found.disk_free // 2**30, "total": found.disk_total // 2**30}
        yield _("Only %(free)s GiB of %(total)s GiB are free.") % sizes
    if found.backup is None or found.now - found.backup.created_at > BACKUP_AFTER:
        yield _("There is no backup of the last two days: manage.py backup FILE.")
    else:
        yield from _backup_gone(found.backup.path)


def _backup_gone(path: str) -> Iterator[str]:
    try:
        if not place_of(path).exists(quick=True):
            yield _("The last backup is no longer at %(path)s.") % {"path": path}
    except Away as error:
        yield _("Whether the last backup is still there cannot be said: %(problem)s") % {"problem": error}


# --- the broker -------------------------------------------------------------------------------------------------
def queue_lengths() -> dict[str, int | None]:
    """Messages waiting in each queue; None when the broker does not answer."""
    if settings.CELERY_BROKER_URL.startswith("filesystem:"):
        names = [path.name for path in (settings.QUEUE_DIR / "messages").iterdir()]
        return {queue: sum(name.endswith(f".{queue}.msg") for name in names) for queue in QUEUES}
    try:
        with app.connection_for_read(connect_timeout=2) as connection, connection.channel() as channel:
            # Declared as the workers do: a broker that keeps queues refuses another description of the same one.
            return {queue: channel.queue_declare(queue, durable=True, auto_delete=False).message_count for queue in QUEUES}
    except _broker_errors():
        return dict.fromkeys(QUEUES)


def _broker_errors() -> tuple[type[Exception], ...]:
    connection = app.connection_for_read()
    return (OSError, BrokerError, *connection.connection_errors, *connection.channel_errors)


def workers(timeout_s: float = 1.0) -> list[str] | None:
    """The names of the workers that answer now; None when the broker does not."""
    try:
        answers = app.control.ping(timeout=timeout_s)
    except _broker_errors():
        return None
    return sorted(name for answer in answers for name in answer)
