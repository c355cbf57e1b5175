"""What hints do to votes: those cast after seeing one, those cast without asking, and those whose hint was held back by lot."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from annotation import selectors
from annotation.rules.hints import difference_interval, share_interval

NAMES = {
    "seen": gettext_lazy("hint seen"),
    "unseen": gettext_lazy("hint not asked for"),
    "offered": gettext_lazy("both together: a hint was on offer"),
    "held back": gettext_lazy("hint held back by lot"),
}


@require_safe
@login_required
@permission_required("qa.view_quality", raise_exception=True)
def hints(request: HttpRequest) -> HttpResponse:
    counted = selectors.hints_counted()
    offered, held_back = counted["offered"], counted["held back"]
    difference = None
    if offered["votes"] and held_back["votes"]:
        difference = [
            100 * part for part in difference_interval((offered["same"], offered["votes"]), (held_back["same"], held_back["votes"]))
        ]
    context = {"rows": [_row(key, counted[key]) for key in NAMES], "difference": difference, "offers": settings.PRELABEL_HINT}
    return render(request, "annotation/hints.html", context)


def _row(key: str, found: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": NAMES[key],
        **found,
        "same": _percent(found["same"], found["votes"]),
        "as_label": _percent(found["as_label"], found["settled"]),
        "run_right": _percent(found["run_right"], found["settled"]),
    }


def _percent(right: int, of: int) -> tuple[float, float, float] | None:
    """The share and its interval in percent."""
    if not of:
        return None
    low, high = share_interval(right, of)
    return 100 * right / of, 100 * low, 100 * high
