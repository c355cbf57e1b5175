"""Can the labels be trusted: consistency, agreement, confidence, the ladder, swaps of people, labels worth a second look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from annotation.models import Person
from annotation.rules.taxonomy import EMOTIONS
from annotation.views.words import EMOTION_NAMES
from crawler.models import Platform
from qa import selectors, tasks
from qa.export import reports
from qa.export.reports import TITLES
from qa.export.tables import Table, as_csv
from qa.views.swaps import SIMULATED, stage_swaps

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


OUTCOME_NAMES = {
    "consistent": gettext_lazy("consistent"),
    "different": gettext_lazy("different"),
    "undecided": gettext_lazy("more (undecided)"),
    "waiting": gettext_lazy("waiting"),
}
SHOWN_ROWS = 100
MOST_COUNTED = 10_000
OPINION_FILES = [f"{name}.{suffix}" for name in ("samples", "people") for suffix in ("csv", "parquet")]


class BehindForm(forms.Form):
    """Which number's rows are asked for."""

    group = forms.CharField(label=gettext_lazy("Group"), required=False, max_length=2)
    platform = forms.ChoiceField(label=gettext_lazy("Platform"), required=False, choices=[("", ""), *Platform.choices])
    month = forms.RegexField(r"^\d{4}-(0[1-9]|1[0-2])$", label=gettext_lazy("Month"), required=False)
    emotion = forms.ChoiceField(label=gettext_lazy("Emotion"), required=False, choices=[("", ""), *EMOTION_NAMES.items()])
    rung = forms.ChoiceField(label=gettext_lazy("Decided by"), required=False, choices=[("", ""), *RUNG_NAMES.items()])
    people = forms.RegexField(r"^\d{1,9}(,\d{1,9})?$", label=gettext_lazy("Both voted"), required=False)
    confidence = forms.FloatField(label=gettext_lazy("Confidence from"), required=False, min_value=0, max_value=1)

    def clean_people(self) -> tuple[int, ...]:
        return tuple(int(pk) for pk in self.cleaned_data["people"].split(",") if pk)


@require_safe
@login_required
@permission_required("qa.view_quality", raise_exception=True)
def quality(request: HttpRequest) -> HttpResponse:
    report = selectors.last_report()
    context: dict[str, Any] = {
        "report": report,
        "stages": [],
        "adjustments": [stage_swaps(stage) for stage in selectors.stages()],
        "studies": [_study(numbers) for numbers in selectors.mos_studies()],
    }
    if report:
        numbers = report.numbers
        context |= {
            "stages": [_stage(stage) for stage in numbers["stages"]],
            "agreement": numbers["agreement"],
            "coefficients": [(_(title), numbers["agreement"]["overall"][name]) for name, title in TITLES.items()],
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
            "opinions": _opinions(),
            "rungs": list(RUNG_NAMES.items()),
        }
    return render(request, "qa/quality.html", context)


@require_POST
@login_required
@permission_required("qa.view_quality", raise_exception=True)
def measure(request: HttpRequest) -> HttpResponse:
    tasks.consistency_report.delay_on_commit()
    tasks.second_opinions.delay_on_commit()
    messages.info(request, _("Everything is being measured; the page shows the new numbers in a moment."))
    return redirect("qa:quality")


@require_safe
@login_required
@permission_required("qa.view_quality", raise_exception=True)
def rows(request: HttpRequest, stage: str, letter: str, index: int) -> HttpResponse:
    """The samples behind the numbers of one set; ?only=consistent, different, undecided or waiting ones."""
    only = request.GET.get("only", "")
    found = selectors.set_rows(stage, letter, index, outcome=only)
    if found is None or only not in {"", *OUTCOME_NAMES}:
        raise Http404
    return render(request, "qa/rows.html", found | {"stage": stage, "letter": letter, "only": OUTCOME_NAMES.get(only, "")})


@require_safe
@login_required
@permission_required("qa.view_quality", raise_exception=True)
def ratio(request: HttpRequest, stage: str, pk: int, emotion: str) -> HttpResponse:
    """The samples behind one consistency ratio."""
    found = selectors.ratio_rows(stage, pk, emotion) if emotion in EMOTIONS else None
    if found is None:
        raise Http404
    return render(request, "qa/ratio.html", found | {"stage": stage, "emotion": emotion})


@require_safe
@login_required
@permission_required("qa.view_quality", raise_exception=True)
def behind(request: HttpRequest) -> HttpResponse:
    """The labels behind a number of agreement: ?group=, ?platform=, ?month=, ?emotion=, ?rung=, ?people=1,2, ?confidence=0.6."""
    form = BehindForm(request.GET)
    if not form.is_valid():
        raise Http404
    asked = selectors.Behind(**{name: value for name, value in form.cleaned_data.items() if value not in {"", None}})
    samples = selectors.samples_behind(asked)
    context = {
        "asked": [(form.fields[name].label, _shown(form[name])) for name in form.fields if form[name].value()],
        "rows": [row | {"rung": RUNG_NAMES.get(row["sample"].decided_rung, "")} for row in selectors.behind_rows(samples[:SHOWN_ROWS])],
        "total": samples.order_by()[: MOST_COUNTED + 1].count(),
        "most": MOST_COUNTED,
        "limit": SHOWN_ROWS,
        "people": Person.objects.filter(pk__in=asked.people),
    }
    return render(request, "qa/behind.html", context)


