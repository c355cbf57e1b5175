"""What a trained network expects of the samples that wait: kept, used to order the queues, and recorded with each vote."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from annotation.models import LABEL, Assignment, Emotion, Person, Prelabel, Rung, Sample


@transaction.atomic
def prelabels_save(run_name: str, probabilities: Mapping[int, Mapping[str, float]]) -> int:
    """Keeps the newest prediction (sample id → emotion → probability) of each sample still open; returns of how many.

    Where PRELABEL_ORDER is on, the members' queues are put in order, the least certain first.
    Raises ValidationError for probabilities that are not over the six emotions.
    """
    settled = {pk: _checked(pk, chances) for pk, chances in probabilities.items()}
    waiting = Sample.objects.filter(pk__in=settled, state=Sample.State.OPEN).values_list("pk", flat=True)
    rows = [Prelabel(sample_id=pk, run_name=run_name, probabilities=settled[pk], uncertainty=uncertainty(settled[pk])) for pk in waiting]
    fields = ["run_name", "probabilities", "uncertainty", "created_at"]
    Prelabel.objects.bulk_create(rows, batch_size=500, update_conflicts=True, unique_fields=["sample"], update_fields=fields)
    if settings.PRELABEL_ORDER:
        queues_order([row.sample_id for row in rows])
    return len(rows)


def _checked(pk: int, chances: Mapping[str, float]) -> dict[str, float]:
    if set(chances) != set(Emotion.values) or not all(0 <= p <= 1 for p in chances.values()) or abs(sum(chances.values()) - 1) > 0.01:
        raise ValidationError(f"sample {pk}: {dict(chances)} are no probabilities of {', '.join(Emotion.values)}", code="probabilities")
    return dict(chances)


def uncertainty(chances: Mapping[str, float]) -> float:
    """0 where one emotion is certain, 1 where all are alike."""
    entropy = -sum(p * math.log(p) for p in chances.values() if p > 0)
    return min(max(entropy / math.log(len(chances)), 0.0), 1.0)


@transaction.atomic
def queues_order(sample_ids: list[int]) -> int:
    """Lets each member's waiting turns at these samples change places, the least certain first; returns how many moved.

    Only places of these very turns are exchanged, so gold items and repeats stay hidden where they were. What is on
    someone's screen stays there. Locks the people, as handing out a turn does.
    """
    waiting = Assignment.objects.filter(round=LABEL, rung=Rung.MEMBER, state=Assignment.State.OPEN, sample__in=sample_ids)
    people = Person.objects.filter(pk__in=waiting.values("person")).order_by("pk")
    list(people.select_for_update(no_key=True).values_list("pk", flat=True))
    turns = list(waiting.order_by("person", "order", "pk").select_related("sample__prelabel"))
    moved = []
    for person in dict.fromkeys(turn.person_id for turn in turns):
        mine = [turn for turn in turns if turn.person_id == person]
        wanted = sorted(mine, key=lambda turn: (-turn.sample.prelabel.uncertainty, turn.pk))
        for turn, place in zip(wanted, [turn.order for turn in mine], strict=True):
            if turn.order != place:
                moved.append((turn, place))
    for turn, place in moved:
        turn.order = place
    Assignment.objects.bulk_update([turn for turn, _ in moved], ["order"], batch_size=500)
    return len(moved)


def prelabel_record(sample_id: int, *, round: str) -> dict[str, Any]:
    """What a vote remembers of the prelabel that put its sample in its place; empty where none did. People never see it."""
    if not settings.PRELABEL_ORDER or round != LABEL:
        return {}
    found = Prelabel.objects.filter(sample=sample_id).first()
    return {"run": found.run_name, "emotion": found.emotion, "uncertainty": found.uncertainty} if found else {}
