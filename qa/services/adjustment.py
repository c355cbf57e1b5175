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
def swap_propose(stage: str, *, policy: str | None = None) -> Adjustment:
    """The next swap that Algorithm 1 asks for; emotions without one are logged as skipped. Asked again, the same answer.

    policy: "non_worsening" first proposes to take back a swap after which the mean fell and the variance rose; without one
    the stage goes on as it began ("always", as in the paper).
    Raises ValidationError for an unknown policy, while members still have samples of the stage to label, or when a group has no score.
    """
    stage_check(stage)
    list(Group.objects.select_for_update().order_by("pk"))  # one proposal at a time
    log = list(selectors.adjustment_log(stage))
    if log and log[-1].state == AdjustmentStep.State.PROPOSED:
        return Adjustment(log[-1], "proposed", _describe(log[-1]))
    reviews = selectors.stage_reviews(stage)
    scores = selectors.stage_scores(stage, reviews)
    _check_labelled(scores)
    policy = _policy(policy, log)
    applied = [step for step in log if step.state == AdjustmentStep.State.APPLIED]
    start_mean: Any = next((step.numbers["start_mean"] for step in log if step.numbers["start_mean"] is not None), scores.mean)
    if applied and adjustment.is_settled(list(scores.inter_groups.values()), start_mean):
        return Adjustment(
            None,
            "settled",
            f"μ rose from {start_mean:.2f} to {scores.mean:.2f} and σ² is {scores.variance:.2f}: confirm with the next stage",
        )
    if not log and (confirmed := _confirmation(stage, scores)):
        return confirmed
    common = _numbers(scores, reviews) | {"start_mean": start_mean, "policy": policy}
    if policy == "non_worsening" and log and _has_failed(log[-1], scores):
        step = _reversal(log[-1], reviews, common)
        return Adjustment(step, "proposed", _describe(step))
    for number, emotion in _places_after(log):
        step = _step(stage, number, emotion, reviews, scores, log, common)
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
def member_replace(stage: str, person_id: int, *, reason: str, user: Any) -> AdjustmentStep:
    """A member who left, for good or for long, is paused and the nearest reserve (same gender, nearest p) takes the place.

    The newcomer takes over untouched turns and labels the sets of the group; the log says so. Locks the groups.
    Raises ValidationError when nobody in the reserve fits, the person is no member of the stage, or a proposal is open.
    """
    stage_check(stage)
    list(Group.objects.select_for_update().order_by("pk"))
    log = list(selectors.adjustment_log(stage))
    if log and log[-1].state == AdjustmentStep.State.PROPOSED:
        raise ValidationError("A proposed swap is open: confirm it or set it aside first.", code="open_proposal")
    found = next((row for row in selectors.replacements(stage) if row.person.pk == person_id), None)
    if found is None:
        raise ValidationError(f"person {person_id} is no member of the groups of stage {stage}", code="not_a_member")
    person, reserve = found.person, found.reserve
    if reserve is None:
        raise ValidationError(
            f"Nobody in the reserve can replace {person}: someone of the same gender without a group is needed.", code="no_reserve"
        )
    reviews = selectors.stage_reviews(stage)
    numbers = _numbers(selectors.stage_scores(stage, reviews), reviews)
    group = person.group
    numbers |= {"start_mean": numbers["mean"], "reason": reason, "high": {"group": str(group)}, "low": {"group": ""}}
    annotation.person_pause(person, reason=reason, by=user)
    annotation.person_move(person, None, reason=reason, by=user)
    annotation.person_move(reserve, group, reason=f"takes the place of {person}: {reason}", by=user)
    annotation.turns_reassign(person)
    swaps = sum(step.state == AdjustmentStep.State.APPLIED for step in log)
    sets_reopen(stage, f"{stage}.{swaps}" if swaps else stage, reserve)
    return AdjustmentStep.objects.create(
        stage=stage,
        round=log[-1].round if log else 1,
        state=AdjustmentStep.State.REPLACED,
        high=person,
        low=reserve,
        numbers=numbers,
        confirmed_by=user,
        applied_at=timezone.now(),
    )


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
    had = [step for step in log if step.state != AdjustmentStep.State.REPLACED]
    return places[places.index((had[-1].round, had[-1].emotion)) + 1 :] if had else places


