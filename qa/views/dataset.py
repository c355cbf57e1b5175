"""What the dataset holds, what was released, and where each label comes from."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from annotation.rules.taxonomy import EMOTIONS
from annotation.views.words import EMOTION_NAMES
from crawler.models import Check
from crawler.selectors import is_large
from qa import figures, selectors
from qa.export.reports import statistics_tables
from qa.views.quality import RUNG_NAMES, table_file

SHOWN_MONTHS = 24
SAMPLE_STATES = {"open": gettext_lazy("open"), "decided": gettext_lazy("decided"), "excluded": gettext_lazy("excluded")}
CACHE_S = 24 * 60 * 60


@require_safe
@login_required
@permission_required("qa.view_dataset", raise_exception=True)
def dataset(request: HttpRequest) -> HttpResponse:
    numbers = _numbers()
    context = {
        "numbers": numbers,
        "has_labels": bool(numbers["emotions"][-1]["videos"]),
        "emotion_chart": _emotion_chart(numbers),
        "duration_chart": _duration_chart(numbers),
        "platform_chart": _platform_chart(numbers),
        "month_chart": _month_chart(numbers),
        "topics": _cloud(numbers["topics"]),
        "content_types": _cloud(numbers["content_types"]),
        "figures": list(figures.DATASET),
        "adjectives": [row for row in numbers["adjectives"] if row["votes"]][:20],
        "unused": sum(not row["votes"] for row in numbers["adjectives"]),
        "releases": [(row, selectors.release_drift(row)) for row in selectors.releases()],
        "jobs": selectors.release_jobs()[:5],
    }
    return render(request, "qa/dataset.html", context)


@require_safe
@login_required
@permission_required("qa.view_dataset", raise_exception=True)
def figure(request: HttpRequest, name: str) -> HttpResponse:
    """A figure of the dataset as vector graphics, for a paper."""
    theme = request.GET.get("theme", "light")
    if name not in figures.DATASET or theme not in figures.THEMES:
        raise Http404
    response = HttpResponse(figures.DATASET[name](_numbers(), theme=theme), content_type="image/svg+xml")
    response["Content-Disposition"] = f'inline; filename="{name}-{theme}.svg"'
    # Matplotlib writes style attributes; the picture is shown as an image, where they are harmless.
    response["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return response


@require_safe
@login_required
@permission_required("qa.view_dataset", raise_exception=True)
def csv_table(request: HttpRequest, name: str) -> HttpResponse:
    return table_file(statistics_tables(_numbers()), name)


@require_safe
@login_required
@permission_required("annotation.view_timeline", raise_exception=True)
def lineage(request: HttpRequest) -> HttpResponse:
    """From a video (?video=12) back to the page it was found on."""
    asked = request.GET.get("video", "").strip()
    video = selectors.video_find(asked) if asked else None
    context = {"asked": asked, "video": video, "found": _in_words(selectors.lineage(video)) if video else None}
    return render(request, "qa/lineage.html", context, status=404 if asked and video is None else 200)


def _in_words(found: dict[str, Any]) -> dict[str, Any]:
    """Verdicts, rungs and the label's state as the reader's language says them."""
    checks = [row | {"verdict": Check.Verdict(row["verdict"]).label} for row in found["checks"]]
    votes = [row | {"rung": RUNG_NAMES[row["rung"]]} for row in found["votes"]]
    label = found["label"]
    if label:
        label = label | {"state": SAMPLE_STATES[label["state"]], "rung": RUNG_NAMES[label["rung"]]}
    return found | {"checks": checks, "votes": votes, "label": label}


def _numbers() -> dict[str, Any]:
    """The statistics: those that were kept, where there are too many videos for a page; else worked out again when something has changed."""
    if is_large() and (kept := selectors.last_report("dataset")):
        return kept.numbers | {"measured_at": kept.created_at}
    key = f"qa.dataset_numbers.{selectors.dataset_version()}"
    numbers = cache.get(key)
    if numbers is None:
        numbers = selectors.dataset_numbers()
        cache.set(key, numbers, CACHE_S)
    return numbers


def _cloud(words: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Words in alphabetical order with one of five sizes, as a cloud wants them."""
    most = max((row["videos"] for row in words), default=1)
    sized = [row | {"size": 1 + min(4, int(5 * (row["videos"] - 1) / most))} for row in words]
    return sorted(sized, key=lambda row: row["word"])


def _emotion_chart(numbers: dict[str, Any]) -> dict[str, Any]:
    rows = numbers["emotions"][:-1]
    return {
        "labels": [row["emotion"] for row in rows],
        "values": [row["videos"] for row in rows],
        "emotions": True,
        "names": {emotion: str(name) for emotion, name in EMOTION_NAMES.items()},
        "yLabel": _("videos"),
        "digits": 0,
    }


def _duration_chart(numbers: dict[str, Any]) -> dict[str, Any]:
    histogram = numbers["durations"]
    edges = histogram["edges_s"]
    return {
        "labels": [f"{low:.0f}–{high:.0f}" for low, high in pairwise(edges)],
        "values": histogram["videos"],
        "horizontal": True,
        "yLabel": _("videos"),
        "xLabel": _("seconds"),
        "digits": 0,
    }


def _month_chart(numbers: dict[str, Any]) -> dict[str, Any]:
    """Labels per month and emotion, all platforms together; the CSV and the figure have each."""
    counts: dict[str, dict[str, int]] = {}
    for row in numbers["label_platform_month"]:
        month = counts.setdefault(row["month"] or "–", dict.fromkeys(EMOTIONS, 0))
        month[row["emotion"]] += row["videos"]
    months = sorted(counts)[-SHOWN_MONTHS:]
    return {
        "rows": months,
        "columns": list(EMOTIONS),
        "values": [list(counts[month].values()) for month in months],
        "min": 0,
        "digits": 0,
        "rowLabel": _("Month"),
        "names": {emotion: str(name) for emotion, name in EMOTION_NAMES.items()},
    }


def _platform_chart(numbers: dict[str, Any]) -> dict[str, Any]:
    rows = numbers["platforms"][:-1]
    return {
        "labels": [figures.PLATFORMS.get(row["platform"], row["platform"]) for row in rows],
        "series": [
            {"name": _("raw"), "values": [row["raw"] for row in rows]},
            {"name": _("labelled"), "values": [row["labelled"] for row in rows]},
        ],
        "yLabel": _("videos"),
        "digits": 0,
    }
