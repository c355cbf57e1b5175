"""The labelling test of Sec. III-B: a sentiment quotient test and an annotation quality test, each passed with 90 or more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from annotation.models import Attendance, GoldItem, Person, QualificationAttempt, StaffChange, TrainingSession
from annotation.rules import sentiment
from annotation.rules.qualification import LEAST_QUALITY_ITEMS, PASS_MARK, score
from annotation.rules.taxonomy import adjective, parse_emotion
from annotation.selectors import gold_of_test
from annotation.services.refusals import Conflict

QUALITY_ITEMS = 20  # gold clips shown in one attempt, or all there are
Part = QualificationAttempt.Part


@transaction.atomic
def qualification_start(person: Person, *, part: str, rng: np.random.Generator) -> QualificationAttempt:
    """An attempt with its items in random order; one that is still open is continued.

    Locks the person. Raises Conflict when the attempts are used up, ValidationError when there are too few gold items.
    """
    if part not in Part.values:
        raise ValidationError(f"{part!r} is not a part of the test; use {' or '.join(Part.values)}.", code="part")
    Person.objects.select_for_update(no_key=True).only("pk").get(pk=person.pk)
    earlier = list(QualificationAttempt.objects.filter(person=person, part=part).order_by("number"))
    if earlier and earlier[-1].finished_at is None:
        return earlier[-1]
    if any(attempt.score is not None and attempt.score >= PASS_MARK for attempt in earlier):
        raise Conflict(_("This part is passed already."), code="passed")
    if len(earlier) >= settings.QUALIFICATION_ATTEMPTS:
        raise Conflict(_("All %(n)d attempts are used; ask your manager.") % {"n": len(earlier)}, code="no_attempts_left")
    items = _items(part)
    order = rng.permutation(len(items))
    if part == Part.QUALITY:
        order = order[:QUALITY_ITEMS]
    shown = [items[int(place)] for place in order]
    return QualificationAttempt.objects.create(person=person, part=part, number=len(earlier) + 1, items=shown)


def _items(part: str) -> list[str]:
    if part == Part.SENTIMENT:
        return [scene.key for scene in sentiment.SCENES]
    items = [str(pk) for pk in gold_of_test().order_by("pk").values_list("pk", flat=True)]
    if len(items) < LEAST_QUALITY_ITEMS:
        raise ValidationError(
            _("The test needs %(least)d gold items, but there are %(n)d.") % {"least": LEAST_QUALITY_ITEMS, "n": len(items)}, code="no_gold"
        )
    return items


@transaction.atomic
def qualification_finish(attempt: QualificationAttempt, *, answers: Mapping[str, str], now: datetime) -> QualificationAttempt:
    """Scores an attempt; with both parts passed the person is qualified. answers: item → adjective or emotion.

    What is told afterwards is the score and at most three confusions, never which item was wrong.
    Raises ValidationError for missing, unknown or senseless answers; Conflict if it was handed in before.
    """
    attempt = QualificationAttempt.objects.select_for_update(no_key=True).get(pk=attempt.pk)
    if attempt.finished_at:
        raise Conflict(_("This attempt was handed in already."), code="finished")
    missing = [item for item in attempt.items if not answers.get(item)]
    unknown = set(answers) - set(attempt.items)
    if missing or unknown:
        raise ValidationError(
            _("%(missing)d items have no answer, %(unknown)d answers have no item.") % {"missing": len(missing), "unknown": len(unknown)},
            code="answers",
        )
    said = [_emotion(answers[item]) for item in attempt.items]
    result = score(said, _accepted(attempt))
    attempt.answers, attempt.score, attempt.hints, attempt.finished_at = said, result.score, [list(pair) for pair in result.hints], now
    attempt.save()
    _qualify_if_passed(attempt.person_id, now)
    return attempt


def _emotion(answer: str) -> str:
    try:
        return parse_emotion(answer)
    except ValueError:
        pass
    try:
        return adjective(answer).emotion
    except ValueError as error:
        raise ValidationError(str(error), code="answers") from None


def _accepted(attempt: QualificationAttempt) -> list[list[str]]:
    if attempt.part == Part.SENTIMENT:
        return [[sentiment.BY_KEY[key].emotion] for key in attempt.items]
    gold = {str(item.pk): item.emotions for item in GoldItem.objects.filter(pk__in=attempt.items)}
    return [gold.get(key, []) or [""] for key in attempt.items]


def _qualify_if_passed(person_id: int, now: datetime) -> None:
    passed = QualificationAttempt.objects.filter(person_id=person_id, score__gte=PASS_MARK).values_list("part", flat=True)
    if set(passed) >= set(Part.values) and Person.objects.filter(pk=person_id, qualified_at__isnull=True).update(qualified_at=now):
        StaffChange.objects.create(person_id=person_id, kind="qualified", reason=f"both parts with {PASS_MARK:g} or more")


@transaction.atomic
def qualification_record(person: Person, *, sentiment: float, quality: float, source: str, now: datetime, by: User | None = None) -> bool:
    """Notes the scores of a test held elsewhere, with who vouches for it; True if the person is qualified by them."""
    if not source.strip():
        raise ValidationError(_("Say where the test was held and by whom."), code="reason_required")
    for part, percent in ((Part.SENTIMENT, sentiment), (Part.QUALITY, quality)):
        if not 0 <= percent <= 100:
            raise ValidationError(_("%(value)g is outside 0..100.") % {"value": percent}, code="score")
        number = QualificationAttempt.objects.filter(person=person, part=part).count() + 1
        QualificationAttempt.objects.create(
            person=person, part=part, number=number, score=percent, items=[f"held elsewhere: {source}"], finished_at=now
        )
    _qualify_if_passed(person.pk, now)
    person.refresh_from_db(fields=["qualified_at"])
    return person.qualified_at is not None


@transaction.atomic
def session_record(*, title: str, guide_version: str, held_at: datetime, held_by: str, minutes: Mapping[int, int]) -> TrainingSession:
    """A training session that was held, with who attended for how long (person id → minutes)."""
    session = TrainingSession(title=title, guide_version=guide_version, held_at=held_at, held_by=held_by)
    session.full_clean()
    session.save()
    Attendance.objects.bulk_create(Attendance(session=session, person_id=pk, minutes=length) for pk, length in minutes.items())
    return session
