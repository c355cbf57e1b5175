"""Votes as arrays: one streaming pass from the database, no row objects, at 84 thousand votes as at 10^7."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import Case, FloatField, QuerySet, SmallIntegerField, Value, When
from django.db.models.functions import Coalesce
from numpy.typing import NDArray

from annotation.models import LABEL, Rung, Sample, Vote
from annotation.rules.taxonomy import EMOTIONS
from qa.selectors.columns import columns_of

CODES = {emotion: code for code, emotion in enumerate(EMOTIONS)}
RUNGS = tuple(Rung.values)
MEMBER = RUNGS.index(Rung.MEMBER)
ROW = np.dtype([("sample", "i8"), ("pk", "i8"), ("person", "i8"), ("emotion", "i1"), ("rung", "i1"), ("confidence", "f8")])
LABEL_ROW = np.dtype([("sample", "i8"), ("label", "i1")])


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
        is_first = np.ones(len(self), dtype=bool)
        is_first[1:] = self.sample[1:] != self.sample[:-1]
        start = np.flatnonzero(is_first)
        count = np.diff(start, append=len(self))
        width = int(count.max(initial=0))
        ratings = np.full(len(start) * width, -1, dtype=np.int8)
        ratings[np.arange(len(self)) + np.repeat(np.arange(len(start)) * width - start, count)] = self.emotion
        return self.sample[start], ratings.reshape(len(start), width)

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
    read = columns_of(rows, ROW)
    order = np.lexsort((read.pop("pk"), read["sample"]))
    for name, column in read.items():  # one after another, so that no second copy of all is held
        read[name] = column[order]
    read["confidence"][read["confidence"] < 0] = np.nan
    return VoteTable(**read)


def label_votes() -> QuerySet[Vote]:
    """Every vote that counts towards a label; samples that were flagged out are left out."""
    return Vote.objects.filter(round=LABEL, undone_at__isnull=True).exclude(sample__state=Sample.State.EXCLUDED)


def member_votes() -> QuerySet[Vote]:
    return label_votes().filter(rung=Rung.MEMBER)


@dataclass(frozen=True)
class SampleLabels:
    """Parallel arrays about samples, ordered by pk: label code, −1 while open."""

    sample: NDArray[np.int64]
    label: NDArray[np.int8]

    def place(self, samples: NDArray[np.integer]) -> NDArray[np.int64]:
        """Where these samples stand here. All must be known."""
        return np.searchsorted(self.sample, samples)


@dataclass(frozen=True)
class SampleFacts(SampleLabels):
    """And group letter, platform and month of the decision."""

    group: NDArray[np.str_]
    platform: NDArray[np.str_]
    month: NDArray[np.str_]


def sample_labels(samples: QuerySet[Sample]) -> SampleLabels:
    """Labels alone, for more samples than facts could be held of."""
    read = columns_of(samples.order_by("pk").values_list("pk", _code("label", EMOTIONS, other=-1)), LABEL_ROW)
    return SampleLabels(**read)


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


def label_data() -> tuple[VoteTable, SampleFacts]:
    """The votes for labels and the facts about their samples; one that is flagged out between the two readings is in neither."""
    votes, facts = vote_table(label_votes()), sample_facts()
    return votes.where(np.isin(votes.sample, facts.sample)), facts


def _code(field: str, names: Sequence[str], *, other: int | None = None) -> Case:
    """The name's place in `names`, worked out by the database so that only small numbers travel."""
    cases = (When(**{field: name}, then=Value(code)) for code, name in enumerate(names))
    return Case(*cases, default=Value(other), output_field=SmallIntegerField())


def _confidence() -> Coalesce:
    return Coalesce("confidence", Value(-1.0), output_field=FloatField())
