"""Swapping people by what a cross-check shows: the swap that is due, its confirmation, the append-only log (Sec. III-C)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from annotation import services as annotation
from annotation.models import Group, Person
from annotation.rules.taxonomy import EMOTIONS
from qa import selectors
from qa.models import AdjustmentStep
from qa.rules import adjustment
from qa.services.crosscheck import SEED, sets_reopen, stage_check


@dataclass(frozen=True)
class Adjustment:
    """Where the loop stands: the swap that waits for a manager, or None and why ("settled", "confirmed", "exhausted")."""

    step: AdjustmentStep | None
    state: str
    text: str


@transaction.atomic
def swap_propose(stage: str) -> Adjustment:
    """The next swap that Algorithm 1 asks for; emotions without one are logged as skipped. Asked again, the same answer.

    Raises ValidationError while members still have samples of the stage to label, or a group has no score.
    """
    stage_check(stage)
    list(Group.objects.select_for_update().order_by("pk"))  # one proposal at a time
    log = list(selectors.adjustment_log(stage))
    if log and log[-1].state == AdjustmentStep.State.PROPOSED:
        return Adjustment(log[-1], "proposed", _describe(log[-1]))
    reviews = selectors.stage_reviews(stage)
    scores = selectors.stage_scores(stage, reviews)
    _check_labelled(scores)
    applied = [step for step in log if step.state == AdjustmentStep.State.APPLIED]
    start_mean: Any = log[0].numbers["start_mean"] if log else scores.mean
    if applied and adjustment.is_settled(list(scores.inter_groups.values()), start_mean):
        return Adjustment(
            None,
            "settled",
            f"μ rose from {start_mean:.2f} to {scores.mean:.2f} and σ² is {scores.variance:.2f}: confirm with the next stage",
        )
    if not log and (confirmed := _confirmation(stage, scores)):
        return confirmed
    for number, emotion in _places_after(log):
        step = _step(stage, number, emotion, reviews, scores, log, start_mean)
        if step.state == AdjustmentStep.State.PROPOSED:
            return Adjustment(step, "proposed", _describe(step))
        log.append(step)
    return Adjustment(None, "exhausted", _best_tried(log, scores, reviews))


@transaction.atomic
def swap_apply(step_id: int, *, user: Any) -> AdjustmentStep:
    """Performs a proposed swap: the two trade groups and label their new group's sets (round sA.1, sA.2, …).

    Someone who comes back to sets already labelled is not asked again. Locks the step: two managers may confirm at once.
    Raises ValidationError when the step is not open or the groups are no longer those it was proposed for.
    """
    step = _locked(step_id)
    high, low = step.high, step.low
    now = {str(pk): letter for pk, letter in Person.objects.filter(pk__in=step.numbers["allocation"]).values_list("pk", "group__letter")}
    if high is None or low is None or now != step.numbers["allocation"]:
        raise ValidationError("The groups have changed since this swap was proposed: reject it and ask for a new proposal.", code="stale")
    annotation.member_swap(high, low, reason=f"cross-check {step.stage}, {step.emotion}: {_describe(step)}"[:200], by=user)
    step.state, step.confirmed_by, step.applied_at = AdjustmentStep.State.APPLIED, user, timezone.now()
    step.save(update_fields=["state", "confirmed_by", "applied_at"])
    number = AdjustmentStep.objects.filter(stage=step.stage, state=AdjustmentStep.State.APPLIED).count()
    for person in (high, low):
        person.refresh_from_db()
        sets_reopen(step.stage, f"{step.stage}.{number}", person)
    return step


@transaction.atomic
def swap_reject(step_id: int, *, user: Any) -> AdjustmentStep:
    """Sets a proposal aside; the same allocation is not proposed again. Locks the step."""
    step = _locked(step_id)
    step.state, step.confirmed_by = AdjustmentStep.State.REJECTED, user
    step.save(update_fields=["state", "confirmed_by"])
    return step


def _check_labelled(scores: selectors.StageScores) -> None:
    if scores.open_turns:
        raise ValidationError(f"{scores.open_turns} samples of stage {scores.stage} still wait for a member's label", code="waiting")
    for row in scores.groups:
        if row.inter_group is None:
            raise ValidationError(f"group {row.group} has no score in stage {scores.stage}: {row.why}", code="no_score")


def _places_after(log: Sequence[AdjustmentStep]) -> list[tuple[int, str]]:
    """The (round, emotion) pairs of the loop that have not had their turn."""
    places = [(number, emotion) for number in range(1, adjustment.NUM_ROUNDS + 1) for emotion in EMOTIONS]
    return places[places.index((log[-1].round, log[-1].emotion)) + 1 :] if log else places


def _step(
    stage: str,
    number: int,
    emotion: str,
    reviews: Sequence[selectors.Reviewed],
    scores: selectors.StageScores,
    log: Sequence[AdjustmentStep],
    start_mean: float | None,
) -> AdjustmentStep:
    members = selectors.candidates(reviews)
    visited = {frozenset((int(pk), letter) for pk, letter in allocation.items()) for step in log for allocation in _visited(step)}
    visited.add(adjustment.allocation_of(members))
    code = EMOTIONS.index(emotion)
    outcome = adjustment.propose(members, code, visited=visited, group_scores=scores.inter_groups)
    numbers: dict[str, Any] = {
        "start_mean": start_mean,
        "mean": scores.mean,
        "variance": scores.variance,
        "inter_group": scores.inter_groups,
        "intra_group": {row.group: row.intra_group for row in scores.groups},
        "allocation": {str(member.id): member.group for member in members},
    }
    if isinstance(outcome, adjustment.Skip):
        numbers["reason"] = outcome.reason
        return AdjustmentStep.objects.create(
            stage=stage, round=number, emotion=emotion, state=AdjustmentStep.State.SKIPPED, numbers=numbers
        )
    numbers |= _swap_numbers(outcome, members, code, reviews)
    return AdjustmentStep.objects.create(
        stage=stage,
        round=number,
        emotion=emotion,
        state=AdjustmentStep.State.PROPOSED,
        high_id=outcome.high,
        low_id=outcome.low,
        numbers=numbers,
    )


def _visited(step: AdjustmentStep) -> list[dict[str, str]]:
    """The allocation a step started from, and the one it led or would have led to."""
    before = step.numbers["allocation"]
    if step.high_id is None or step.low_id is None:
        return [before]
    high, low = str(step.high_id), str(step.low_id)
    return [before, before | {high: before[low], low: before[high]}]


def _swap_numbers(
    swap: adjustment.Swap, members: Sequence[adjustment.Member], code: int, reviews: Sequence[selectors.Reviewed]
) -> dict[str, Any]:
    """What a manager wants to see before confirming: the gap and its noise, what is expected, and the best there could be."""
    of = {member.id: member for member in members}
    high, low = of[swap.high], of[swap.low]
    bounds = adjustment.gap_interval(
        (high.ratios[code], high.counts[code]), (low.ratios[code], low.counts[code]), rng=np.random.default_rng(SEED)
    )
    numbers: dict[str, Any] = {
        "high": {"ratio": high.ratios[code], "samples": high.counts[code], "group": high.group},
        "low": {"ratio": low.ratios[code], "samples": low.counts[code], "group": low.group},
        "gap": swap.gap,
        "gap_interval": list(bounds),
        "within_noise": adjustment.is_within_noise(bounds),
        "literal": swap.is_literal,
    }
    return numbers | _expectations(swap, members, reviews)


def _expectations(swap: adjustment.Swap, members: Sequence[adjustment.Member], reviews: Sequence[selectors.Reviewed]) -> dict[str, Any]:
    """Expected S_r now, after the swap and under the best allocation; left out for groups that are not of three."""
    answers = selectors.answer_shares(reviews)
    allocation = adjustment.allocation_of(members)
    try:
        best = adjustment.search_best(answers, {member.id: member.gender for member in members}, allocation)
    except ValueError as error:
        return {"no_search": str(error)}
    after = adjustment.exchanged(allocation, swap.high, swap.low)
    return {
        "expected_now": adjustment.expected_scores(answers, allocation),
        "expected_after": adjustment.expected_scores(answers, after),
        "best": {
            "allocation": {str(pk): letter for pk, letter in sorted(best.allocation)},
            "scores": best.scores,
            "mean": best.mean,
            "variance": best.variance,
            "searched": best.num_searched,
        },
    }


def _confirmation(stage: str, scores: selectors.StageScores) -> Adjustment | None:
    """The stage before this one led to swaps, and on this one's fresh samples the groups are better and even: nothing more is due."""
    before = AdjustmentStep.objects.filter(stage=f"s{chr(ord(stage[1]) - 1)}").order_by("pk")
    first = before.first()
    if first is None or not before.filter(state=AdjustmentStep.State.APPLIED).exists():
        return None
    start_mean = first.numbers["start_mean"]
    if not adjustment.is_settled(list(scores.inter_groups.values()), start_mean):
        return None
    text = f"μ rose from {start_mean:.2f} (stage {first.stage}, before the swaps) to {scores.mean:.2f} and σ² is {scores.variance:.2f}"
    return Adjustment(None, "confirmed", f"{text}: the groups can start the formal annotation")


