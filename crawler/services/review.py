"""What a person decides about a doubtful video, its undoing, and the take-down that removes a video everywhere."""

from __future__ import annotations

import logging
from pathlib import PurePosixPath
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Q

from crawler import selectors
from crawler.models import Decision, Fingerprint, Tombstone, Video
from crawler.moderation.feeling import windows_path
from crawler.rules import duplicates
from crawler.services import comparing, numbering, verifying
from crawler.storage import Away, clips

State = Video.State
log = logging.getLogger(__name__)
PERMISSION = "crawler.review_video"


def video_keep(video_id: int, *, user: Any, reason: str) -> Video:
    """The video, accepted with the next number once as many people as REVIEWERS say so, until then still waiting.

    One that was doubted after its acceptance keeps the number it has. Raises ValidationError when it does not wait for a decision, or
    this person has decided already.
    """
    _allowed(user)
    with transaction.atomic():
        video = _waiting(video_id, user)
        Decision.objects.create(video=video, person=user, action="keep", reason=reason[:200])
        if not _agreed(video, "keep"):
            return video
        if video.number is None:
            return numbering.number(video)
        video.doubted_at = None
        video.save(update_fields=["doubted_at"])
        return video


def video_drop(video_id: int, *, user: Any, reason: str) -> Video:
    """The video, dropped for the person's reason once as many people as REVIEWERS say so, until then still waiting.

    One that had its number loses it, and no other clip gets it; labelling lets go of it, and the next release lacks it. Raises ValidationError without a reason, when it does not wait, or when this person has decided already.
    """
    _allowed(user)
    if not reason.strip():
        raise ValidationError("a drop needs its reason", code="reason")
    with transaction.atomic():
        video = _waiting(video_id, user)
        said = Decision.objects.create(video=video, person=user, action="drop", reason=reason[:200])
        if _agreed(video, "drop"):
            said.number = video.number
            said.save(update_fields=["number"])
            video.state, video.reason = State.DROPPED, f"reviewed: {reason.strip()}"[:200]
            video.number = video.doubted_at = None
            video.save()
        return video


def _agreed(video: Video, action: str) -> bool:
    """Whether enough different people want this; where two differ, a third decides."""
    return sum(wanted == action for wanted in selectors.standing(video).values()) >= settings.REVIEWERS


def decision_undo(video_id: int, *, user: Any) -> Video:
    """The video, waiting for a decision again; only who decided last may undo.

    A number that was given is retired, or given back when it was the last: numbers of other clips never change. A number that a drop
    took returns to its clip.
    """
    _allowed(user)
    with transaction.atomic():
        video = Video.objects.select_for_update().get(pk=video_id)
        last = video.decisions.order_by("-pk").first()
        if last is not None and last.person_id != user.pk and user.pk not in selectors.standing(video):
            raise PermissionDenied("only the person who decided can undo")
        if user.pk not in selectors.standing(video):
            raise ValidationError("there is no decision to undo", code="nothing")
        if not _waits(video):
            _reopen(video, user)
        Decision.objects.create(video=video, person=user, action="undo")
        return video


def _reopen(video: Video, user: Any) -> None:
    """Takes back what was carried out. Raises PermissionDenied unless it was this person's word that carried it out."""
    last = video.decisions.order_by("-pk").first()
    if last is None or last.person_id != user.pk:
        raise PermissionDenied("only the person who decided can undo")
    if video.state == State.DROPPED and video.sha256 and not video.file:
        raise ValidationError(
            "the clip itself is gone: it was kept for as long as turned-down clips are (RETAIN_REJECTED_DAYS)", code="gone"
        )
    if video.reason.startswith(Video.TAKEN_DOWN):
        raise ValidationError("the video was taken down", code="gone")
    if last.number is not None:
        video.state, video.number, video.reason = State.ACCEPTED, last.number, ""
    if video.accepted_at and last.created_at > video.accepted_at:  # it settled what was doubted after the acceptance
        found = video.checks.filter(verdict="review").order_by("-created_at").values_list("created_at", flat=True).first()
        video.doubted_at = found or last.created_at
    else:
        if video.number is not None:
            numbering.number_return(video)
        video.state, video.reason, video.accepted_at = State.REVIEW, "; ".join(selectors.doubts(video))[:200], None
    video.save()


def _allowed(user: Any) -> None:
    if not user.has_perm(PERMISSION):
        raise PermissionDenied("deciding about videos needs the permission to review")


def _waits(video: Video) -> bool:
    return video.state == State.REVIEW or video.doubted_at is not None


