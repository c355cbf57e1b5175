"""A person's turns: handing out the next, keeping its lease alive, saving its draft, passing it on."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.models import LABEL, Assignment, Emotion, Person, Prelabel, Rung, Sample, TimelineEvent
from annotation.selectors import LIVE, TAKEN, loads, people_active
from annotation.services.gold import reason_told
from annotation.services.ladder import ladder_advance, rotation, turn_open
from annotation.services.refusals import Conflict, NotEligible
from annotation.services.samples import sample_close_gone
from crawler.models import Video

AHEAD = 2  # clips leased and preloaded behind the current one
EXPIRE_AT_ONCE = 5000
RATHER_NOT = "rather not watch this"  # as the workbench's own skip dialog says it
DRAFT_FIELDS = {"adjective", "confidence", "note"}
# As text, like access.PERMITTED: it is asked with every clip. SQLite takes the partial index turn_queue only for the very words of its
# condition on state.
QUEUE = """
SELECT turn.id, turn."order", turn.rung, turn.round, turn.state, turn.draft, turn.draft_saved_at, turn.hint, turn.person_id, turn.sample_id,
  turn.active_ms, sample.content_warning, sample.video_id, video.state AS video_state, video.duration_s
FROM annotation_assignment turn
JOIN annotation_sample sample ON sample.id = turn.sample_id
JOIN crawler_video video ON video.id = sample.video_id
WHERE turn.person_id = %s AND turn.state IN ('open', 'leased') AND turn.rung LIKE %s
ORDER BY turn."order", turn.id LIMIT %s
"""


@dataclass(frozen=True)
class Turn:
    """What the workbench needs: the clip to label now, and those to preload."""

    current: Assignment
    upcoming: list[Assignment]
    lease_token: uuid.UUID


def person_check(person: Person) -> None:
    """Raises NotEligible unless the person may be given work now."""
    if person.paused_reason:
        raise NotEligible(
            _("You are paused: %(reason)s. Your manager can resume you.") % {"reason": reason_told(person.paused_reason)}, code="paused"
        )
    if person.role == Person.Role.ANNOTATOR and person.qualified_at is None:
        raise NotEligible(_("Pass the labelling test first (90 or more in both parts)."), code="not_qualified")


@transaction.atomic
def assignment_next(
    person: Person, *, lease_token: uuid.UUID | None = None, rung: str | None = None, now: datetime | None = None
) -> Turn | None:
    """The person's next turn with the two after it, leased to this tab; None when nothing waits.

    Locks the person's row: two tabs asking at once are served one after the other. The tab that asked last holds the
    leases; the other is told so (409 lease_lost) when it next saves, submits or shows life.
    """
    now = now or timezone.now()
    person_check(person)
    Person.objects.select_for_update(no_key=True).only("pk").get(pk=person.pk)
    turns = _queue(person, rung)
    while sum(_kept_from(turn, person, now) for turn in turns):
        turns = _queue(person, rung)
    if not turns:
        return None
    token = lease_token or uuid.uuid4()
    expires = now + timedelta(seconds=settings.LEASE_S)
    Assignment.objects.filter(pk__in=[turn.pk for turn in turns], state__in=LIVE).update(
        state=Assignment.State.LEASED, lease_token=token, lease_expires_at=expires
    )
    for turn in turns:
        turn.state, turn.lease_token, turn.lease_expires_at = Assignment.State.LEASED, token, expires
    return Turn(turns[0], turns[1:], token)


def _queue(person: Person, rung: str | None) -> list[Assignment]:
    """The head of the person's queue, with only what the workbench shows of each clip; one range of the index turn_queue."""
    turns: list[Any] = list(Assignment.objects.raw(QUEUE, [person.pk, rung or "%", AHEAD + 1]))
    for turn in turns:
        video = [turn.video_id, turn.video_state, turn.duration_s]
        sample = [turn.sample_id, turn.video_id, json.loads(turn.content_warning)]
        turn.sample = Sample.from_db(turn._state.db, ("id", "video_id", "content_warning"), sample)
        turn.sample.video = Video.from_db(turn._state.db, ("id", "state", "duration_s"), video)
    return turns