def _policy(asked: str | None, log: Sequence[AdjustmentStep]) -> str:
    policy = asked or next((step.numbers["policy"] for step in reversed(log) if "policy" in step.numbers), "always")
    if policy not in adjustment.POLICIES:
        raise ValidationError(f"unknown policy {policy!r}: choose one of {', '.join(adjustment.POLICIES)}", code="policy")
    return policy


def _numbers(scores: selectors.StageScores, reviews: Sequence[selectors.Reviewed]) -> dict[str, Any]:
    """Where a step starts from: scores, and who is in which group."""
    return {
        "mean": scores.mean,
        "variance": scores.variance,
        "inter_group": scores.inter_groups,
        "intra_group": {row.group: row.intra_group for row in scores.groups},
        "allocation": {str(member.id): member.group for member in selectors.candidates(reviews)},
    }


def _has_failed(last: AdjustmentStep, scores: selectors.StageScores) -> bool:
    """The log's last entry is a swap that made things worse, and not itself the taking back of one."""
    is_swap = last.state == AdjustmentStep.State.APPLIED and "reverts" not in last.numbers
    return is_swap and adjustment.is_worse(list(last.numbers["inter_group"].values()), list(scores.inter_groups.values()))


def _reversal(last: AdjustmentStep, reviews: Sequence[selectors.Reviewed], common: dict[str, Any]) -> AdjustmentStep:
    """The proposal that the two go back; their labels of their old group's sets are there already."""
    if last.high_id is None or last.low_id is None:
        raise ValueError(f"step {last.pk} swapped nobody")
    groups = common["allocation"]
    numbers = common | {
        "reverts": last.pk,
        "before": {"mean": last.numbers["mean"], "variance": last.numbers["variance"]},
        "high": {"group": groups[str(last.high_id)]},
        "low": {"group": groups[str(last.low_id)]},
        "within_noise": False,
    }
    numbers |= _expectations(adjustment.Swap(last.high_id, last.low_id, 0.0, is_literal=False), selectors.candidates(reviews), reviews)
    return AdjustmentStep.objects.create(
        stage=last.stage,
        round=last.round,
        emotion=last.emotion,
        state=AdjustmentStep.State.PROPOSED,
        high=last.high,
        low=last.low,
        numbers=numbers,
    )


def _step(
    stage: str,
    number: int,
    emotion: str,
    reviews: Sequence[selectors.Reviewed],
    scores: selectors.StageScores,
    log: Sequence[AdjustmentStep],
    common: dict[str, Any],
) -> AdjustmentStep:
    members = selectors.candidates(reviews)
    visited = {frozenset((int(pk), letter) for pk, letter in allocation.items()) for step in log for allocation in _visited(step)}
    visited.add(adjustment.allocation_of(members))
    code = EMOTIONS.index(emotion)
    outcome = adjustment.propose(members, code, visited=visited, group_scores=scores.inter_groups)
    if isinstance(outcome, adjustment.Skip):
        numbers = common | {"reason": outcome.reason}
        return AdjustmentStep.objects.create(
            stage=stage, round=number, emotion=emotion, state=AdjustmentStep.State.SKIPPED, numbers=numbers
        )
    numbers = common | _swap_numbers(outcome, members, code, reviews)
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
    if step.state == AdjustmentStep.State.REPLACED or step.high_id is None or step.low_id is None:
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
    now = {str(member.id): member.group for member in selectors.candidates(reviews)}
    for step in log:
        allocation, scored = step.numbers["allocation"], step.numbers["inter_group"]
        if set(allocation) == set(now) and scored:  # with other people, before someone was replaced, it cannot come back
            tried.setdefault(str(sorted(allocation.items())), (allocation, scored))
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
    if "reverts" in numbers:
        return (
            f"{step.high} ({numbers['high']['group']}) ↔ {step.low} ({numbers['low']['group']}) back to where they were: "
            f"μ fell from {numbers['before']['mean']:.2f} to {numbers['mean']:.2f} and σ² rose from "
            f"{numbers['before']['variance']:.2f} to {numbers['variance']:.2f}"
        )
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
