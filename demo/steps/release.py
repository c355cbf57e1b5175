"""Step 7, first half: the variants of Sec. III-G, written and verified."""

from __future__ import annotations

from django.conf import settings

from annotation.models import Sample
from demo.report import Report
from qa import services
from qa.models import Release

VARIANTS = ("all", "balanced", "test")


def release(report: Report, *, seed: int) -> None:
    """The three variants of Sec. III-G, verified. The demo has fewer videos than the paper: sets are short, and say so."""
    with report.stage("release") as row:
        row.came_in = Sample.objects.filter(state=Sample.State.DECIDED).count()
        for variant in VARIANTS:
            made = Release.objects.filter(variant=variant).first()
            if made is None:
                made = services.release_make(variant=variant, out_dir=settings.RELEASES_DIR, seed=seed, allow_short=True)
            problems = services.release_verify(made.path)
            if problems:
                raise RuntimeError(f"release {made} does not verify: {problems[0]}")
            counts = {split: sum(by_emotion.values()) for split, by_emotion in made.counts.items()}
            row.notes.append(f"{made.name}: {counts} in {made.path}, verified")
        row.went_out = Release.objects.count()