def _kept_from(turn: Assignment, person: Person, now: datetime) -> bool:
    """Ends a turn that must not come on this person's screen: the clip was taken down, or is of a kind that they asked not to see.

    The expert's turns stay, since nobody comes after: such a clip is blurred until asked for, and can be skipped.
    """
    if turn.sample.video.state != Video.State.ACCEPTED:
        sample_close_gone(turn.sample_id)
        return True
    if turn.rung == Rung.EXPERT or not is_unwelcome(turn.sample, person):
        return False
    turn.person = person
    try:
        assignment_skip(turn, reason=RATHER_NOT, now=now)
    except Conflict:
        pass  # another tab was done with it in the meantime
    return True


def is_unwelcome(sample: Sample, person: Person) -> bool:
    """Whether the person asked not to see such clips: flagged by the cleaning review, or of an emotion that a finished run expects."""
    unwanted = set(person.opted_out)
    if unwanted & set(sample.content_warning):
        return True
    if not unwanted & set(Emotion.values):
        return False
    expected = Prelabel.objects.filter(sample=sample.pk).first()
    return expected is not None and expected.emotion in unwanted


@transaction.atomic
def lease_extend(assignment: Assignment, *, lease_token: uuid.UUID, now: datetime, active_ms: int = 0) -> datetime:
    """Keeps this tab's leases for another while and counts the active time; returns when they end.

    A lease that ran out is taken up again. Raises Conflict lease_lost if another tab holds it, closed if the turn is over.
    Locks the person's row as assignment_next does: both write several of the person's leases.
    """
    Person.objects.select_for_update(no_key=True).only("pk").get(pk=assignment.person_id)
    expires = now + timedelta(seconds=settings.LEASE_S)
    held = turn_held_by(assignment, lease_token, now).update(
        state=Assignment.State.LEASED,
        lease_token=lease_token,
        lease_expires_at=expires,
        active_ms=min(assignment.active_ms + active_ms, 2**31 - 1),
    )
    if not held:
        raise lease_refusal(assignment, lease_token)
    Assignment.objects.filter(person=assignment.person_id, state=Assignment.State.LEASED, lease_token=lease_token).update(
        lease_expires_at=expires
    )
    return expires


def draft_save(assignment: Assignment, *, draft: dict[str, Any], lease_token: uuid.UUID | None = None, now: datetime) -> datetime:
    """Keeps an unfinished vote on the server; returns when it was saved.

    Raises ValidationError for an unknown field, Conflict if another tab holds the lease or the turn is over.
    """
    unknown = set(draft) - DRAFT_FIELDS
    if unknown:
        raise ValidationError(f"a draft holds {', '.join(sorted(DRAFT_FIELDS))}, not {', '.join(sorted(unknown))}", code="invalid")
    if not turn_held_by(assignment, lease_token, now).update(draft=draft, draft_saved_at=now):
        raise lease_refusal(assignment, lease_token)
    return now


def turn_held_by(assignment: Assignment, lease_token: uuid.UUID | None, now: datetime) -> QuerySet[Assignment]:
    """The row, if it is still this person's turn at this rung and no other tab holds a lease on it that has not run out."""
    row = Assignment.objects.filter(pk=assignment.pk, person=assignment.person_id, rung=assignment.rung, state__in=LIVE)
    if lease_token is None:
        return row
    return row.filter(Q(lease_token=lease_token) | Q(lease_token__isnull=True) | Q(lease_expires_at__lt=now))


def lease_refusal(assignment: Assignment, lease_token: uuid.UUID | None) -> Conflict:
    """Says why a turn could not be written to."""
    fresh = Assignment.objects.only("state", "lease_token").get(pk=assignment.pk)
    if fresh.state in LIVE and fresh.lease_token != lease_token:
        return Conflict(_("This clip is open in another window of yours; continue there, or take it over here."), code="lease_lost")
    if fresh.state == Assignment.State.SUBMITTED:
        return Conflict(_("You have already submitted this clip."), code="already_submitted")
    return Conflict(_("This clip is no longer waiting for you."), code="closed")


@transaction.atomic
def leases_expire(*, now: datetime | None = None) -> int:
    """Gives back the turns of tabs that showed no life; their drafts stay. Rows that someone is writing to now are left alone."""
    now = now or timezone.now()
    # A lease that ends later than any could was given by a clock that ran ahead: it would hold until then.
    impossible = now + timedelta(seconds=2 * settings.LEASE_S)
    ended = Q(lease_expires_at__lt=now) | Q(lease_expires_at__gt=impossible)
    gone = Assignment.objects.filter(ended, state=Assignment.State.LEASED)
    ids = list(gone.select_for_update(skip_locked=True).values_list("pk", flat=True)[:EXPIRE_AT_ONCE])
    free = {"state": Assignment.State.OPEN, "lease_token": None, "lease_expires_at": None}
    return Assignment.objects.filter(pk__in=ids).update(**free, expiries=F("expiries") + 1)


