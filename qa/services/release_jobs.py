"""Releases asked for on the site: written in the background, with progress, and registered like any other."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from qa import export
from qa.models import Release, ReleaseJob
from qa.rules.variants import VARIANTS
from qa.services.jobs import job_ending, job_take
from qa.services.releases import release_make

EVERY_S = 0.5  # progress is written no more often


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

    The folder of a job whose worker died is swept away with its drafts, unless the release in it was registered already.
    """
    job = job_take(ReleaseJob, job_id, clips_done=0)
    if job is None:
        return None
    folder = (Path(settings.RELEASES_DIR) / "site" / str(job.pk)).resolve()
    with job_ending(job) as outcome:
        outcome["release"] = _registered(folder) or _made(job, folder)
    return outcome.get("release")


def _registered(folder: Path) -> Release | None:
    """The release that a worker registered from this folder just before it died."""
    return Release.objects.filter(path__startswith=f"{folder}/").first()


def _made(job: ReleaseJob, folder: Path) -> Release:
    shutil.rmtree(folder, ignore_errors=True)  # drafts of a worker that died; nothing in it is registered
    release = release_make(variant=job.variant, seed=job.seed, out_dir=folder, user=job.created_by, progress=_Progress(job), **job.options)
    if not release.folder.is_relative_to(folder):
        shutil.rmtree(folder, ignore_errors=True)  # the very same release was there already
    return release


class _Progress:
    """Writes how far a job is, at most twice a second; the sign that its worker lives."""

    def __init__(self, job: ReleaseJob) -> None:
        self.job, self.written = job, 0.0

    def __call__(self, done: int, total: int) -> None:
        if done == total or time.monotonic() - self.written > EVERY_S:
            self.written = time.monotonic()
            ReleaseJob.objects.filter(pk=self.job.pk).update(clips_done=done, clips_total=total, alive_at=timezone.now())
