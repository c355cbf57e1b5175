"""Can the labels be trusted: consistency, agreement, confidence, the ladder, swaps of people, labels worth a second look."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from annotation.rules.taxonomy import EMOTIONS
from annotation.services import Conflict
from qa import selectors, services, tasks
from qa.export.reports import TITLES
from qa.models import AdjustmentStep

RUNG_NAMES = {
    "member": gettext_lazy("members"),
    "leader": gettext_lazy("leader"),
    "exchange": gettext_lazy("second leader"),
    "expert": gettext_lazy("expert"),
}

SHORT_NAMES = {
    "Excitation": gettext_lazy("Exc"),
    "Fear": gettext_lazy("Fear"),
    "Neutral": gettext_lazy("Neu"),
    "Relaxation": gettext_lazy("Rel"),
    "Sadness": gettext_lazy("Sad"),
    "Tension": gettext_lazy("Ten"),
}
SIMULATED = " (simulated)"  # as Person.__str__ marks them


@require_safe
@login_required
@permission_required("qa.view_quality", raise_exception=True)
def quality(request: HttpRequest) -> HttpResponse:
    report = selectors.last_report()
    context: dict[str, Any] = {"report": report, "stages": [], "adjustments": [_adjustment(stage) for stage in selectors.stages()]}
    if report:
        numbers = report.numbers
        context |= {
            "stages": [_stage(stage) for stage in numbers["stages"]],
            "agreement": numbers["agreement"],
            "coefficients": [(TITLES[name], row) for name, row in numbers["agreement"]["overall"].items()],
            "overall_chart": _overall_chart(numbers["agreement"]),
            "emotion_chart": _estimates_chart(numbers["agreement"]["by_emotion"], "emotion", emotions=True),
            "slices": [
                (title, key, numbers["agreement"][f"by_{key}"])
                for key, title in (("emotion", _("Emotion")), ("group", _("Group")), ("platform", _("Platform")), ("month", _("Month")))
            ],
            "confidence_chart": _confidence_chart(numbers["agreement"]["confidence"]),
            "ladder_chart": _ladder_chart(numbers["agreement"]["ladder"]),
            "history_chart": _history_chart(),
            "second_look": numbers["second_look"],
        }
    return render(request, "qa/quality.html", context)


@require_POST
@login_required
@permission_required("qa.view_quality", raise_exception=True)
def measure(request: HttpRequest) -> HttpResponse:
    tasks.consistency_report.delay_on_commit()
    messages.info(request, _("Everything is being measured; the page shows the new numbers in a moment."))
    return redirect("qa:quality")


@require_POST
@login_required
@permission_required("qa.confirm_swap", raise_exception=True)
def propose(request: HttpRequest, stage: str) -> HttpResponse:
    try:
        found = services.swap_propose(stage)
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


@require_safe
@login_required
@permission_required("qa.view_quality", raise_exception=True)
def rows(request: HttpRequest, stage: str, letter: str, index: int) -> HttpResponse:
    """The samples behind the numbers of one set."""
    found = selectors.set_rows(stage, letter, index)
    if found is None:
        raise Http404
    return render(request, "qa/rows.html", found | {"stage": stage, "letter": letter})


def _stage(numbers: dict[str, Any]) -> dict[str, Any]:
    """A stage's numbers with the charts drawn from them."""
    groups = [row for row in numbers["groups"] if row["intra_group"] is not None]
    members = [(f"{row['group']} · {_starred(member['name'])}", member) for row in numbers["groups"] for member in row["members"]]

    def bars(key: str, label: str, **more: Any) -> dict[str, Any]:
        return {
            "labels": [row["group"] for row in groups],
            "values": [row[f"{key}_group"] for row in groups],
            "low": [row[f"{key}_interval"][0] for row in groups],
            "high": [row[f"{key}_interval"][1] for row in groups],
            "yLabel": label,
            "yMin": 0,
        } | more  # fmt: skip

    return numbers | {
        "intra_chart": bars("intra", "S_a", yMax=1, digits=3),
        "inter_chart": bars("inter", "S_r", yMax=70, digits=2),
        "ratio_chart": {
            "rows": [name for name, _member in members],
            "columns": list(EMOTIONS),
            "values": [list(member["ratios"].values()) for _name, member in members],
            "min": 0,
            "max": 1,
            "digits": 2,
            "rowLabel": _("Member"),
            "names": {emotion: str(short) for emotion, short in SHORT_NAMES.items()},
        },
        "has_simulated": any(SIMULATED in member["name"] for _name, member in members),
        "is_measured": bool(groups),
    }


