"""The front page: the way of the videos from found to released, and what this person can do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from qa import selectors


@dataclass(frozen=True)
class Todo:
    """One thing to do: how many wait, in words, and where."""

    text: str
    url: str
    count: int


@require_safe
@login_required
def home(request: HttpRequest) -> HttpResponse:
    counts = selectors.funnel_counts()
    names = {"found": _("found"), "fetched": _("fetched"), "kept": _("kept"), "labelled": _("labelled"), "released": _("released")}
    chart = {
        "labels": list(names.values()),
        "values": [counts[key] for key in names],
        "horizontal": True,
        "yLabel": _("videos"),
        "digits": 0,
    }
    todos = _todos(request.user)
    context = {
        "funnel": [(name, counts[key]) for key, name in names.items()],
        "funnel_chart": chart,
        "counts": counts,
        "todos": [todo for todo in todos if todo.count],
        "has_role": bool(todos),
    }
    return render(request, "qa/home.html", context)


def _todos(user: Any) -> list[Todo]:
    """What waits for this person, by permission; pages that do not exist are left out."""
    waiting = selectors.waiting_for(getattr(user, "person", None))
    found = []
    for permission, name, count, text in (
        ("annotation.manage_people", "annotation:people", waiting["no_people"], _("Import the people of your team")),
        ("annotation.manage_people", "annotation:people", waiting["shut_out"], ngettext("%d person has no password yet: make a link", "%d people have no password yet: make links", waiting["shut_out"])),
        ("crawler.run_stage", "crawler:collect", waiting["no_videos"], _("Plan a crawl stage, or take in clips of your own")),
        ("annotation.manage_people", "annotation:gold", waiting["gold_lacking"], ngettext("The labelling test lacks %d gold item", "The labelling test lacks %d gold items", waiting["gold_lacking"])),
        ("annotation.label", "annotation:annotate", waiting["turns"], ngettext("%d clip waits for your label", "%d clips wait for your label", waiting["turns"])),
        ("annotation.label", "annotation:qualify", waiting["tests"], _("Pass the labelling test; then clips come to you")),
        ("annotation.lead_group", "annotation:leader", waiting["turns"], ngettext("%d undecided clip waits for you", "%d undecided clips wait for you", waiting["turns"])),
        ("annotation.decide_as_expert", "annotation:expert", waiting["turns"], ngettext("%d clip waits for your last word", "%d clips wait for your last word", waiting["turns"])),
        ("annotation.decide_as_expert", "qa:mos", waiting["studies"], ngettext("%d study of label quality is open", "%d studies of label quality are open", waiting["studies"])),
        ("crawler.review_video", "crawler:review", waiting["reviews"], ngettext("%d doubtful clip waits for review", "%d doubtful clips wait for review", waiting["reviews"])),
        ("crawler.run_stage", "crawler:collect", waiting["stages"], ngettext("%d crawl stage runs or is planned", "%d crawl stages run or are planned", waiting["stages"])),
        ("qa.confirm_swap", "qa:quality", waiting["proposals"], ngettext("%d swap of people waits for confirmation", "%d swaps of people wait for confirmation", waiting["proposals"])),
        ("annotation.manage_people", "annotation:people", waiting["unplaced"], ngettext("%d annotator is in no group", "%d annotators are in no group", waiting["unplaced"])),
        ("qa.view_dataset", "qa:dataset", waiting["releases"], ngettext("%d release to look at", "%d releases to look at", waiting["releases"])),
        ("training.view_runs", "training:runs", waiting["releases"], _("Train a network on a release")),
    ):  # fmt: skip
        if user.has_perm(permission):
            text = text % count if "%d" in text else text
            try:
                found.append(Todo(text, reverse(name), count))
            except NoReverseMatch:
                continue
    return found
