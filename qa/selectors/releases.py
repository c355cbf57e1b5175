"""What can be released, what was, and whether it still holds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from django.db.models import Count, F, Q, QuerySet

from annotation.models import LABEL, Group, Person, Sample, Vote
from annotation.rules.taxonomy import EMOTIONS, TABLE_VERSION
from crawler.models import Video
from qa.models import Release, ReleaseItem, ReleaseJob, SimulationJob
from qa.rules.agreement import fleiss_kappa, patterns
from qa.rules.truth import second_opinion
from qa.selectors.columns import CHUNK
from qa.selectors.votes import MEMBER, VoteTable, label_votes


class Labelled(NamedTuple):
    """An accepted video with its decided label."""

    sample_id: int
    video_id: int
    number: int
    label: str
    decided_rung: str
    platform: str
    duration_s: float | None
    frames: int | None
    width: int | None
    height: int | None
    fps: float | None
    sha256: str
    size_bytes: int | None
    file: str
    term: str | None
    stage: str | None


class Cast(NamedTuple):
    """One vote as it is released: what was said, never who said it."""

    emotion: str
    rung: str
    adjective: str
    confidence: float | None


def labelled_videos() -> list[Labelled]:
    """Every video that may be released, by number: accepted still, label decided. Taken-down and dropped ones are not among them."""
    rows = (
        _releasable()
        .order_by("video__number")
        .values_list(
            "pk",
            "video_id",
            "video__number",
            "label",
            "decided_rung",
            "video__platform",
            "video__duration_s",
            "video__frames",
            "video__width",
            "video__height",
            "video__fps",
            "video__sha256",
            "video__size_bytes",
            "video__file",
            "video__term__text",
            "video__stage__name",
        )
    )
    return [Labelled._make(row) for row in rows.iterator(chunk_size=CHUNK)]


def _releasable() -> QuerySet[Sample]:
    return Sample.objects.filter(state=Sample.State.DECIDED, video__state=Video.State.ACCEPTED)


def votes_by_sample() -> dict[int, list[Cast]]:
    """Sample id → the votes that led to its label, in the order they came."""
    found: dict[int, list[Cast]] = defaultdict(list)
    rows = label_votes().order_by("sample_id", "pk").values_list("sample_id", "emotion", "rung", "adjective", "confidence")
    for sample_id, *vote in rows.iterator(chunk_size=CHUNK):
        found[sample_id].append(Cast._make(vote))
    return found


def labels_by_video() -> dict[int, str]:
    """Video id → label, of every video that may be released."""
    return dict(_releasable().values_list("video_id", "label"))


def posteriors(votes: VoteTable) -> dict[int, tuple[float, ...]]:
    """Sample id → probability of each emotion by Dawid–Skene over these votes for labels; empty without votes."""
    if not len(votes):
        return {}
    opinion = second_opinion(votes.sample, votes.person, votes.emotion, num_categories=len(EMOTIONS))
    return {int(sample): tuple(row) for sample, row in zip(opinion.samples, opinion.posterior.round(4).tolist(), strict=True)}


def release_facts(votes: VoteTable) -> dict[str, Any]:
    """Numbers for a release's card, from the votes for labels. `labelled_until` is the day of the last decision, so that it depends on the data alone."""
    people = Person.objects.filter(votes__round=LABEL, votes__undone_at__isnull=True).distinct()
    ratings = votes.where(votes.rung == MEMBER).matrix()[1]
    last = Sample.objects.filter(state=Sample.State.DECIDED).order_by("-decided_at").values_list("decided_at", flat=True).first()
    tables = Vote.objects.filter(round=LABEL, undone_at__isnull=True).order_by("-adjective_table").values_list("adjective_table", flat=True)
    not_seen = Q(prelabel__hint="unseen") | Q(prelabel__hint="held back")
    hints = label_votes().aggregate(seen=Count("pk", filter=Q(prelabel__hint="seen")), not_seen=Count("pk", filter=not_seen))
    return {
        "hints_seen": hints["seen"],
        "hints_not_seen": hints["not_seen"],
        "num_annotators": people.count(),
        "num_simulated": people.filter(is_simulated=True).count(),
        "num_groups": Group.objects.filter(samples__state=Sample.State.DECIDED).distinct().count(),
        "fleiss_kappa": _kappa_or_none(ratings),
        "mean_confidence": None if np.isnan(votes.confidence).all() else float(np.nanmean(votes.confidence)),
        "labelled_until": f"{last:%Y-%m-%d}" if last else None,
        "adjective_table": tables.first() or TABLE_VERSION,
    }


def _kappa_or_none(ratings: np.ndarray) -> float | None:
    try:
        return float(fleiss_kappa(patterns(ratings, num_categories=len(EMOTIONS)).complete(3)))
    except ValueError:
        return None


@dataclass(frozen=True)
class Drift:
    """How far the database has moved since a release: its videos that were taken down or dropped, and labels that changed."""

    gone: int
    relabelled: int

    @property
    def is_current(self) -> bool:
        return not (self.gone or self.relabelled)


def release_drift(release: Release) -> Drift:
    items = ReleaseItem.objects.filter(release=release)
    still_there = Q(video__state=Video.State.ACCEPTED, video__sample__state=Sample.State.DECIDED)
    gone = items.exclude(still_there).count()
    return Drift(gone, items.filter(still_there).exclude(video__sample__label=F("emotion")).count())


def releases() -> QuerySet[Release]:
    return Release.objects.select_related("created_by").order_by("-created_at", "-pk")


def releases_standing() -> QuerySet[Release]:
    """Those that may still be trained on, newest first: none of their videos was taken down since."""
    taken_down = ReleaseItem.objects.filter(video__state=Video.State.DROPPED, video__reason__startswith=Video.TAKEN_DOWN)
    return releases().exclude(pk__in=taken_down.values("release"))


def release_jobs() -> QuerySet[ReleaseJob]:
    """What was asked for on the site, newest first."""
    return ReleaseJob.objects.select_related("release", "created_by").order_by("-pk")


def simulation_jobs() -> QuerySet[SimulationJob]:
    """Trials of the protocol, newest first."""
    return SimulationJob.objects.select_related("created_by").order_by("-pk")
