"""Design before hiring: the labelling protocol tried on simulated annotators, before anyone is asked to label."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from annotation.rules.taxonomy import EMOTIONS
from annotation.views.words import EMOTION_NAMES
from qa import selectors, services, tasks
from qa.export.reports import simulation_tables
from qa.export.tables import as_csv
from qa.models import SimulationJob
from qa.rules.protocol import CLASS_MIX, RUNGS, Settings
from qa.rules.variants import MOST_SEED
from qa.views.quality import RUNG_NAMES

SHOWN_TRIALS = 20
PROTOCOL_NAMES = {
    "ladder": gettext_lazy("the ladder"),
    "majority of 3": gettext_lazy("majority of 3"),
    "majority of 5": gettext_lazy("majority of 5"),
    "Dawid–Skene of 3": gettext_lazy("Dawid–Skene of 3"),
    "Dawid–Skene of 5": gettext_lazy("Dawid–Skene of 5"),
    "Dawid–Skene at equal votes": gettext_lazy("Dawid–Skene at equal votes"),
    "adaptive stopping at equal votes": gettext_lazy("adaptive stopping at equal votes"),
}
MIXES = {
    "paper": gettext_lazy("as in the paper"),
    "data": gettext_lazy("as labelled here until now"),
    "own": gettext_lazy("as set below"),
}
ROLE_NAMES = {"member": gettext_lazy("members"), "leader": gettext_lazy("leaders"), "expert": gettext_lazy("experts")}


def _ability(label: Any) -> forms.FloatField:
    return forms.FloatField(label=label, min_value=0.05, max_value=0.99)


class DesignForm(forms.Form):
    """The simulated world; what stands in the fields is the rule's own."""

    num_samples = forms.IntegerField(
        label=gettext_lazy("Samples"), min_value=services.FEWEST_SAMPLES, max_value=services.MOST_SAMPLES, initial=20_000
    )
    seed = forms.IntegerField(label=gettext_lazy("Seed"), min_value=0, max_value=MOST_SEED, initial=0)
    num_groups = forms.IntegerField(label=gettext_lazy("Groups of three members and a leader"), min_value=2, max_value=50)
    people_from_data = forms.BooleanField(label=gettext_lazy("People who err as those here do (by Dawid–Skene)"), required=False)
    member_ability = _ability(gettext_lazy("Members: chance to say the true emotion of an easy clip"))
    leader_ability = _ability(gettext_lazy("Leaders: the same"))
    expert_ability = _ability(gettext_lazy("Expert: the same"))
    spread = forms.FloatField(label=gettext_lazy("How far people differ in it (standard deviation)"), min_value=0, max_value=0.3)
    confusion = forms.FloatField(
        label=gettext_lazy("Errors: below 1 towards one other emotion, above towards all"), min_value=0.1, max_value=100
    )
    hard_share = forms.FloatField(label=gettext_lazy("Share of hard clips, half guessed"), min_value=0, max_value=1)
    mix = forms.ChoiceField(label=gettext_lazy("Class mix"), choices=list(MIXES.items()))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        for name in SETTINGS:
            self.fields[name].initial = getattr(Settings, name)
            self.fields[name].widget.attrs["step"] = "any"
        for emotion, videos in zip(EMOTIONS, CLASS_MIX, strict=True):
            self.fields[_share(emotion)] = forms.IntegerField(
                label=EMOTION_NAMES[emotion], min_value=0, max_value=1_000_000, initial=videos, required=False
            )

    def groups(self) -> list[tuple[Any, list[forms.BoundField]]]:
        """The fields as they stand side by side."""
        parts = (
            (_("What is tried"), ["num_samples", "seed", "num_groups", "hard_share"]),
            (_("People"), ["member_ability", "leader_ability", "expert_ability", "spread", "confusion"]),
            (_("Clips"), ["mix", *map(_share, EMOTIONS)]),
        )
        return [(title, [self[name] for name in names]) for title, names in parts]

    def asked(self) -> dict[str, Any]:
        """As simulation_ask takes it."""
        chosen = self.cleaned_data
        settings = {name: chosen[name] for name in SETTINGS}
        if chosen["mix"] == "own":
            settings["class_mix"] = tuple(chosen[_share(emotion)] or 0 for emotion in EMOTIONS)
        named = {name: chosen[name] for name in ("num_samples", "seed", "people_from_data")}
        return named | {"settings": Settings(**settings), "mix_from_data": chosen["mix"] == "data"}


SETTINGS = [field.name for field in fields(Settings) if field.name != "class_mix"]


def _share(emotion: str) -> str:
    return f"mix_{emotion}"


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@permission_required("qa.view_quality", raise_exception=True)
def design(request: HttpRequest) -> HttpResponse:
    """The form, the trial that was asked for (?trial=7, else the latest that is done), and the trials before it."""
    form = DesignForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            job = services.simulation_ask(user=request.user, **form.asked())
        except ValidationError as error:
            form.add_error(None, error)
        else:
            # Robust: a broker that is away loses nothing, the sweep sends the job again.
            transaction.on_commit(tasks.simulate_protocol.s(job.pk).apply_async, robust=True)
            return redirect(f"{reverse('qa:design')}?trial={job.pk}")
    trials = selectors.simulation_jobs()
    asked = request.GET.get("trial", "")
    trial = get_object_or_404(trials, pk=asked) if asked.isdecimal() and len(asked) < 19 else trials.filter(state="done").first()
    context = {"form": form, "trial": trial, "trials": [(row, _ladder(row)) for row in trials[:SHOWN_TRIALS]]}
    if trial and trial.numbers:
        context |= _pictures(trial)
    return render(request, "qa/design.html", context, status=400 if form.errors else 200)


@require_safe
@login_required
@permission_required("qa.view_quality", raise_exception=True)
def design_table(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """A table of one trial as CSV."""
    trial = get_object_or_404(SimulationJob, pk=pk)
    found = simulation_tables(trial.numbers).get(name) if trial.numbers else None
    if found is None:
        raise Http404
    response = HttpResponse(as_csv(found), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}-{trial.pk}.csv"'
    return response


def _ladder(trial: SimulationJob) -> dict[str, Any]:
    return trial.numbers["rows"][0] if trial.numbers else {}


def _pictures(trial: SimulationJob) -> dict[str, Any]:
    """The charts of one trial, its rows in words, and the κ measured here beside the simulated one."""
    numbers, report = trial.numbers, selectors.last_report()
    rows = [row | {"name": str(PROTOCOL_NAMES[row["protocol"]])} for row in numbers["rows"]]
    return {
        "rows": rows,
        "kappa": numbers["kappa"],
        "kappa_here": report.numbers["agreement"]["overall"]["fleiss_kappa"]["value"] if report else None,
        "measured": [(name, numbers["measured"][role]) for role, name in ROLE_NAMES.items() if role in numbers["measured"]],
        "mix": list(zip(EMOTIONS, trial.settings["class_mix"], strict=True)),
        "points_chart": {
            "points": [
                {"name": row["name"], "x": row["votes"], "y": row["accuracy"], "low": row["low"], "high": row["high"], "strong": not i}
                for i, row in enumerate(rows)
            ],
            "xLabel": _("votes per sample"),
            "yLabel": _("label accuracy"),
            "digits": 4,
        },
        "rungs_chart": {
            "labels": [str(RUNG_NAMES[rung]) for rung in RUNGS],
            "values": [numbers["decided_at"][rung] for rung in RUNGS],
            "yLabel": _("share of samples"),
            "yMax": 1,
            "percent": True,
            "digits": 1,
        },
    }
