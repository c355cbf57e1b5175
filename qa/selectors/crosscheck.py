"""A cross-check stage as the rules want it: what each group said about the sets it was given (Sec. III-B)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.db.models import Q, QuerySet
from numpy.typing import NDArray

from annotation.models import LABEL, Assignment, Group, Person, Vote
from annotation.rules.staffing import allocation_score
from annotation.rules.taxonomy import EMOTIONS
from qa.models import AdjustmentStep, CrossCheckItem, CrossCheckSet
from qa.rules import adjustment, consistency
from qa.selectors.votes import CODES, vote_table

NUM_RESAMPLES = 2000
LIVE = (Assignment.State.OPEN, Assignment.State.LEASED)
SEED = 20260504  # of the bootstrap: the same votes give the same interval


@dataclass(frozen=True)
class SetRow:
    """One set as the group answered it; `waiting` samples do not have every member's vote yet and do not count."""

    index: int
    emotion: str
    origin: str
    size: int
    consistent: int
    different: int
    undecided: int
    waiting: int


@dataclass(frozen=True)
class MemberRow:
    """One member's consistency ratios, in class order (None: no sample of that emotion), and of how many samples each."""

    person: int
    name: str
    ratios: list[float | None]
    counts: list[int]
    intra_rater: int  # samples whose label the member helped to make: in the majority, but not in the member's ratios


@dataclass(frozen=True)
class GroupRow:
    """S_a and S_r of one group with 95 % intervals; None, and `why`, while there is nothing to measure."""

    group: str
    reviews: str
    intra_group: float | None = None
    intra_interval: tuple[float, float] | None = None
    inter_group: float | None = None
    inter_interval: tuple[float, float] | None = None
    num_samples: int = 0
    num_waiting: int = 0
    sets: list[SetRow] = field(default_factory=list)
    members: list[MemberRow] = field(default_factory=list)
    why: str = ""


@dataclass(frozen=True)
class StageScores:
    """A stage's groups, μ and σ² of their S_r (None while a group has none), and how many turns are still open."""

    stage: str
    groups: list[GroupRow]
    mean: float | None
    variance: float | None
    open_turns: int

    @property
    def inter_groups(self) -> dict[str, float]:
        return {row.group: row.inter_group for row in self.groups if row.inter_group is not None}