@require_safe
@login_required
@permission_required("qa.view_quality", raise_exception=True)
def quality_table(request: HttpRequest, name: str) -> HttpResponse:
    """A table of the last report, or of a study, as CSV."""
    report, opinions = selectors.last_report(), selectors.last_report("opinions")
    tables = reports.quality_tables(report.numbers, opinions.numbers if opinions else None) if report else {}
    for numbers in selectors.mos_studies():
        tables |= reports.opinion_score_tables(numbers)
    return table_file(tables, name)


def table_file(tables: Mapping[str, Table], name: str) -> HttpResponse:
    """One of the tables as a CSV file. Raises Http404 for a name that is none of theirs."""
    if name not in tables:
        raise Http404
    response = HttpResponse(as_csv(tables[name]), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


@require_safe
@login_required
@permission_required("qa.view_quality", raise_exception=True)
def opinions_file(request: HttpRequest, name: str) -> FileResponse:
    """What the three models say of everybody (people) and of every label (samples), whole, as it was last measured."""
    path = settings.OPINIONS_DIR / name
    if name not in OPINION_FILES or not path.is_file():
        raise Http404
    return FileResponse(path.open("rb"), as_attachment=True, filename=f"opinions-{name}")


def _shown(field: forms.BoundField) -> Any:
    """What was asked for, a choice by its name."""
    return dict(getattr(field.field, "choices", ())).get(field.value(), field.value())


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
            "values": [[member["ratios"][emotion] for emotion in EMOTIONS] for _name, member in members],
            "min": 0,
            "max": 1,
            "digits": 2,
            "rowLabel": _("Member"),
            "links": [
                [reverse("qa:ratio", args=[numbers["stage"], member["person"], name]) for name in EMOTIONS] for _n, member in members
            ],
            "names": {emotion: str(short) for emotion, short in SHORT_NAMES.items()},
        },
        "has_simulated": any(SIMULATED in member["name"] for _name, member in members),
        "is_measured": bool(groups),
    }


def _study(numbers: dict[str, Any]) -> dict[str, Any]:
    """A study's numbers with the chart drawn from them (Fig. 4)."""
    rated = [row for row in numbers["datasets"] if row["mean"] is not None]
    chart = {
        "labels": [row["dataset"] for row in rated],
        "values": [row["mean"] for row in rated],
        "low": [row["low"] for row in rated],
        "high": [row["high"] for row in rated],
        "yLabel": "MOS",
        "yMin": 1,
        "yMax": 5,
        "digits": 2,
    }
    return numbers | {"chart": chart}


def _starred(name: str) -> str:
    """A name short enough for a chart; the caption says what the star means."""
    return name.replace(SIMULATED, " *")


def _opinions() -> dict[str, Any] | None:
    """The three models' report, and how able each finds each person: within a model, between the least and the most able."""
    report = selectors.last_report("opinions")
    if report is None or not report.numbers["people"]:
        return None
    people = report.numbers["people"]
    chart = {
        "labels": [row["person"].replace(SIMULATED, " *") for row in people],
        "series": [
            {"name": name, "values": [row[model] for row in people]} for model, name in (("dawid_skene", "Dawid–Skene"), ("mace", "MACE"))
        ],
        "yLabel": _("ability"),
        "yMin": 0,
        "yMax": 1,
        "digits": 3,
    }
    listed = {key: [_with_rung(row) for row in report.numbers[key]] for key in ("labels", "hardest")}
    files = [name for name in OPINION_FILES if (settings.OPINIONS_DIR / name).is_file()]
    return report.numbers | listed | {"when": report.created_at, "chart": chart, "files": files}


def _with_rung(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"rung": RUNG_NAMES.get(row["rung"], row["rung"])}


def _overall_chart(agreement: dict[str, Any]) -> dict[str, Any]:
    found = {_(title): row for name, title in TITLES.items() if (row := agreement["overall"][name])["low"] is not None}
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
        "names": {emotion: str(name) for emotion, name in EMOTION_NAMES.items()} if emotions else {},
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
            {
                "name": str(EMOTION_NAMES[emotion]),
                "emotion": emotion,
                "values": [row["videos"] for row in ladder if row["emotion"] == emotion],
            }
            for emotion in EMOTIONS
        ],
        "yLabel": _("videos"),
        "digits": 0,
    }


def _history_chart() -> dict[str, Any] | None:
    """Fleiss' κ of each kept report."""
    values = selectors.kappa_history()
    if len(values) < 2:
        return None
    return {
        "x": list(range(1, len(values) + 1)),
        "xLabel": _("report"),
        "yLabel": "κ",
        "series": [{"name": "κ", "values": values}],
        "digits": 3,
    }
