"""Kept reports, and the rows behind a number of a cross-check."""

from __future__ import annotations

from typing import Any

from annotation.models import Sample
from annotation.rules.taxonomy import EMOTIONS
from qa.models import ConsistencyReport
from qa.rules.consistency import PADDING, majority
from qa.selectors.crosscheck import stage_reviews


def last_report(stage: str = "all") -> ConsistencyReport | None:
    return ConsistencyReport.objects.filter(stage=stage).order_by("-pk").first()


def kappa_history(*, limit: int = 60) -> list[float | None]:
    """Fleiss' κ of the latest reports, oldest first. Read out by the database: each report is long."""
    kappas = ConsistencyReport.objects.filter(stage="all").order_by("-pk").values_list("numbers__agreement__overall__fleiss_kappa__value")
    return [value for (value,) in kappas[:limit]][::-1]


OUTCOMES = ("consistent", "different", "undecided", "waiting")


def set_rows(stage: str, letter: str, index: int, *, outcome: str = "") -> dict[str, Any] | None:
    """The samples of one set with each member's answer, or only those of one outcome; None where there is no such set."""
    for reviewed in stage_reviews(stage):
        if reviewed.group.letter != letter:
            continue
        for i, row in enumerate(reviewed.sets):
            if row.index == index:
                rows = [found for found in _rows(reviewed, i) if outcome in {"", found["outcome"]}]
                return {"set": row, "members": [str(person) for person in reviewed.members], "rows": rows}
    return None


def _rows(reviewed: Any, i: int) -> list[dict[str, Any]]:
    samples = [int(pk) for pk in reviewed.samples[i] if pk >= 0]
    numbers = dict(Sample.objects.filter(pk__in=samples).values_list("pk", "video__number"))
    return [
        {
            "sample": pk,
            "number": numbers.get(pk),
            "previous": EMOTIONS[reviewed.previous[i, j]],
            "answers": [EMOTIONS[code] if code >= 0 else None for code in reviewed.current[i, j].tolist()],
            "outcome": _outcome(reviewed.current[i, j], int(reviewed.previous[i, j])),
        }
        for j, pk in enumerate(samples)
    ]


def _outcome(said: Any, previous: int) -> str:
    """What a sample counts as: C, decided differently, M; or not at all while somebody's answer is missing."""
    if (said == PADDING).any():
        return "waiting"
    answer = int(majority(said))
    return "undecided" if answer == PADDING else "consistent" if answer == previous else "different"
