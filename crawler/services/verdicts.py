"""What the checks say of a video, stored with its evidence."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from crawler.models import Check, Video
from crawler.rules import cleaning as rules
from crawler.services.claims import save

State = Video.State
VERSIONS = {
    **{name: version for name, (version, _) in rules.CHECKS.items()},
    "duplicate": 2,
    "transition": 1,
    "activity": 1,
    "sound": 1,
    "transcode": 1,
}


def store_check(
    video: Video, name: str, verdict: str, reason: str = "", evidence: dict[str, Any] | None = None, version: int | None = None
) -> Check:
    """The verdict of this version of the check: what is stored first stays, unless the check was unable to look then, or drops the clip now."""
    values = {"verdict": verdict, "reason": reason[:200], "evidence": evidence or {}, "created_at": timezone.now()}
    check, made = Check.objects.get_or_create(video=video, name=name, version=version or VERSIONS[name], defaults=values)
    if not made and (check.verdict == Check.Verdict.UNABLE or verdict == Check.Verdict.DROP):
        for field, value in values.items():
            setattr(check, field, value)
        check.save()
    return check


def drop(video: Video, name: str, found: rules.Drop) -> None:
    with transaction.atomic():
        store_check(video, name, Check.Verdict.DROP, found.reason, found.evidence)
        video.state, video.reason = State.DROPPED, found.reason[:200]
        save(video)


def video_doubt(video_id: int) -> None:
    """Brings an accepted video before the reviewers; it keeps its number until they have decided. Of any other it is not needed."""
    Video.objects.filter(pk=video_id, state=State.ACCEPTED, doubted_at=None).update(doubted_at=timezone.now())