@transaction.atomic
def assignment_skip(assignment: Assignment, *, reason: str, now: datetime) -> Person | None:
    """Passes a turn on, with a reason; returns who has it now (None: nobody can take it yet, or the round needs nobody).

    Locks the sample. Raises ValidationError without a reason, Conflict if the turn is over.
    """
    reason = reason.strip()
    if not reason:
        raise ValidationError(_("Say why you skip this clip."), code="reason_required")
    sample = Sample.objects.select_for_update(no_key=True).get(pk=assignment.sample_id)
    skipped = Assignment.objects.filter(pk=assignment.pk, state__in=LIVE).update(
        state=Assignment.State.SKIPPED, skip_reason=reason[:200], lease_token=None, lease_expires_at=None
    )
    if not skipped:
        raise lease_refusal(assignment, None)
    events = [TimelineEvent(sample=sample, kind="skipped", person=assignment.person, detail={"reason": reason, "rung": assignment.rung})]
    taker = None
    if assignment.round == LABEL and assignment.rung == Rung.MEMBER:
        taker = seat_fill(sample, assignment.seat)
        events.append(seat_event(sample, taker))
    elif assignment.round == LABEL:
        events += ladder_advance(sample, now=now)
        taker = next((event.person for event in events if event.kind == "asked"), None)
    TimelineEvent.objects.bulk_create(events)
    return taker


def seat_event(sample: Sample, taker: Person | None) -> TimelineEvent:
    if taker is None:
        return TimelineEvent(sample=sample, kind="waiting", detail={"rung": "member", "for": "no other annotator can take it now"})
    return TimelineEvent(sample=sample, kind="reassigned", person=taker, detail={"rung": "member"})


def seat_fill(sample: Sample, seat: int) -> Person | None:
    """Gives a member's seat to someone who never had a turn at this sample: own group first, then by rotation, least loaded first."""
    people = people_active().filter(role=Person.Role.ANNOTATOR, group__isnull=False)
    had_a_turn = Assignment.objects.filter(sample=sample, round=LABEL)
    people = people.exclude(pk__in=had_a_turn.exclude(rung=Rung.MEMBER, state=Assignment.State.WITHDRAWN).values("person"))
    load = loads(people)
    place = {group_id: number for number, group_id in enumerate(rotation(sample.group_id))}
    candidates = [person for person in people.select_related("group") if not is_unwelcome(sample, person)]
    if not candidates:
        return None
    taker = min(candidates, key=lambda person: (place[person.group_id or 0], load.get(person.pk, 0), person.pk))
    turn_open(sample, taker, rung=Rung.MEMBER, seat=seat)
    return taker


@transaction.atomic
def sample_repair(sample_id: int, *, now: datetime) -> bool:
    """Fills what an open sample waits for: empty member seats, or the person of its rung. True if anything changed.

    Locks the sample. Needed after an import, a pause, or when nobody could take a turn at the time.
    """
    sample = Sample.objects.select_for_update(no_key=True).get(pk=sample_id)
    if sample.state != Sample.State.OPEN:
        return False
    events = ladder_advance(sample, now=now)
    if sample.state == Sample.State.OPEN and sample.rung == Rung.MEMBER:
        taken = Assignment.objects.filter(sample=sample, round=LABEL, rung=Rung.MEMBER, state__in=TAKEN)
        for seat in sorted({0, 1, 2} - set(taken.values_list("seat", flat=True))):
            if taker := seat_fill(sample, seat):
                events.append(seat_event(sample, taker))
    done = [event for event in events if event.kind != "waiting"]
    TimelineEvent.objects.bulk_create(done)
    return bool(done)


def samples_repair(*, now: datetime | None = None, limit: int = 2000) -> int:
    """Repairs the open samples that nobody has on their list; returns how many changed."""
    now = now or timezone.now()
    waiting = Assignment.objects.filter(round=LABEL, state__in=LIVE).values("sample")
    stuck = Sample.objects.filter(state=Sample.State.OPEN).exclude(pk__in=waiting).order_by("pk").values_list("pk", flat=True)[:limit]
    return sum(sample_repair(pk, now=now) for pk in list(stuck))
