"""The rows behind a number: which samples and votes it was worked out from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from annotation.models import Person, Rung, Sample, Vote
from annotation.rules.taxonomy import EMOTIONS
from qa.selectors.crosscheck import stage_reviews
from qa.selectors.votes import label_votes

BIN = 0.1  # of stated confidence


@dataclass(frozen=True)
class Behind:
    """What a number is about; an empty field asks for nothing. confidence: the lower edge of a bin; people: who both voted."""

    group: str = ""
    platform: str = ""
    month: str = ""
    emotion: str = ""
    rung: str = ""
    people: Sequence[int] = ()
    confidence: float | None = None


def samples_behind(asked: Behind) -> QuerySet[Sample]:
    """The samples of the label round that a number of the report was worked out from, by video number."""
    found = Sample.objects.exclude(state=Sample.State.EXCLUDED)
    members = label_votes().filter(rung=Rung.MEMBER)
    if asked.rung:
        found = found.filter(state=Sample.State.DECIDED, decided_rung=asked.rung)
        found = found.filter(label=asked.emotion) if asked.emotion else found
    elif asked.emotion:
        found = found.filter(pk__in=members.filter(emotion=asked.emotion).values("sample"))
    if asked.group:
        found = found.filter(group__letter=asked.group)
    if asked.platform:
        found = found.filter(video__platform=asked.platform)
    if asked.month:
        start = datetime.strptime(asked.month, "%Y-%m").replace(tzinfo=UTC)  # months of the report are those of UTC
        found = found.filter(decided_at__gte=start, decided_at__lt=(start + timedelta(days=32)).replace(day=1))
    for person in asked.people:
        found = found.filter(pk__in=members.filter(person=person).values("sample"))
    if asked.confidence is not None:
        found = found.filter(state=Sample.State.DECIDED, pk__in=members.filter(_in_bin(asked.confidence)).values("sample"))
    return found.select_related("video", "group").order_by("video__number", "pk")


def behind_rows(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Each sample with its label and the votes that made it."""
    chosen = list(samples)
    cast = list(label_votes().filter(sample__in=[sample.pk for sample in chosen]).order_by("pk"))
    people = Person.objects.select_related("user").in_bulk({vote.person_id for vote in cast})  # a few, with hundreds of votes
    votes: dict[int, list[Vote]] = defaultdict(list)
    for vote in cast:
        vote.person = people[vote.person_id]
        votes[vote.sample_id].append(vote)
    return [{"sample": sample, "votes": votes[sample.pk]} for sample in chosen]


def ratio_rows(stage: str, person_id: int, emotion: str) -> dict[str, Any] | None:
    """What one member said of the stage's samples of one emotion: the rows of a consistency ratio; None where there are none."""
    code = EMOTIONS.index(emotion)
    for reviewed in stage_reviews(stage):
        for k, person in enumerate(reviewed.members):
            if person.pk == person_id:
                places = list(zip(*((reviewed.previous == code) & (reviewed.samples >= 0)).nonzero(), strict=True))
                said = {int(reviewed.samples[i, j]): (int(reviewed.current[i, j, k]), bool(reviewed.own[i, j, k])) for i, j in places}
                return {"person": person, "group": reviewed.group, "rows": _ratio_rows(said)}
    return None


def _ratio_rows(said: dict[int, tuple[int, bool]]) -> list[dict[str, Any]]:
    numbers = dict(Sample.objects.filter(pk__in=said).values_list("pk", "video__number"))
    return [
        {"sample": pk, "number": numbers.get(pk), "said": EMOTIONS[code] if code >= 0 else None, "own": own}
        for pk, (code, own) in said.items()
    ]


def _in_bin(low: float) -> Q:
    """The last bin holds full confidence as well."""
    above = Q(confidence__gte=low - 1e-9)
    return above if low > 1 - 1.5 * BIN else above & Q(confidence__lt=low + BIN - 1e-9)
