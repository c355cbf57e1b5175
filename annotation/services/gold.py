"""Work that checks the worker: hidden gold items, and clips that return to the same person (Sec. III-C, intra-annotator reliability)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.models import LABEL, Assignment, GoldItem, Person, QualificationAttempt, Sample, StaffChange, Vote
from annotation.rules.qualification import PAUSE_REASON, must_pause, pause_reason
from annotation.rules.taxonomy import parse_emotion
from annotation.selectors import LIVE, members_active, votes_live
from crawler.models import Video

WINDOW = 50  # a check lies somewhere among the next so many clips
GOLD_LOOKS_AT = 50  # latest gold votes


def gold_check(person: Person) -> bool:
    """Pauses a person whose hidden gold votes are too often wrong; True if that happened now.

    Whoever was resumed begins anew: the items that led to the pause would pause them again at the next one, right or wrong.
    """
    votes = votes_live("gold").filter(person=person).order_by("-pk").values_list("emotion", "sample__video__gold__emotions")
    if resumed := StaffChange.objects.filter(person=person, kind="resumed").order_by("-pk").first():
        votes = votes.filter(created_at__gt=resumed.created_at)
    seen = [emotion in (accepted or []) for emotion, accepted in votes[:GOLD_LOOKS_AT]]
    if not must_pause(sum(seen), len(seen), least_seen=settings.GOLD_LEAST, pause_below=settings.GOLD_PAUSE_BELOW):
        return False
    reason = pause_reason(sum(seen), len(seen), pause_below=settings.GOLD_PAUSE_BELOW)
    paused = Person.objects.filter(pk=person.pk, paused_reason="").update(paused_reason=reason)
    if paused:
        StaffChange.objects.create(person=person, kind="paused", reason=reason, detail={"right": sum(seen), "seen": len(seen)})
    return bool(paused)


def reason_told(reason: str) -> str:
    """Why somebody is paused, in the reader's language where the site itself gave the reason; a person's words stay as they are."""
    found = PAUSE_REASON.fullmatch(reason)
    if found is None:
        return reason
    return _("%(right)s of the last %(seen)s gold items right, less than %(least)s %%") % found.groupdict()


@transaction.atomic
def checks_mix_in(*, rng: np.random.Generator, now: datetime | None = None) -> dict[str, int]:
    """Puts gold items and repeats into each annotator's queue until their shares are met; counts of what was added."""
    now = now or timezone.now()
    added = {"gold": 0, "repeat": 0}
    for person in members_active().filter(assignments__state__in=LIVE, assignments__round=LABEL).distinct():
        num_votes = votes_live().filter(person=person).count()
        added["gold"] += _mix_in(person, "gold", settings.GOLD_SHARE * num_votes, _gold_samples(person), rng)
        added["repeat"] += _mix_in(person, "repeat", settings.REPEAT_SHARE * num_votes, _old_samples(person, now), rng)
    return added


def _gold_samples(person: Person) -> QuerySet:
    """Samples of hidden gold items that this person has never met; those of the own labelling test only when no other is left."""
    met = Assignment.objects.filter(person=person).values("sample")
    shown = QualificationAttempt.objects.filter(person=person, part=QualificationAttempt.Part.QUALITY).values_list("items", flat=True)
    tested = [int(item) for items in shown for item in items if item.isdigit()]
    items = GoldItem.objects.filter(hidden=True, video__sample__isnull=False).exclude(video__sample__in=met)
    items = items.exclude(video__sample__state=Sample.State.EXCLUDED)
    fresh = items.exclude(pk__in=tested)
    return (fresh if fresh.exists() else items).values_list("video__sample", flat=True)


def _old_samples(person: Person, now: datetime) -> QuerySet:
    """Samples on which the person voted long enough ago, which have not come back yet and are still fit to be shown."""
    before = now - timedelta(days=settings.REPEAT_AFTER_DAYS)
    again = Assignment.objects.filter(person=person, round="repeat").values("sample")
    return (
        Vote.objects.filter(person=person, round=LABEL, undone_at__isnull=True, created_at__lt=before)
        .exclude(sample__in=again)
        .exclude(sample__state=Sample.State.EXCLUDED)
        .values_list("sample", flat=True)
    )


def _mix_in(person: Person, round: str, due: float, samples: QuerySet, rng: np.random.Generator) -> int:
    missing = int(due) - Assignment.objects.filter(person=person, round=round).count()
    if missing <= 0:
        return 0
    pool = list(samples.order_by("pk")[: 20 * missing])
    chosen: list[int] = rng.choice(pool, size=min(missing, len(pool)), replace=False).tolist() if pool else []
    places = list(person.assignments.filter(state__in=LIVE, round=LABEL).order_by("order", "pk").values_list("order", flat=True)[:WINDOW])
    turns = [Assignment(sample_id=sample, person=person, round=round, order=int(rng.choice(places))) for sample in chosen]
    return len(Assignment.objects.bulk_create(turns))


def gold_appoint(video: Video, *, emotions: Sequence[str], source: str, in_test: bool, hidden: bool) -> GoldItem:
    """The same by a manager's hand. Raises ValidationError without a source, or for a clip that nobody could be shown."""
    if not source.strip():
        raise ValidationError(_("Say who vouches for it, or which votes."), code="source")
    if video.state != Video.State.ACCEPTED or not video.file:
        raise ValidationError(_("%(clip)s has not been cleaned and kept, so it cannot be shown.") % {"clip": video}, code="clip")
    return gold_add(video_id=video.pk, emotions=list(dict.fromkeys(emotions)), source=source.strip(), in_test=in_test, hidden=hidden)


def gold_add(*, video_id: int, emotions: list[str], source: str, in_test: bool = True, hidden: bool = True) -> GoldItem:
    """Makes a clip a gold item, or changes what counts as right for it. Raises ValueError for an unknown emotion."""
    keys = [parse_emotion(emotion) for emotion in emotions]
    if not keys:
        raise ValueError("a gold item needs at least one right emotion")
    item, _made = GoldItem.objects.update_or_create(
        video_id=video_id, defaults={"emotions": keys, "source": source, "in_test": in_test, "hidden": hidden}
    )
    return item
