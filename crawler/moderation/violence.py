"""Violence: a rank that orders the reviewers' queue, and a network where one is given."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from crawler.models import Check, Video
from crawler.moderation import networks
from crawler.moderation.finding import Finding
from crawler.rules import violence as rules


def violence(video: Video) -> Finding:
    """The rank as evidence; a verdict only from a network (VIOLENCE_MODEL, an ONNX file like NSFW_MODEL), unable without one."""
    evidence = {"rank": rank_of(video)}
    model = str(settings.VIOLENCE_MODEL)
    if not model:
        return Finding(Check.Verdict.UNABLE, "no weights: no violence model is configured", evidence)
    if not Path(model).is_file():
        return Finding(Check.Verdict.UNABLE, f"no weights: VIOLENCE_MODEL={model} is not a file", evidence)
    found = networks.judged(model, video, "violence")
    return Finding(found.verdict, found.reason, {**evidence, **found.evidence})


def rank_of(video: Video) -> float:
    """From the words found by the checks before, and the activity measured when the file was verified."""
    checks = {check.name: check.evidence for check in video.checks.order_by("version")}
    hits = [hit for name in ("text-lexicon", "onscreen-text") for hit in checks.get(name, {}).get("hits", [])]
    activity = checks.get("activity", {})
    return rules.rank(
        words=sum(category == "violence" for category, _ in hits),
        blows_s=activity.get("blows_s", []),
        motion=activity.get("motion", 0.0),
        duration_s=video.duration_s or 0.0,
    )
