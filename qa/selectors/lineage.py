"""Where a label comes from: from any released video back to the page it was found on (who may see it is the caller's to ask)."""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from annotation.models import Assignment, Sample
from crawler.models import Platform, Video
from qa.models import ReleaseItem


def video_find(name: str) -> Video | None:
    """A video by number, clip name (00000012.mp4) or the platform's id; a number wins over an id of the same digits."""
    stem = name.strip().removesuffix(".mp4")
    if stem.isascii() and stem.isdigit() and len(stem) <= 8:
        found = Video.objects.filter(number=int(stem)).first()
        if found:
            return found
    return Video.objects.filter(platform__in=Platform.values, platform_id=name.strip()).order_by("pk").first()  # the index begins with it


def lineage(video: Video) -> dict[str, Any]:
    """Everything that happened to a video, fit for JSON but for its moments, oldest first within each part."""
    sample = Sample.objects.filter(video=video).select_related("group").first()
    return {
        "video": {
            "name": video.public_name,
            "platform": video.platform,
            "platform_id": video.platform_id,
            "page": video.url,
            "brought": _brought(video),
            "state": video.state,
            "reason": video.reason,
            "term": video.term.text if video.term else None,
            "stage": video.stage.name if video.stage else None,
            "discovered_at": video.discovered_at,
            "accepted_at": video.accepted_at,
            "sha256": video.sha256,
            "rule_version": video.rule_version,
        },
        "checks": [
            {"check": row.name, "version": row.version, "verdict": row.verdict, "reason": row.reason, "at": row.created_at}
            for row in video.checks.order_by("pk")
        ],
        "decisions": [
            {"action": row.action, "by": row.person.get_username(), "reason": row.reason, "at": row.created_at}
            for row in video.decisions.select_related("person").order_by("pk")
        ],
        "label": _label(sample),
        "votes": _votes(sample),
        "timeline": _timeline(sample),
        "releases": [
            {"release": row.release.name, "split": row.split, "emotion": row.emotion, "at": row.release.created_at}
            for row in ReleaseItem.objects.filter(video=video).select_related("release").order_by("release__pk")
        ],
    }


def _brought(video: Video) -> str | None:
    """Which file it was, and by what right it is used, as import_clips noted; None for a crawled one, whose raw record is the page's."""
    noted = {} if video.rule_version else video.raw
    return " · ".join(noted[key] for key in ("file", "basis") if key in noted) or None


def _label(sample: Sample | None) -> dict[str, Any] | None:
    if sample is None:
        return None
    waiting = Assignment.objects.filter(Q(state="open") | Q(state="leased"), sample=sample).count()
    return {
        "group": sample.group.letter,
        "state": sample.state,
        "emotion": sample.label or None,
        "rung": sample.decided_rung or sample.rung,
        "decided_at": sample.decided_at,
        "open_turns": waiting,
    }


def _votes(sample: Sample | None) -> list[dict[str, Any]]:
    if sample is None:
        return []
    return [
        {
            "by": str(vote.person),
            "round": vote.round,
            "rung": vote.rung,
            "adjective": vote.adjective,
            "adjective_table": vote.adjective_table,
            "emotion": vote.emotion,
            "confidence": vote.confidence,
            "at": vote.created_at,
            "undone_at": vote.undone_at,
        }
        for vote in sample.votes.select_related("person").order_by("pk")
    ]


def _timeline(sample: Sample | None) -> list[dict[str, Any]]:
    """Every step of labelling, re-openings too."""
    if sample is None:
        return []
    rows = sample.timeline.select_related("person").order_by("pk")
    return [{"kind": row.kind, "by": str(row.person) if row.person else None, "detail": row.detail, "at": row.created_at} for row in rows]