def _waiting(video_id: int, user: Any) -> Video:
    # Lock the video: two reviewers may decide at once.
    video = Video.objects.select_for_update().get(pk=video_id)
    if not _waits(video):
        raise ValidationError(f"video {video_id} is {video.state}, not waiting for a decision", code="not-waiting")
    if user.pk in selectors.standing(video):
        raise ValidationError(f"you have decided about video {video_id}; a second person must look", code="decided")
    return video


def video_takedown(video_id: int, *, reason: str) -> Tombstone:
    """The tombstone that stays when the video's file, features, metadata and fingerprint are removed. Harmless when repeated.

    Copies that were dropped in its favour, and those still at work or in review, go with it. The rows themselves stay as dropped, emptied ones, because labels and releases
    point to them; the next release lacks the video.
    """
    if not reason.strip():
        raise ValidationError("a take-down needs its reason", code="reason")
    with transaction.atomic():
        stone = _take_down(video_id, reason)
        transaction.on_commit(takedowns_finish)
    return stone


def _take_down(video_id: int, reason: str) -> Tombstone:
    # Lock the video: a step may be at work on it.
    video = Video.objects.select_for_update().get(pk=video_id)
    prints = getattr(video, "fingerprint", None)
    stone, _ = Tombstone.objects.get_or_create(
        platform=video.platform,
        platform_id=video.platform_id,
        defaults={
            "sha256": video.sha256,
            "frames_sha256": prints.frames_sha256 if prints else "",
            "hashes": bytes(prints.hashes) if prints else b"",
            "times": prints.times if prints else [],
            "number": video.number,
            "reason": reason[:200],
        },
    )
    stone.leftovers = sorted({*stone.leftovers, *_files(video)})
    stone.save(update_fields=["leftovers"])
    copies = {*selectors.copies_dropped(video), *_copies_at_work(prints)}
    if prints:
        prints.delete()
    video.checks.all().delete()
    _empty(video, reason)
    for copy in copies:
        _take_down(copy, reason)
    return stone


def _copies_at_work(prints: Fingerprint | None) -> list[int]:
    """Ids of edited copies of a clip that were compared with what is taken down before this, and that nobody has accepted yet."""
    if prints is None:
        return []
    state = (State.VERIFIED, State.DEDUPLICATED, State.SCREENED, State.REVIEW)
    rows = Fingerprint.objects.filter(video__state__in=state).exclude(pk=prints.pk).defer("sound")
    return [row.video_id for row in rows if duplicates.judge(comparing.alike(row, prints))[0] > duplicates.DOUBTFUL]


def takedown_repeat(video: Video) -> None:
    """Removes what a step that was at work during the take-down has left since. Nothing happens when the video was not taken down."""
    with transaction.atomic():
        stone = Tombstone.objects.select_for_update().filter(platform=video.platform, platform_id=video.platform_id).first()
        if stone is None:
            return
        stone.leftovers = sorted({*stone.leftovers, *_files(video)})
        stone.save(update_fields=["leftovers"])
        video.checks.all().delete()
        transaction.on_commit(takedowns_finish)


def takedowns_finish() -> int:
    """How many take-downs still have files, because the store is away; the next call tries them again. Nobody can see them meanwhile."""
    waiting = list(Tombstone.objects.exclude(leftovers=[]))
    for done, stone in enumerate(waiting):
        try:
            for name in stone.leftovers:
                if not _is_shared(name):
                    clips().discard(name)
            if not _is_shared(f"{stone.sha256}.npy"):
                windows_path(stone.sha256).unlink(missing_ok=True)
        except Away as error:
            log.warning("files of a take-down stay until the store is back: %s", error)
            return len(waiting) - done
        Tombstone.objects.filter(pk=stone.pk, leftovers=stone.leftovers).update(leftovers=[])
    return 0


def _files(video: Video) -> list[str]:
    part = f"parts/{video.platform}-{video.platform_id}"
    whole = [video.file, verifying.features_name(video)] if video.file else []
    return [*whole, f"{part}.part", f"{part}.json", verifying.playable_name(video)]


def _is_shared(name: str) -> bool:
    """Whether another row needs the file: the same bytes found under two ids."""
    digest = PurePosixPath(name).stem
    return Video.objects.filter(Q(file=name) | Q(sha256=digest)).exclude(state=State.DROPPED).exists()


def _empty(video: Video, reason: str) -> None:
    video.state, video.reason, video.number, video.accepted_at = State.DROPPED, f"{Video.TAKEN_DOWN} {reason}"[:200], None, None
    video.doubted_at = video.stated_s = None
    video.title, video.author_hash, video.file, video.sha256, video.page_sha256, video.published_at = "", "", "", "", "", None
    video.hashtags, video.tags, video.media, video.raw, video.counts = [], [], [], {}, {}
    video.save()
