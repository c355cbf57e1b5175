"""Drawing a cross-check stage and measuring it (Sec. III-B)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.core.exceptions import ValidationError
from django.db import transaction

from annotation import services as annotation
from annotation.models import Group, Person, Sample
from annotation.rules.taxonomy import EMOTIONS
from crawler.models import Video
from qa import selectors
from qa.models import AdjustmentStep, ConsistencyReport, CrossCheckItem, CrossCheckSet
from qa.rules.consistency import SET_SIZE, STAGE_SETS, reviewing

STAGE = re.compile(r"s[A-Z]")
SEED = 20260504


@dataclass(frozen=True)
class Drawn:
    """A stage's sets; `short` says, one line each, which hold fewer than 100 samples; turns: how many were opened just now."""

    stage: str
    sets: list[CrossCheckSet]
    short: list[str]
    turns: int


@transaction.atomic
def cross_check_draw(stage: str, *, seed: int, pairing: str = "cyclic") -> Drawn:
    """Draws nine sets from every group's labels and gives each to the group before it (A reviews B's, …, the last A's).

    pairing: "reverse_in_sB" gives them to the group after it in every second stage. Blind: opened as a round of its own, shuffled for each person. A stage is drawn once; asked again it is only completed
    with turns that are missing. While no other stage has been drawn, at most half of an emotion's labels are used, so
    that the next stage has its share. Locks the groups: two draws at once would use samples twice.
    Raises ValidationError for a stage that is not named sA, sB …, an unknown pairing, or fewer than two groups that have labels.
    """
    if not STAGE.fullmatch(stage):
        raise ValidationError(f"a stage is called sA, sB …, not {stage!r}", code="stage")
    list(Group.objects.select_for_update().order_by("pk"))
    groups = list(Group.objects.filter(samples__state=Sample.State.DECIDED).distinct().order_by("letter"))
    if len(groups) < 2:
        raise ValidationError(
            "Two groups with decided labels are needed: a cross-check has one group label another's samples.", code="groups"
        )
    if not CrossCheckSet.objects.filter(stage=stage).exists():
        for i, (origin, reviewer) in enumerate(zip(groups, _reviewers(groups, stage, pairing), strict=True)):
            _draw_sets(stage, origin, reviewer, seed=seed, place=i)
    turns = sum(_open_round(stage, group, seed) for group in groups)
    sets = list(
        CrossCheckSet.objects.filter(stage=stage)
        .select_related("origin", "reviewer")
        .prefetch_related("items")
        .order_by("origin__letter", "index")
    )
    short = [
        f"group {row.origin} set {row.index} ({row.emotion}): {row.items.count()} of {SET_SIZE}"
        for row in sets
        if row.items.count() < SET_SIZE
    ]
    return Drawn(stage, sets, short, turns)


def cross_check_score(stage: str) -> ConsistencyReport:
    """Measures a stage and keeps the numbers. Raises ValidationError for a stage that was never drawn."""
    stage_check(stage)
    return ConsistencyReport.objects.create(stage=stage, numbers=selectors.as_numbers(selectors.stage_scores(stage)))


def _reviewers(groups: Sequence[Group], stage: str, pairing: str) -> list[Group]:
    try:
        return [groups[place] for place in reviewing(len(groups), stage=stage, pairing=pairing)]
    except ValueError as error:
        raise ValidationError(str(error), code="pairing") from error


def _draw_sets(stage: str, origin: Group, reviewer: Group, *, seed: int, place: int) -> None:
    rng = np.random.default_rng([seed, ord(stage[1]), place])
    used = CrossCheckItem.objects.filter(set__origin=origin).values("sample")
    free: dict[str, list[int]] = {emotion: [] for emotion in EMOTIONS}
    decided = Sample.objects.filter(group=origin, state=Sample.State.DECIDED, video__state=Video.State.ACCEPTED).exclude(pk__in=used)
    for pk, label in decided.order_by("pk").values_list("pk", "label"):
        free[label].append(pk)
    is_first = not CrossCheckSet.objects.filter(origin=origin).exists()
    parts = {emotion: iter(_parts(free[emotion], STAGE_SETS.count(emotion), is_first, rng)) for emotion in dict.fromkeys(STAGE_SETS)}
    for index, emotion in enumerate(STAGE_SETS):
        row = CrossCheckSet.objects.create(stage=stage, origin=origin, reviewer=reviewer, index=index, emotion=emotion, seed=seed)
        CrossCheckItem.objects.bulk_create(CrossCheckItem(set=row, sample_id=pk, previous_emotion=emotion) for pk in next(parts[emotion]))


def _parts(samples: Sequence[int], num_sets: int, is_first: bool, rng: np.random.Generator) -> list[list[int]]:
    """Up to 100 samples for each of the sets, as even as they come; the first stage leaves half for the second."""
    count = min(num_sets * SET_SIZE, -(-len(samples) // 2) if is_first else len(samples))
    chosen = rng.permutation(np.array(samples, dtype=np.int64))[:count]
    return [part.tolist() for part in np.array_split(chosen, num_sets)]


def _open_round(stage: str, group: Group, seed: int) -> int:
    members = list(selectors.reviewers([group]))
    if selectors.adjustment_log(stage).filter(state=AdjustmentStep.State.APPLIED).exists():
        return 0  # members have moved since: their turns are in the rounds of the swaps
    samples = CrossCheckItem.objects.filter(set__stage=stage, set__reviewer=group).values_list("sample_id", flat=True)
    return annotation.round_open(round=stage, sample_ids=samples, people=members, shuffle_seed=seed)


def sets_reopen(stage: str, round: str, person: Person) -> int:
    """The sets of the person's group that he or she has not met in this stage yet."""
    sets = CrossCheckItem.objects.filter(set__stage=stage, set__reviewer=person.group)
    met = person.assignments.filter(selectors.rounds_of(stage)).values("sample")
    samples = sets.exclude(sample__in=met).values_list("sample_id", flat=True)
    return annotation.round_open(round=round, sample_ids=samples, people=[person], shuffle_seed=SEED + person.pk)


def stage_check(stage: str) -> None:
    if not CrossCheckSet.objects.filter(stage=stage).exists():
        raise ValidationError(f"stage {stage!r} has not been drawn: run cross_check draw --stage {stage} first", code="not_drawn")