def _starred(name: str) -> str:
    """A name short enough for a chart; the caption says what the star means."""
    return name.replace(SIMULATED, " *")


def _adjustment(stage: str) -> dict[str, Any]:
    """The log of a stage, the swap that waits, and S_r over the swaps that were made."""
    log = list(selectors.adjustment_log(stage))
    moves = [entry for entry in log if entry.state in {"applied", "proposed"}]
    groups = sorted({group for entry in moves for group in entry.numbers["inter_group"]})
    scores = selectors.stage_scores(stage).inter_groups if moves else {}
    points = [entry.numbers["inter_group"] for entry in moves if entry.state == "applied"] + ([scores] if scores else [])
    chart = {
        "x": list(range(len(points))),
        "xLabel": _("swaps made"),
        "yLabel": "S_r",
        "series": [{"name": group, "values": [point.get(group) for point in points]} for group in groups],
        "digits": 2,
    }
    proposed = next((entry for entry in log if entry.state == "proposed"), None)
    return {"stage": stage, "log": log, "proposed": proposed, "chart": chart if len(points) > 1 else None}


def _overall_chart(agreement: dict[str, Any]) -> dict[str, Any]:
    found = {TITLES[name]: row for name, row in agreement["overall"].items() if row["low"] is not None}
    return {
        "labels": list(found),
        "values": [row["value"] for row in found.values()],
        "low": [row["low"] for row in found.values()],
        "high": [row["high"] for row in found.values()],
        "yMax": 1,
        "digits": 3,
    }


def _estimates_chart(estimates: list[dict[str, Any]], key: str, *, emotions: bool) -> dict[str, Any]:
    found = [row for row in estimates if row["low"] is not None]
    return {
        "labels": [row[key] for row in found],
        "values": [row["value"] for row in found],
        "low": [row["low"] for row in found],
        "high": [row["high"] for row in found],
        "emotions": emotions,
        "yLabel": "κ",
        "digits": 3,
    }


def _confidence_chart(confidence: dict[str, Any]) -> dict[str, Any] | None:
    bins = [row for row in confidence.get("bins", []) if row["votes"]]
    if not bins:
        return None
    middle = [(row["from"] + row["to"]) / 2 for row in bins]
    return {
        "x": middle,
        "xLabel": _("stated confidence"),
        "yLabel": _("share that agreed with the label"),
        "yMin": 0,
        "yMax": 1,
        "series": [
            {"name": _("agreed"), "values": [row["agreed"] for row in bins]},
            {"name": _("if confidence were earned"), "values": [row["confidence"] for row in bins]},
        ],
        "digits": 3,
    }


def _ladder_chart(ladder: list[dict[str, Any]]) -> dict[str, Any]:
    rungs = list(dict.fromkeys(row["rung"] for row in ladder))
    return {
        "labels": [str(RUNG_NAMES[rung]) for rung in rungs],
        "series": [
            {"name": emotion, "emotion": emotion, "values": [row["videos"] for row in ladder if row["emotion"] == emotion]}
            for emotion in EMOTIONS
        ],
        "yLabel": _("videos"),
        "digits": 0,
    }


def _history_chart() -> dict[str, Any] | None:
    """Fleiss' κ of each kept report."""
    values = [report.numbers["agreement"]["overall"]["fleiss_kappa"]["value"] for report in selectors.report_history()]
    if len(values) < 2:
        return None
    return {
        "x": list(range(1, len(values) + 1)),
        "xLabel": _("report"),
        "yLabel": "κ",
        "series": [{"name": "κ", "values": values}],
        "digits": 3,
    }
