"""A run from the moment someone asks for it to the queue, and back to the queue when its worker died."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from celery import signature
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from qa.models import Release
from qa.selectors import releases_standing
from training.access import may_control
from training.engine.recipes import overridden
from training.models import Run, Schedule
from training.selectors import recipes

log = logging.getLogger(__name__)
MAX_ATTEMPTS = 2  # the first execution, and one more after a dead worker
RESEND_AFTER = timedelta(minutes=30)  # a message this old may be lost (embedded brokers lose some); a second one is harmless


def run_start(
    *,
    recipe: str,
    release: Release,
    seed: int = 1,
    overrides: dict[str, Any] | None = None,
    user: Any = None,
    gpus: int = 1,
    schedule: Schedule | None = None,
) -> Run:
    """The queued run; when the same recipe, release, seed and overrides are queued or running already, that one.

    Raises ValidationError for an unknown recipe, a field that it does not have, or a release whose folder is gone or
    of which a video was taken down.
    """
    overrides = dict(overrides or {})
    _check(recipe, release, seed, overrides, gpus)
    fingerprint = _fingerprint(recipe, release, seed, overrides)
    with transaction.atomic():
        # Lock the release: two people may ask for the same run at once.
        Release.objects.select_for_update().get(pk=release.pk)
        same = Run.objects.filter(fingerprint=fingerprint, state__in=Run.LIVE).first()
        if same:
            return same
        run = Run.objects.create(
            recipe=recipe, release=release, seed=seed, overrides=overrides, fingerprint=fingerprint, gpus=gpus, schedule=schedule,
            requested_by=user,
        )  # fmt: skip
        run_send(run)
    return run


def _check(recipe: str, release: Release, seed: int, overrides: dict[str, Any], gpus: int) -> None:
    recipe_check(recipe, seed, overrides)
    if not 0 <= gpus <= 64:
        raise ValidationError(f"{gpus} GPUs is outside 0..64.", code="bad_gpus")
    if not release.folder.is_dir():
        raise ValidationError(f"The folder of release {release.name} is gone: export it again.", code="release_gone")
    if not releases_standing().filter(pk=release.pk).exists():
        raise ValidationError(f"A video of release {release.name} was taken down since: make a new release.", code="taken_down")


def recipe_check(recipe: str, seed: int, overrides: dict[str, Any]) -> None:
    """Raises ValidationError for an unknown recipe, a field or value that it does not take, or a file that no person may name."""
    known = recipes()
    if recipe not in known:
        raise ValidationError(f"No recipe is called {recipe!r}; there are {', '.join(sorted(known))}.", code="unknown_recipe")
    try:
        changed = overridden(known[recipe], overrides)
    except (ValueError, TypeError) as error:
        raise ValidationError(f"{error}.", code="bad_override") from error
    if "\\u0000" in json.dumps(overrides) or not _is_finite(overrides):
        raise ValidationError("A field's value holds a character or a number that cannot be stored.", code="bad_override")
    for name in overrides:
        # A person on the site names no file of the server: weights from elsewhere are set in a recipe.
        if any(Path(text).is_absolute() or ".." in Path(text).parts for text in _texts(getattr(changed, name))):
            raise ValidationError(f"{name} may not name a file outside the project.", code="bad_override")
    if not 0 <= seed < 2**31:
        raise ValidationError(f"Seed {seed} is outside 0..2147483647.", code="bad_seed")


def _texts(value: Any) -> Iterator[str]:
    """Every text in a field's value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)


def _is_finite(overrides: dict[str, Any]) -> bool:
    try:
        json.dumps(overrides, allow_nan=False)
    except ValueError:
        return False
    return True


def _fingerprint(recipe: str, release: Release, seed: int, overrides: dict[str, Any]) -> str:
    text = json.dumps([recipe, release.pk, seed, overrides], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def run_send(run: Run) -> None:
    """Queues the run's task once the transaction commits. When the broker is away the sweep sends it later."""
    Run.objects.filter(pk=run.pk).update(queued_at=timezone.now())

    def send() -> None:
        try:
            signature("training.tasks.start_run", args=(run.pk,)).apply_async()
        except BrokerError as error:
            Run.objects.filter(pk=run.pk).update(queued_at=None)
            log.warning("run %s waits for the broker: %s", run.pk, error)

    transaction.on_commit(send)


def run_cancel(run: Run, *, user: Any) -> Run:
    """Cancels a queued run at once; asks a running one to write a checkpoint and stop. Harmless when repeated.

    Raises PermissionDenied if the run is someone else's, ValidationError if it is over.
    """
    refuse_others(run, user)
    now = timezone.now()
    queued = Run.objects.filter(pk=run.pk, state=Run.State.QUEUED)
    if not queued.update(state=Run.State.CANCELLED, cancel_requested_at=now, finished_at=now, error="cancelled before it began"):
        running = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING)
        running.filter(cancel_requested_at__isnull=True).update(cancel_requested_at=now)
        if not running.exists() and not Run.objects.filter(pk=run.pk, state=Run.State.CANCELLED).exists():
            run.refresh_from_db()
            raise ValidationError(f"Run {run.pk} is {run.state} already.", code="over")
    run.refresh_from_db()
    return run


