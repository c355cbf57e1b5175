"""What happens to a sample besides voting: doubts about the clip, and opening a settled label again."""

from __future__ import annotations

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from annotation.models import LABEL, Assignment, Flag, Person, Rung, Sample, TimelineEvent, Vote
from annotation.selectors import LIVE
from annotation.services.ladder import ladder_advance
from annotation.services.refusals import Conflict
from crawler.models import Check, Video
from crawler.services import video_doubt

FLAGS_TO_EXCLUDE = 2  # of the three members


@transaction.atomic
def sample_flag(assignment: Assignment, *, kind: str, note: str = "", now: datetime) -> bool:
    """Notes a person's doubt about a clip; True if the doubts of two took it out of labelling, into the cleaning review.

    Locks the sample. Flagging again changes the own flag. Raises ValidationError for an unknown kind.
    """
    if kind not in Flag.Kind.values:
        raise ValidationError(f"{kind!r} is not a flag; use one of {', '.join(Flag.Kind.values)}", code="flag")
    sample = Sample.objects.select_for_update(no_key=True, of=("self",)).select_related("video").get(pk=assignment.sample_id)
    Flag.objects.update_or_create(sample=sample, person_id=assignment.person_id, defaults={"kind": kind, "note": note[:200]})
    TimelineEvent.objects.create(sample=sample, kind="flagged", person_id=assignment.person_id, detail={"flag": kind, "note": note[:200]})
    kinds = list(Flag.objects.filter(sample=sample).values_list("kind", flat=True))
    if sample.state != Sample.State.OPEN or len(kinds) < FLAGS_TO_EXCLUDE:
        return False
    _exclude(sample, kinds)
    return True


def _exclude(sample: Sample, kinds: list[str]) -> None:
    _take_out(sample)
    TimelineEvent.objects.create(sample=sample, kind="excluded", detail={"flags": sorted(kinds)})
    version = Check.objects.filter(video=sample.video, name="annotators").count() + 1
    Check.objects.create(
        video=sample.video,
        name="annotators",
        version=version,
        verdict=Check.Verdict.REVIEW,
        reason="flagged: " + ", ".join(sorted(set(kinds))),
        evidence={"flags": sorted(kinds), "sample": sample.pk},
    )
    video_doubt(sample.video_id)


def samples_close_gone() -> int:
    """Takes open samples out of labelling whose video is no longer accepted (taken down, dropped after all); how many."""
    gone = Sample.objects.filter(state=Sample.State.OPEN).exclude(video__state=Video.State.ACCEPTED)
    return sum(sample_close_gone(pk) for pk in list(gone.values_list("pk", flat=True)))


@transaction.atomic
def sample_close_gone(sample_id: int) -> bool:
    """Locks the sample; True if it was open."""
    sample = Sample.objects.select_for_update(no_key=True, of=("self",)).select_related("video").get(pk=sample_id)
    if not _take_out(sample):
        return False
    TimelineEvent.objects.create(sample=sample, kind="excluded", detail={"video": sample.video.state, "reason": sample.video.reason})
    return True


def _take_out(sample: Sample) -> bool:
    """Ends everybody's turns at the clip, gold items and repeats among them; True if it was open and is excluded now."""
    Assignment.objects.filter(sample=sample, state__in=LIVE).update(
        state=Assignment.State.WITHDRAWN, lease_token=None, lease_expires_at=None
    )
    if sample.state != Sample.State.OPEN:
        return False
    sample.state = Sample.State.EXCLUDED
    sample.save(update_fields=["state"])
    return True


@transaction.atomic
def sample_restore(sample: Sample, *, by: Person | None, reason: str, now: datetime) -> Sample:
    """Takes an excluded sample back into labelling after someone has looked; its flags are cleared, its votes stand."""
    sample = Sample.objects.select_for_update(no_key=True).get(pk=sample.pk)
    if sample.state != Sample.State.EXCLUDED:
        raise Conflict(_("The sample is %(state)s, not excluded.") % {"state": sample.state}, code="not_excluded")
    _require(reason)
    Flag.objects.filter(sample=sample).delete()
    sample.state = Sample.State.OPEN
    sample.save(update_fields=["state"])
    _revive_members(sample)
    events = [TimelineEvent(sample=sample, kind="restored", person=by, detail={"reason": reason}), *ladder_advance(sample, now=now)]
    TimelineEvent.objects.bulk_create(events)
    return sample


@transaction.atomic
def flags_settle(sample: Sample, *, by: Person | None, reason: str, now: datetime) -> Sample:
    """Puts aside the doubts of those who were too few to take the clip out, after someone has looked; they stay on its timeline.

    Locks the sample. Raises ValidationError without a reason, Conflict where nobody doubts or the clip was taken out.
    """
    _require(reason)
    sample = Sample.objects.select_for_update(no_key=True).get(pk=sample.pk)
    if sample.state == Sample.State.EXCLUDED or not Flag.objects.filter(sample=sample).delete()[0]:
        raise Conflict(_("There is no doubt about this clip to put aside."), code="no_flags")
    TimelineEvent.objects.create(sample=sample, kind="settled", person=by, detail={"reason": reason.strip()})
    return sample


def _revive_members(sample: Sample) -> None:
    turns = Assignment.objects.filter(sample=sample, round=LABEL, rung=Rung.MEMBER)
    taken = set(turns.filter(state=Assignment.State.SUBMITTED).values_list("seat", flat=True))
    for turn in turns.filter(state=Assignment.State.WITHDRAWN).order_by("-pk"):
        if turn.seat not in taken:
            taken.add(turn.seat)
            Assignment.objects.filter(pk=turn.pk).update(state=Assignment.State.OPEN)


@transaction.atomic
def sample_reopen(sample: Sample, *, by: Person | None, reason: str, now: datetime) -> Sample:
    """Opens a settled label again: the expert decides anew, all votes stay on record, and releases can see it.

    Locks the sample. Raises ValidationError without a reason, Conflict if there is no label to open.
    """
    _require(reason)
    sample = Sample.objects.select_for_update(no_key=True).get(pk=sample.pk)
    if sample.state != Sample.State.DECIDED:
        raise Conflict(_("The sample is %(state)s: there is no label to open again.") % {"state": sample.state}, code="not_decided")
    before = {"label": sample.label, "rung": sample.decided_rung, "reason": reason.strip()}
    superseded = Vote.objects.filter(sample=sample, round=LABEL, rung=Rung.EXPERT, undone_at__isnull=True)
    Assignment.objects.filter(votes__in=superseded).update(state=Assignment.State.WITHDRAWN)
    superseded.update(undone_at=now)
    sample.reopened += 1
    sample.save(update_fields=["reopened"])
    events = [TimelineEvent(sample=sample, kind="reopened", person=by, detail=before), *ladder_advance(sample, now=now)]
    TimelineEvent.objects.bulk_create(events)
    return sample


def _require(reason: str) -> None:
    if not reason.strip():
        raise ValidationError(_("Give a reason; it stays on the sample's timeline."), code="reason_required")
