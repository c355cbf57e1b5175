"""What a trained network expects of the samples that wait: kept, used to order the queues, shown as a hint to members who ask, and
recorded with each vote.

One clip in HELD_BACK keeps its hint from a person: so that what hints do to votes can be reckoned, and so that gold items and
repeats, which never have one, cannot be told by that.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.crypto import salted_hmac

from annotation.models import LABEL, Assignment, Emotion, Person, Prelabel, Rung, Sample
from annotation.services.turns import lease_refusal, turn_held_by

HELD_BACK = 5


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


def hints_offered() -> bool:
    """Whether members may ask for hints at all. Where the emotions of adjectives are hidden a hint would tell them."""
    return settings.PRELABEL_HINT != "off" and not settings.BLIND_EMOTION


def hint_show(assignment: Assignment, *, lease_token: uuid.UUID | None = None, now: datetime) -> dict[str, Any]:
    """What a finished run expects of the clip (run, emotion, uncertainty, probability, seen_at), noted on the turn as seen; empty: there is no hint.

    A hint that was seen stays as it was, whatever newer runs say. Raises Conflict if the turn is over or another tab holds it.
    """
    if not turn_held_by(assignment, lease_token, now).exists():
        raise lease_refusal(assignment, lease_token)
    if assignment.hint:
        return assignment.hint
    found = _prelabel_of(assignment)
    if found is None or not _has_hint(assignment, found) or _held_back(assignment):
        return {}
    hint = {**_told(found), "probability": found.probabilities[found.emotion], "seen_at": now.isoformat()}
    if not turn_held_by(assignment, lease_token, now).update(hint=hint):
        raise lease_refusal(assignment, lease_token)
    return hint


def _prelabel_of(turn: Assignment) -> Prelabel | None:
    """Only an ordinary member's turn has one: gold items, repeats, cross-checks and the rungs above are to be told by nothing."""
    if turn.round != LABEL or turn.rung != Rung.MEMBER:
        return None
    return Prelabel.objects.select_related("sample__batch").filter(sample=turn.sample_id).first()


def _has_hint(turn: Assignment, found: Prelabel) -> bool:
    batch = found.sample.batch
    return hints_offered() and (settings.PRELABEL_HINT == "all" or (batch is not None and batch.with_hints))


def _held_back(turn: Assignment) -> bool:
    """Drawn once and for all for this clip and person, with the site's key: nobody can reckon it."""
    return salted_hmac("annotation.hints", f"{turn.sample_id}:{turn.person_id}").digest()[0] % HELD_BACK == 0


def prelabel_record(turn: Assignment) -> dict[str, Any]:
    """What a vote remembers of the prelabel that put its sample in its place or was its hint; empty where it was neither.

    To be asked when the turn is over: only then can no hint be shown any more.
    """
    if not settings.PRELABEL_ORDER and not hints_offered():
        return {}
    seen = Assignment.objects.values_list("hint", flat=True).get(pk=turn.pk) if hints_offered() else {}
    if seen:
        return {**seen, "hint": "seen"}
    found = _prelabel_of(turn)
    if found is None:
        return {}
    if _has_hint(turn, found):
        return {**_told(found), "hint": "held back" if _held_back(turn) else "unseen"}
    return _told(found) if settings.PRELABEL_ORDER else {}


def _told(found: Prelabel) -> dict[str, Any]:
    return {"run": found.run_name, "emotion": found.emotion, "uncertainty": found.uncertainty}
