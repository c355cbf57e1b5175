"""Releases asked for on the site: written in the background, with progress, and registered like any other."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from qa import export
from qa.models import Release, ReleaseJob
from qa.rules.variants import VARIANTS
from qa.services.releases import release_make

EVERY_S = 0.5  # progress is written no more often
SILENCE = timedelta(minutes=30)  # a worker that wrote nothing for so long is dead; writing the tables after the last clip takes minutes
PATIENCE = timedelta(minutes=2)  # a message that has not been taken up by then may be lost


@transaction.atomic
def releases_ask(
    variants: Sequence[str],
    *,
    seed: int,
    media: str = "link",
    formats: Sequence[str] = (),
    allow_short: bool = False,
    sizes: dict[str, dict[str, Any]] | None = None,
    user: Any = None,
) -> list[ReleaseJob]:
    """One waiting job per variant. sizes: variant → what to pass to it. Raises ValidationError for names that do not exist."""
    for kind, asked, known in (("variant", variants, VARIANTS), ("format", formats, export.FORMATS), ("media", [media], export.MEDIA)):
        unknown = [name for name in asked if name not in known]
        if unknown:
            raise ValidationError(f"unknown {kind} {', '.join(unknown)}: choose from {', '.join(known)}", code=kind)
    if not variants:
        raise ValidationError("Choose one variant or more.", code="variant")
    options = {"media": media, "formats": list(formats), "allow_short": allow_short}
    return [
        ReleaseJob.objects.create(variant=name, seed=seed, options=options | {"sizes": (sizes or {}).get(name)}, created_by=user)
        for name in variants
    ]


def release_job_run(job_id: int) -> Release | None:
    """Makes the release of a job; None, and the job says why, where it cannot be made. A job that is over stays as it is.

    One worker at a time, by a conditional UPDATE: a doubled message finds the job taken. A job whose worker died begins again; the folder of
    the first is swept away with its drafts.
    """
    now = timezone.now()
    if not _free(now).filter(pk=job_id).update(state=ReleaseJob.State.RUNNING, clips_done=0, alive_at=now):
        return None
    job = ReleaseJob.objects.select_related("created_by").get(pk=job_id)
    folder = Path(settings.RELEASES_DIR) / "site" / str(job.pk)
    shutil.rmtree(folder, ignore_errors=True)  # nothing in it is registered: the job would be over
    try:
        release = release_make(
            variant=job.variant, seed=job.seed, out_dir=folder, user=job.created_by, progress=_Progress(job), **job.options
        )
    except ValidationError as error:
        _finish(job, ReleaseJob.State.FAILED, problem=" ".join(error.messages))
        return None
    except Exception as error:
        _finish(job, ReleaseJob.State.FAILED, problem=f"{type(error).__name__}: {error}")
        raise
    if not release.folder.is_relative_to(folder.resolve()):
        shutil.rmtree(folder, ignore_errors=True)  # the very same release was there already
    _finish(job, ReleaseJob.State.DONE, release=release)
    return release


def release_jobs_lost() -> list[int]:
    """Ids of jobs that nobody works on: their worker died, or their message did not arrive."""
    now = timezone.now()
    return list(_free(now).exclude(state=ReleaseJob.State.WAITING, created_at__gt=now - PATIENCE).values_list("pk", flat=True))


def _free(now: datetime) -> QuerySet[ReleaseJob]:
    """Jobs that a worker may take."""
    dead = Q(state=ReleaseJob.State.RUNNING, alive_at__lt=now - SILENCE)
    return ReleaseJob.objects.filter(Q(state=ReleaseJob.State.WAITING) | dead)


class _Progress:
    """Writes how far a job is, at most twice a second; the sign that its worker lives."""

    def __init__(self, job: ReleaseJob) -> None:
        self.job, self.written = job, 0.0

    def __call__(self, done: int, total: int) -> None:
        if done == total or time.monotonic() - self.written > EVERY_S:
            self.written = time.monotonic()
            ReleaseJob.objects.filter(pk=self.job.pk).update(clips_done=done, clips_total=total, alive_at=timezone.now())


def _finish(job: ReleaseJob, state: str, *, problem: str = "", release: Release | None = None) -> None:
    ReleaseJob.objects.filter(pk=job.pk).update(state=state, problem=problem, release=release, finished_at=timezone.now())