def run_retry(run: Run, *, user: Any) -> Run:
    """Queues a failed or cancelled run again; it goes on from its last checkpoint.

    Raises PermissionDenied if the run is someone else's, ValidationError if it is not over or its twin is under way.
    """
    refuse_others(run, user)
    with transaction.atomic():
        # Lock the release, as run_start does: a twin may be started at the same moment.
        Release.objects.select_for_update().get(pk=run.release_id)
        if Run.objects.filter(fingerprint=run.fingerprint, state__in=Run.LIVE).exclude(pk=run.pk).exists():
            raise ValidationError("The same run is queued or running already.", code="twin")
        over = Run.objects.filter(pk=run.pk, state__in=[Run.State.FAILED, Run.State.CANCELLED])
        if not over.update(
            state=Run.State.QUEUED, attempts=0, lease=None, cancel_requested_at=None, finished_at=None, heartbeat_at=None, error=""
        ):
            raise ValidationError(f"Run {run.pk} is {run.state}: only a failed or cancelled run can be retried.", code="not_over")
        run_send(run)
    run.refresh_from_db()
    return run


def refuse_others(run: Run, user: Any) -> None:
    """Raises PermissionDenied unless the run is this person's to change; None is the site itself."""
    if user is not None and not may_control(user, run):
        raise PermissionDenied("This run is someone else's.")


def runs_resume_stale(*, now: datetime | None = None) -> dict[str, int]:
    """Takes back every run whose worker shows no life, and sends lost messages again; counts by outcome.

    A run is resumed once: the second worker that dies with it leaves it failed, for a person to look at. Each row is taken
    by one conditional UPDATE on its lease, so two sweeps at once resume it once.
    """
    now = now or timezone.now()
    counts = {"resumed": 0, "failed": 0, "cancelled": 0, "resent": 0}
    cutoff = now - timedelta(seconds=settings.TRAIN_STALE_S)
    for run in Run.objects.filter(state=Run.State.RUNNING, heartbeat_at__lt=cutoff):
        outcome = _take_back(run, cutoff, now)
        if outcome:
            counts[outcome] += 1
    waiting = Run.objects.filter(Q(queued_at__isnull=True) | Q(queued_at__lt=now - RESEND_AFTER), state=Run.State.QUEUED)
    for run in waiting:
        with transaction.atomic():
            run_send(run)
        counts["resent"] += 1
    return counts


def _take_back(run: Run, cutoff: datetime, now: datetime) -> str | None:
    """What became of one stale run, or None when its worker or another sweep was quicker."""
    mine = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING, lease=run.lease, heartbeat_at__lt=cutoff)
    over = {"lease": None, "finished_at": now}
    if run.cancel_requested_at:
        return "cancelled" if mine.update(state=Run.State.CANCELLED, error="cancelled; its worker had died", **over) else None
    if run.attempts >= MAX_ATTEMPTS:
        error = f"its worker died {run.attempts} times; see the log, then retry"
        return "failed" if mine.update(state=Run.State.FAILED, error=error, **over) else None
    with transaction.atomic():
        if not mine.update(state=Run.State.QUEUED, lease=None):
            return None
        run_send(run)
    return "resumed"


def release_find(name_or_folder: str) -> Release:
    """The release of this name, or in this folder. Raises ValidationError if the site knows none."""
    release = Release.objects.filter(name=name_or_folder).first()
    if release is None:
        folder = Path(name_or_folder).resolve()
        release = next((r for r in Release.objects.order_by("-pk") if r.folder.resolve() == folder), None)
    if release is None:
        raise ValidationError(f"No release is called {name_or_folder!r} or lies there: import it first.", code="unknown_release")
    return release
