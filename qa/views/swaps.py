"""Swaps of people: what is due, confirming it, replacing who left, and the drawing of who moved where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from annotation.models import Person
from annotation.services import Conflict
from annotation.views.words import EMOTION_NAMES
from qa import selectors, services
from qa.models import AdjustmentStep

SIMULATED = " (simulated)"  # as Person.__str__ marks them
MOVES = (AdjustmentStep.State.APPLIED, AdjustmentStep.State.REPLACED)


@require_POST
@login_required
@permission_required("qa.confirm_swap", raise_exception=True)
def propose(request: HttpRequest, stage: str) -> HttpResponse:
    try:
        found = services.swap_propose(stage, policy=request.POST.get("policy") or None)
        messages.info(request, found.text)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect("qa:quality")


@require_POST
@login_required
@permission_required("qa.confirm_swap", raise_exception=True)
def step(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    """Confirms or sets aside a proposed swap."""
    get_object_or_404(AdjustmentStep, pk=pk)
    act = {"apply": services.swap_apply, "reject": services.swap_reject}.get(action)
    if act is None:
        raise Http404
    try:
        act(pk, user=request.user)
        messages.success(
            request, _("Done; the two now label their new group's sets.") if action == "apply" else _("The proposal was set aside.")
        )
    except (ValidationError, Conflict) as error:
        messages.error(request, " ".join(getattr(error, "messages", [str(error)])))
    return redirect("qa:quality")


@require_POST
@login_required
@permission_required("qa.confirm_swap", raise_exception=True)
def replace(request: HttpRequest, stage: str) -> HttpResponse:
    """Puts the nearest reserve in the place of a member who left."""
    person, reason = request.POST.get("person", ""), request.POST.get("reason", "")
    try:
        made = services.member_replace(stage, int(person) if person.isascii() and person.isdigit() else 0, reason=reason, user=request.user)
        messages.success(request, _("%(new)s takes the place of %(old)s.") % {"new": made.low, "old": made.high})
    except (ValidationError, Conflict) as error:
        messages.error(request, " ".join(getattr(error, "messages", [str(error)])))
    return redirect("qa:quality")


def stage_swaps(stage: str) -> dict[str, Any]:
    """The log of a stage, the swap that waits, who could be replaced by whom, and the drawing of the moves."""
    log = list(selectors.adjustment_log(stage))
    moves = [entry for entry in log if entry.state in MOVES]
    chart = moves_chart(stage, moves) if moves else None
    return {
        "stage": stage,
        "log": log,
        "proposed": next((entry for entry in log if entry.state == "proposed"), None),
        "policy": next((entry.numbers["policy"] for entry in reversed(log) if "policy" in entry.numbers), "always"),
        "chart": chart,
        "has_simulated": chart is not None and any(one["name"].endswith("*") for one in chart["people"]),
        "replacements": [row for row in selectors.replacements(stage) if row.reserve],
    }


def moves_chart(stage: str, moves: Sequence[AdjustmentStep]) -> dict[str, Any]:
    """Who was in which group before each move and now, with each group's S_r and S_a."""
    reviews = selectors.stage_reviews(stage)
    scores = selectors.stage_scores(stage, reviews)
    now = {str(member.id): member.group for member in selectors.candidates(reviews)}
    places = [move.numbers["allocation"] for move in moves] + [now]
    inter = [move.numbers["inter_group"] for move in moves] + [scores.inter_groups]
    intra = [move.numbers["intra_group"] for move in moves] + [{row.group: row.intra_group for row in scores.groups}]
    lanes = sorted({group for place in places for group in place.values()})
    names = dict(_names({pk for place in places for pk in place}))
    order = sorted(names, key=lambda pk: (next((place[pk] for place in places if pk in place), ""), int(pk)))
    return {
        "lanes": lanes,
        "steps": [_("start"), *(_title(number, move) for number, move in enumerate(moves, start=1))],
        "notes": {lane: [_notes(a.get(lane), b.get(lane)) for a, b in zip(inter, intra, strict=True)] for lane in lanes},
        "people": [{"name": names[pk], "lanes": [place.get(pk) for place in places]} for pk in order],
        "personLabel": _("Person"),
    }


def _names(ids: set[str]) -> list[tuple[str, str]]:
    return [(str(person.pk), str(person).replace(SIMULATED, " *")) for person in Person.objects.filter(pk__in=ids)]


def _title(number: int, move: AdjustmentStep) -> str:
    if move.state == AdjustmentStep.State.REPLACED:
        return _("%(number)d: replaced") % {"number": number}
    name = EMOTION_NAMES.get(move.emotion, move.emotion)
    return f"{number}: {name}" + (" ↩" if "reverts" in move.numbers else "")


def _notes(inter: float | None, intra: float | None) -> list[str]:
    return [f"{name} {value:.{digits}f}" for name, value, digits in (("S_r", inter, 2), ("S_a", intra, 3)) if value is not None]
