"""Casting a vote, taking it back, and what both mean for the label."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from annotation.models import LABEL, Assignment, Rung, Sample, TimelineEvent, Vote
from annotation.rules import taxonomy
from annotation.services.gold import gold_check
from annotation.services.ladder import ladder_advance
from annotation.services.prelabels import prelabel_record
from annotation.services.refusals import Conflict
from annotation.services.turns import lease_refusal, turn_held_by

# As text, like access.PERMITTED: it is asked with every vote.
VOTES = "SELECT * FROM annotation_vote WHERE sample_id = %s AND round = %s ORDER BY created_at, id"
HIGHER = {rung: list(Rung.values)[place + 1 :] for place, rung in enumerate(Rung.values)}


def vote_cast(
    *,
    assignment: Assignment,
    client_id: uuid.UUID,
    adjective: str,
    confidence: float | None,
    now: datetime,
    lease_token: uuid.UUID | None = None,
    active_ms: int | None = None,
) -> Vote:
    """Stores the vote and moves the sample on: its label, or the next rung's turn. The same client_id gives the same vote.

    Locks the sample: two members may cast the third vote at once, and exactly one of them must see three.
    Raises ValidationError for an unknown adjective or a confidence outside 0..1; Conflict if the turn is over,
    another tab holds it, the vote was undone, or the client_id was used for another clip or with another choice.
    """
    chosen = _adjective(adjective)
    if confidence is None or not 0 <= confidence <= 1:
        raise ValidationError(_("Give a confidence between 0 and 1."), code="confidence")
    vote = Vote(
        assignment=assignment,
        sample_id=assignment.sample_id,
        person_id=assignment.person_id,
        rung=assignment.rung,
        round=assignment.round,
        adjective=chosen.key,
        adjective_table=taxonomy.TABLE_VERSION,
        emotion=chosen.emotion,
        confidence=confidence,
        client_id=client_id,
        created_at=now,
    )
    try:
        vote = _cast(vote, lease_token=lease_token, active_ms=active_ms)
    except IntegrityError:
        raise _used_elsewhere(client_id) from None
    if vote.round == "gold":
        gold_check(assignment.person)
    return vote


@transaction.atomic
def _cast(vote: Vote, *, lease_token: uuid.UUID | None, active_ms: int | None) -> Vote:
    sample = Sample.objects.select_for_update(no_key=True).get(pk=vote.sample_id)
    votes = list(Vote.objects.raw(VOTES, [sample.pk, vote.round]))
    for earlier in votes:
        if earlier.client_id == vote.client_id:
            return _same(earlier, vote)
    _take(vote.assignment, lease_token=lease_token, now=vote.created_at, active_ms=active_ms)
    vote.prelabel = prelabel_record(vote.assignment)
    vote.save(force_insert=True)
    events = [TimelineEvent(sample=sample, kind="voted", person_id=vote.person_id, detail=_told(vote))]
    if vote.round == LABEL:
        events += ladder_advance(sample, now=vote.created_at, votes=[*votes, vote])
    TimelineEvent.objects.bulk_create(events)
    return vote


def _used_elsewhere(client_id: uuid.UUID) -> Exception:
    """What to raise for a client_id that another sample's vote has already; anything else was not expected."""
    if Vote.objects.filter(client_id=client_id).exists():
        return Conflict(_("This client_id was used for another clip; make a new one for each submission."), code="client_id_used")
    return RuntimeError(f"the vote {client_id} broke a constraint of the database")


def _adjective(key: str) -> taxonomy.Adjective:
    try:
        return taxonomy.adjective(key)
    except ValueError as error:
        raise ValidationError(str(error), code="adjective") from None


def _same(earlier: Vote, vote: Vote) -> Vote:
    if earlier.assignment_id != vote.assignment_id:
        raise Conflict(_("This client_id was used for another clip; make a new one for each submission."), code="client_id_used")
    if earlier.undone_at:
        raise Conflict(_("This vote was undone; submit again with a new client_id."), code="undone")
    if (earlier.adjective, earlier.confidence) != (vote.adjective, vote.confidence):
        raise Conflict(_("This client_id was used with another choice; make a new one for each submission."), code="client_id_used")
    return earlier


def _take(assignment: Assignment, *, lease_token: uuid.UUID | None, now: datetime, active_ms: int | None) -> None:
    """Marks the turn as done, or raises Conflict; decided by one conditional UPDATE, so that only one request wins."""
    done: dict[str, Any] = {"state": Assignment.State.SUBMITTED, "lease_token": None, "lease_expires_at": None}
    if active_ms is not None:
        done["active_ms"] = active_ms
    if not turn_held_by(assignment, lease_token, now).update(**done):
        raise lease_refusal(assignment, lease_token)


def _told(vote: Vote) -> dict[str, object]:
    seen = {"hint": vote.prelabel["emotion"]} if vote.prelabel.get("hint") == "seen" else {}
    return {
        "vote": vote.pk,
        "rung": vote.rung,
        "round": vote.round,
        "emotion": vote.emotion,
        "adjective": vote.adjective,
        "confidence": vote.confidence,
        **seen,
    }


@transaction.atomic
def vote_undo(vote: Vote, *, now: datetime) -> Assignment:
    """Takes a vote back for a while after it was cast; the turn is open again with the vote as its draft.

    If the label hung on it, the sample is open again. Locks the sample. Raises Conflict when it is too late: the time is
    over, it was undone before, or someone higher on the ladder has voted since.
    """
    sample = Sample.objects.select_for_update(no_key=True).get(pk=vote.sample_id)
    vote = Vote.objects.select_related("assignment").get(pk=vote.pk)
    if vote.undone_at:
        raise Conflict(_("This vote has already been undone."), code="undone")
    if now - vote.created_at > timedelta(seconds=settings.UNDO_S):
        raise Conflict(
            _("A vote can be undone for %(seconds)d s only; ask your manager to re-open the clip.") % {"seconds": settings.UNDO_S},
            code="too_late",
        )
    _check_untouched(vote, sample)
    vote.undone_at = now
    vote.save(update_fields=["undone_at"])
    turn = _reopen_turn(vote, now=now)  # before the ladder looks who can be asked
    events = [TimelineEvent(sample=sample, kind="undone", person_id=vote.person_id, detail=_told(vote))]
    if vote.round == LABEL:
        events += ladder_advance(sample, now=now)
    TimelineEvent.objects.bulk_create(events)
    return turn


def _check_untouched(vote: Vote, sample: Sample) -> None:
    if vote.round != LABEL:
        return
    if sample.state == Sample.State.EXCLUDED:
        raise Conflict(_("The clip was taken out of labelling since."), code="closed")
    if Vote.objects.filter(sample=sample, round=LABEL, rung__in=HIGHER[vote.rung], undone_at__isnull=True).exists():
        raise Conflict(_("A leader or the expert has voted since; ask your manager to re-open the clip."), code="voted_above")


def _reopen_turn(vote: Vote, *, now: datetime) -> Assignment:
    turn = vote.assignment
    turn.refresh_from_db()
    turn.state, turn.draft_saved_at = Assignment.State.OPEN, now
    turn.draft = {"adjective": vote.adjective, "confidence": vote.confidence}
    turn.order = 0  # next in the queue
    turn.save(update_fields=["state", "draft", "draft_saved_at", "order"])
    return turn
