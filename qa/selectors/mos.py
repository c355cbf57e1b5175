"""MOS studies: what is to be rated next, and the scores so far."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from django.db.models import QuerySet

from annotation.models import Person
from crawler.models import Video
from qa.models import MosItem, MosRating, MosStudy
from qa.rules import mos
from qa.selectors.columns import CHUNK


def mos_items(study: MosStudy) -> QuerySet[MosItem]:
    """The clips of the mix but for those of ours that were taken down or dropped since."""
    ours = dict(study.items.exclude(release__variant="imported").values_list("pk", "file"))
    there = clips_there(ours.values())
    return study.items.exclude(pk__in=[pk for pk, file in ours.items() if file not in there])


def clips_there(files: Iterable[str]) -> set[str]:
    """Of the clips of our releases (train/00000012.mp4) those that may still be shown: only an accepted video has its number."""
    numbers = {int(PurePosixPath(file).stem): file for file in files}
    wanted, there = list(numbers), set[int | None]()
    for start in range(0, len(wanted), CHUNK):
        there.update(Video.objects.filter(number__in=wanted[start : start + CHUNK]).values_list("number", flat=True))
    return {file for number, file in numbers.items() if number in there}


def mos_next(study: MosStudy, person: Person) -> MosItem | None:
    """The first clip of the mix that this person has not rated."""
    return mos_items(study).exclude(ratings__person=person).order_by("order").first()


def mos_progress(study: MosStudy, person: Person) -> tuple[int, int]:
    """How many clips this person has rated, and of how many."""
    items = mos_items(study)
    return items.filter(ratings__person=person).count(), items.count()


def mos_studies() -> list[dict[str, Any]]:
    """The numbers of every study, the newest first."""
    return [mos_numbers(study) for study in MosStudy.objects.order_by("-pk")]


def mos_numbers(study: MosStudy) -> dict[str, Any]:
    """MOS per dataset with its 95 % interval, and each rater's bias; JSON-ready."""
    items = list(study.items.values_list("pk", "dataset"))
    ratings = list(MosRating.objects.filter(item__study=study).values_list("item_id", "person_id", "score"))
    people = {pk: i for i, pk in enumerate(sorted({person for _, person, _ in ratings}))}
    names = {person.pk: str(person) for person in Person.objects.filter(pk__in=people)}
    row_of = {pk: i for i, (pk, _) in enumerate(items)}
    table = np.full((len(items), len(people)), np.nan)
    for item, person, score in ratings:
        table[row_of[item], people[person]] = score
    datasets = np.array([dataset for _, dataset in items])
    bias = mos.rater_bias(table) if people else np.array([])
    return {
        "study": study.name,
        "datasets": [_score(name, table[datasets == name]) for name in sorted(set(datasets.tolist()))],
        "raters": [
            {"rater": names[pk], "ratings": int((~np.isnan(table[:, i])).sum()), "bias": None if np.isnan(bias[i]) else float(bias[i])}
            for pk, i in people.items()
        ],
    }


def _score(name: str, ratings: np.ndarray) -> dict[str, Any]:
    row: dict[str, Any] = {"dataset": name, "clips": len(ratings)}
    try:
        found = mos.opinion_score(ratings)
    except ValueError as error:
        return row | {"mean": None, "low": None, "high": None, "rated": 0, "ratings": 0, "why": str(error)}
    return row | {
        "mean": found.mean,
        "low": found.low,
        "high": found.high,
        "rated": found.num_samples,
        "ratings": found.num_ratings,
        "why": "",
    }