@dataclass(frozen=True)
class Reviewed:
    """What a group's members said: arrays of shape (num_sets, set_size[, num_members]), −1 where nothing is."""

    group: Group
    members: list[Person]
    sets: list[CrossCheckSet]
    samples: NDArray[np.int64]
    previous: NDArray[np.int64]
    current: NDArray[np.int64]
    own: NDArray[np.bool_]

    def complete(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """current and previous with only the samples that every member has labelled."""
        done = (self.current != consistency.PADDING).all(axis=2) & (self.previous != consistency.PADDING)
        return np.where(done[:, :, None], self.current, -1), np.where(done, self.previous, -1)


def stages() -> list[str]:
    return list(CrossCheckSet.objects.order_by("stage").values_list("stage", flat=True).distinct())


def rounds_of(stage: str) -> Q:
    """Votes and turns of the stage: the first labelling and the re-annotations after each swap."""
    return Q(round=stage) | Q(round__startswith=f"{stage}.")


def open_turns(stage: str) -> QuerySet[Assignment]:
    """Turns of the stage that somebody at work still has to do; those of a paused person hold nobody up."""
    return Assignment.objects.filter(rounds_of(stage), state__in=LIVE, person__paused_reason="")


def reviewers(groups: Iterable[Any]) -> QuerySet[Person]:
    """Members of these groups who label cross-checks: no leaders, nobody paused or gone."""
    return Person.objects.filter(group__in=groups, role=Person.Role.ANNOTATOR, paused_reason="", user__is_active=True)


def stage_reviews(stage: str) -> list[Reviewed]:
    """One entry per reviewing group, by letter: three queries and one pass over the votes."""
    sets = list(CrossCheckSet.objects.filter(stage=stage).select_related("origin", "reviewer").order_by("reviewer__letter", "index"))
    items: dict[int, list[tuple[int, int]]] = {row.pk: [] for row in sets}
    for set_id, sample_id, emotion in (
        CrossCheckItem.objects.filter(set__stage=stage).order_by("pk").values_list("set_id", "sample_id", "previous_emotion")
    ):
        items[set_id].append((sample_id, CODES[emotion]))
    people: dict[int, list[Person]] = {row.reviewer_id: [] for row in sets}
    for person in reviewers(people).select_related("user").order_by("pk"):
        people[person.group_id or 0].append(person)
    said = _latest_votes(stage)
    own = _label_votes_of([sample for rows in items.values() for sample, _ in rows])
    groups = {row.reviewer_id: row.reviewer for row in sets}
    return [
        _reviewed(groups[pk], people[pk], [row for row in sets if row.reviewer_id == pk], items, said, own)
        for pk in sorted(groups, key=lambda pk: groups[pk].letter)
    ]


def stage_scores(stage: str, reviews: Sequence[Reviewed] | None = None) -> StageScores:
    """S_a, S_r, C, M and CR of every group of a stage, with intervals; empty groups for a stage that was never drawn."""
    rows = [_group_row(reviewed) for reviewed in (stage_reviews(stage) if reviews is None else reviews)]
    scores = [row.inter_group for row in rows if row.inter_group is not None]
    mean, variance = consistency.mean_and_variance(np.array(scores)) if rows and len(scores) == len(rows) else (None, None)
    return StageScores(stage, rows, mean, variance, open_turns(stage).count())


def candidates(reviews: Sequence[Reviewed]) -> list[adjustment.Member]:
    """The members who may swap, with their ratios."""
    found = []
    for reviewed in reviews:
        ratios, counts = consistency.consistency_ratios(
            reviewed.current, reviewed.previous, num_categories=len(EMOTIONS), excluded=reviewed.own
        )
        for i, person in enumerate(reviewed.members):
            found.append(
                adjustment.Member(
                    person.pk, reviewed.group.letter, person.gender, _score(person), tuple(ratios[i].tolist()), tuple(counts[i].tolist())
                )
            )
    return found


def _score(person: Person) -> float:
    return allocation_score(person.work_experience, person.msceit, person.education, person.culture, person.leadership)


def answer_shares(reviews: Sequence[Reviewed]) -> dict[int, NDArray[np.float64]]:
    """Person → (label, said) shares; half a vote is added to each cell's prior so that an unseen emotion is not a certainty."""
    shares = {}
    for reviewed in reviews:
        for i, person in enumerate(reviewed.members):
            said = reviewed.current[:, :, i]
            known = (said != consistency.PADDING) & (reviewed.previous != consistency.PADDING)
            cells = np.zeros((len(EMOTIONS), len(EMOTIONS)))
            np.add.at(cells, (reviewed.previous[known], said[known]), 1)
            cells += 0.5 / len(EMOTIONS)
            shares[person.pk] = cells / cells.sum(axis=1, keepdims=True)
    return shares


@dataclass(frozen=True)
class Replacement:
    """A member of a stage, and who in the reserve would take the place; None where nobody fits."""

    person: Person
    reserve: Person | None


def replacements(stage: str) -> list[Replacement]:
    """For every member of the stage's groups, paused ones too, the reserve of the same gender with the nearest p."""
    groups = CrossCheckSet.objects.filter(stage=stage).values("reviewer")
    people = Person.objects.filter(role=Person.Role.ANNOTATOR).select_related("user", "group")
    free = {row.pk: row for row in people.filter(group__isnull=True, paused_reason="", user__is_active=True)}
    reserves = [adjustment.Reserve(pk, row.gender, _score(row), row.qualified_at is not None) for pk, row in free.items()]
    found = []
    for person in people.filter(group__in=groups).order_by("group__letter", "pk"):
        nearest = adjustment.replacement(person.gender, _score(person), reserves)
        found.append(Replacement(person, free[nearest.id] if nearest else None))
    return found


def adjustment_log(stage: str) -> QuerySet[AdjustmentStep]:
    return AdjustmentStep.objects.filter(stage=stage).select_related("high__user", "low__user", "confirmed_by").order_by("pk")


def _latest_votes(stage: str) -> dict[tuple[int, int], int]:
    """(person, sample) → code of the latest vote of the stage."""
    table = vote_table(Vote.objects.filter(rounds_of(stage), undone_at__isnull=True))
    return dict(zip(zip(table.person.tolist(), table.sample.tolist(), strict=True), table.emotion.tolist(), strict=True))


def _label_votes_of(samples: Sequence[int]) -> set[tuple[int, int]]:
    """(person, sample) of those who voted when the sample got its label."""
    found: set[tuple[int, int]] = set()
    for start in range(0, len(samples), 5000):
        votes = Vote.objects.filter(sample__in=samples[start : start + 5000], round=LABEL, undone_at__isnull=True)
        found.update(votes.values_list("person_id", "sample_id"))
    return found


def _reviewed(
    group: Group,
    members: list[Person],
    sets: list[CrossCheckSet],
    items: dict[int, list[tuple[int, int]]],
    said: dict[tuple[int, int], int],
    own: set[tuple[int, int]],
) -> Reviewed:
    size = max((len(items[row.pk]) for row in sets), default=0)
    samples = np.full((len(sets), size), -1, dtype=np.int64)
    previous = np.full((len(sets), size), consistency.PADDING, dtype=np.int64)
    current = np.full((len(sets), size, len(members)), consistency.PADDING, dtype=np.int64)
    mine = np.zeros(current.shape, dtype=bool)
    for i, row in enumerate(sets):
        for j, (sample, code) in enumerate(items[row.pk]):
            samples[i, j], previous[i, j] = sample, code
            for k, person in enumerate(members):
                current[i, j, k] = said.get((person.pk, sample), consistency.PADDING)
                mine[i, j, k] = (person.pk, sample) in own
    return Reviewed(group, members, sets, samples, previous, current, mine)


def _group_row(reviewed: Reviewed) -> GroupRow:
    origin = ", ".join(sorted({row.origin.letter for row in reviewed.sets}))
    if not reviewed.members:
        return GroupRow(reviewed.group.letter, origin, why="the group has no members")
    current, previous = reviewed.complete()
    present = reviewed.previous != consistency.PADDING
    waiting = int(present.sum() - (previous != consistency.PADDING).sum())
    members = _member_rows(reviewed)
    if not (previous != consistency.PADDING).any():
        why = "no sample has every member's vote yet" if present.any() else "its sets are empty"
        return GroupRow(reviewed.group.letter, origin, num_waiting=waiting, members=members, why=why)
    counts = consistency.set_counts(current, previous)
    weights = consistency.set_weights([row.emotion for row in reviewed.sets], counts.sizes)
    intra, inter = consistency.bootstrap_scores(current, previous, weights, rng=np.random.default_rng(SEED), num_resamples=NUM_RESAMPLES)
    return GroupRow(
        group=reviewed.group.letter,
        reviews=origin,
        intra_group=consistency.intra_group(current, previous),
        intra_interval=consistency.interval(intra),
        inter_group=consistency.inter_group(counts.consistent, counts.undecided, counts.sizes, weights),
        inter_interval=consistency.interval(inter),
        num_samples=int(counts.sizes.sum()),
        num_waiting=waiting,
        sets=_set_rows(reviewed, counts, present),
        members=members,
    )


def _set_rows(reviewed: Reviewed, counts: consistency.SetCounts, present: NDArray[np.bool_]) -> list[SetRow]:
    return [
        SetRow(
            index=row.index,
            emotion=row.emotion,
            origin=row.origin.letter,
            size=int(counts.sizes[i]),
            consistent=int(counts.consistent[i]),
            different=int(counts.sizes[i] - counts.consistent[i] - counts.undecided[i]),
            undecided=int(counts.undecided[i]),
            waiting=int(present[i].sum() - counts.sizes[i]),
        )
        for i, row in enumerate(reviewed.sets)
    ]


def _member_rows(reviewed: Reviewed) -> list[MemberRow]:
    ratios, counts = consistency.consistency_ratios(
        reviewed.current, reviewed.previous, num_categories=len(EMOTIONS), excluded=reviewed.own
    )
    return [
        MemberRow(
            person=person.pk,
            name=str(person),
            ratios=[None if np.isnan(ratio) else float(ratio) for ratio in ratios[i]],
            counts=counts[i].tolist(),
            intra_rater=int(reviewed.own[:, :, i].sum()),
        )
        for i, person in enumerate(reviewed.members)
    ]


def as_numbers(scores: StageScores) -> dict[str, Any]:
    """The scores as JSON-ready numbers, emotions by name."""
    return {
        "stage": scores.stage,
        "mean": scores.mean,
        "variance": scores.variance,
        "open_turns": scores.open_turns,
        "groups": [_as_numbers(row) for row in scores.groups],
    }


def _as_numbers(row: GroupRow) -> dict[str, Any]:
    members = [
        {
            "person": member.person,
            "name": member.name,
            "ratios": dict(zip(EMOTIONS, member.ratios, strict=True)),
            "counts": dict(zip(EMOTIONS, member.counts, strict=True)),
            "intra_rater": member.intra_rater,
        }
        for member in row.members
    ]
    return {
        "group": row.group,
        "reviews": row.reviews,
        "intra_group": row.intra_group,
        "intra_interval": list(row.intra_interval) if row.intra_interval else None,
        "inter_group": row.inter_group,
        "inter_interval": list(row.inter_interval) if row.inter_interval else None,
        "num_samples": row.num_samples,
        "num_waiting": row.num_waiting,
        "why": row.why,
        "sets": [vars(found) for found in row.sets],
        "members": members,
    }
