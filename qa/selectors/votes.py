"""Votes as arrays: one streaming pass from the database, no row objects, at 84 thousand votes as at 10^7."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Case, FloatField, QuerySet, SmallIntegerField, Value, When
from django.db.models.functions import Coalesce
from numpy.typing import NDArray

from annotation.models import LABEL, Rung, Sample, Vote
from annotation.rules.taxonomy import EMOTIONS

CODES = {emotion: code for code, emotion in enumerate(EMOTIONS)}
RUNGS = tuple(Rung.values)
CHUNK = 20_000
ROW = np.dtype([("sample", "i8"), ("pk", "i8"), ("person", "i8"), ("emotion", "i1"), ("rung", "i1"), ("confidence", "f8")])


@dataclass(frozen=True)
class VoteTable:
    """Parallel arrays, ordered by sample and then by the order in which the votes came; confidence is NaN where not given."""

    sample: NDArray[np.int64]
    person: NDArray[np.int64]
    emotion: NDArray[np.int8]
    rung: NDArray[np.int8]
    confidence: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.sample)

    def where(self, chosen: NDArray[np.bool_]) -> VoteTable:
        return VoteTable(self.sample[chosen], self.person[chosen], self.emotion[chosen], self.rung[chosen], self.confidence[chosen])

    def matrix(self) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        """The samples, and their votes as (num_samples, most votes of any sample), −1 where a sample has fewer."""
        samples, start, count = np.unique(self.sample, return_index=True, return_counts=True)
        ratings = np.full((len(samples), int(count.max(initial=0))), -1, dtype=np.int8)
        row = np.repeat(np.arange(len(samples)), count)
        ratings[row, np.arange(len(self)) - np.repeat(start, count)] = self.emotion
        return samples, ratings

    def by_person(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
        """The samples, the people, and who said what as (num_samples, num_people), −1 where one has not voted; the last vote counts."""
        samples, row = np.unique(self.sample, return_inverse=True)
        people, column = np.unique(self.person, return_inverse=True)
        ratings = np.full((len(samples), len(people)), -1, dtype=np.int8)
        ratings[row, column] = self.emotion
        return samples, people, ratings


def vote_table(votes: QuerySet[Vote]) -> VoteTable:
    """The votes of a query as arrays, read once and in chunks."""
    rows = votes.order_by().values_list("sample_id", "pk", "person_id", _code("emotion", EMOTIONS), _code("rung", RUNGS), _confidence())
    read = np.fromiter(_streamed(rows), dtype=ROW)
    read = read[np.lexsort((read["pk"], read["sample"]))]
    confidence = np.where(read["confidence"] < 0, np.nan, read["confidence"])
    return VoteTable(read["sample"], read["person"], read["emotion"], read["rung"], confidence)


def _streamed(rows: QuerySet[Any, tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """The query's rows as the database gives them: Django's own iterator costs several times as much per row."""
    try:
        sql, params = rows.query.sql_with_params()
    except EmptyResultSet:
        return
    with connections[rows.db].chunked_cursor() as cursor:
        cursor.execute(sql, params)
        while chunk := cursor.fetchmany(CHUNK):
            yield from chunk


def label_votes() -> QuerySet[Vote]:
    """Every vote that counts towards a label; samples that were flagged out are left out."""
    return Vote.objects.filter(round=LABEL, undone_at__isnull=True).exclude(sample__state=Sample.State.EXCLUDED)


def member_votes() -> QuerySet[Vote]:
    return label_votes().filter(rung=Rung.MEMBER)


@dataclass(frozen=True)
class SampleFacts:
    """Parallel arrays about samples, ordered by pk: label code (−1 while open), group letter, platform and month of the decision."""

    sample: NDArray[np.int64]
    label: NDArray[np.int8]
    group: NDArray[np.str_]
    platform: NDArray[np.str_]
    month: NDArray[np.str_]

    def place(self, samples: NDArray[np.integer]) -> NDArray[np.int64]:
        """Where these samples stand here. All must be known."""
        return np.searchsorted(self.sample, samples)


def sample_facts() -> SampleFacts:
    """Facts about every sample that was not flagged out."""
    rows = list(
        Sample.objects.exclude(state=Sample.State.EXCLUDED)
        .order_by("pk")
        .values_list("pk", "label", "group__letter", "video__platform", "decided_at")
    )
    columns: Sequence[Any] = list(zip(*rows, strict=True)) or [()] * 5
    return SampleFacts(
        np.array(columns[0], dtype=np.int64),
        np.array([CODES.get(label, -1) for label in columns[1]], dtype=np.int8),
        np.array(columns[2], dtype=str),
        np.array(columns[3], dtype=str),
        np.array([f"{when:%Y-%m}" if when else "" for when in columns[4]], dtype=str),
    )


def _code(field: str, names: Sequence[str]) -> Case:
    """The name's place in `names`, worked out by the database so that only small numbers travel."""
    return Case(*(When(**{field: name}, then=Value(code)) for code, name in enumerate(names)), output_field=SmallIntegerField())


def _confidence() -> Coalesce:
    return Coalesce("confidence", Value(-1.0), output_field=FloatField())