def _best_tried(log: Sequence[AdjustmentStep], scores: selectors.StageScores, reviews: Sequence[selectors.Reviewed]) -> str:
    """Which of the allocations that were really tried to keep, when the loop ends without settling."""
    tried: dict[str, tuple[dict[str, str], dict[str, float]]] = {}
    for step in log:
        tried.setdefault(str(sorted(step.numbers["allocation"].items())), (step.numbers["allocation"], step.numbers["inter_group"]))
    now = {str(member.id): member.group for member in selectors.candidates(reviews)}
    tried[str(sorted(now.items()))] = (now, scores.inter_groups)
    allocations, tried_scores = zip(*tried.values(), strict=True)
    best = adjustment.best_visited([list(found.values()) for found in tried_scores])
    text = f"{adjustment.NUM_ROUNDS} rounds over the six emotions are done; no further swap is due. "
    if allocations[best] == now:
        return text + "The present groups are the best of those that were tried."
    names = ", ".join(
        f"{person} in {allocations[best][str(person.pk)]}"
        for person in Person.objects.filter(pk__in=[pk for pk in now if allocations[best].get(pk) != now[pk]])
    )
    return text + f"Better than the present groups were those with {names}: move them back on the people page."


def _describe(step: AdjustmentStep) -> str:
    numbers = step.numbers
    noise = ", within noise" if numbers["within_noise"] else ""
    return (
        f"{step.high} ({numbers['high']['group']}, CR {numbers['high']['ratio']:.2f}) ↔ {step.low} "
        f"({numbers['low']['group']}, CR {numbers['low']['ratio']:.2f}) on {step.emotion}{noise}"
    )


def _locked(step_id: int) -> AdjustmentStep:
    step = AdjustmentStep.objects.select_for_update(of=("self",)).select_related("high__user", "low__user").filter(pk=step_id).first()
    if step is None:
        raise ValidationError(f"there is no proposal {step_id}", code="not_found")
    if step.state != AdjustmentStep.State.PROPOSED:
        raise ValidationError(f"proposal {step_id} is already {step.state}", code="not_open")
    return step
