"""One video as far as it goes: page, file, examination, comparison, screening, number. Every step may run twice.

Each step reads what the step before stored, and moves the state forward only from the state it began with, so a killed worker
loses at most the step it was in.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from crawler import fetch, media
from crawler.fetch import Client, Expired, FetchError, Gone, Refused, Reply, Unreachable
from crawler.models import Check, Counter, Stage, Tombstone, Video
from crawler.platforms import PLATFORMS, STATUS_OUTCOMES, Failure, Outcome, VideoPage, rulebook
from crawler.rules import robots
from crawler.services import comparing, numbering, screening, verifying
from crawler.services.claims import MAX_DEATHS, Overtaken, TakenDown, claimed, is_alive, renew, save
from crawler.services.manners import client_of
from crawler.services.review import takedown_repeat, video_takedown
from crawler.storage import Away

log = logging.getLogger(__name__)
MAX_ATTEMPTS = 5
WORTH_ANOTHER_LOOK = {Outcome.BLOCKED, Outcome.RULE_FAILED}  # a page now and then comes back empty
LOOKS = 3
DISCOVERY = "discovery"  # the row whose lock is held while posts are stored
State = Video.State
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # the disk's trouble, which no other file would be spared
ASKING = (State.DISCOVERED, State.META)  # from here the next step asks the platform


def video_advance(video_id: int) -> Video:
    """The video after as many steps as it can take now.

    Raises Unreachable when a step must be tried again later, and Away when the store of the clips must be, the disk is full, or this machine
    lacks FFmpeg: that is no try of the platform's, so it is not counted. A video on which another worker is at work is returned as it is.
    """
    video = Video.objects.select_related("stage").get(pk=video_id)
    orphaned = bool(video.claimed_by) and not is_alive(video.claimed_by)
    with claimed(video) as mine:
        if not mine:
            return video
        video.refresh_from_db()
        try:
            if orphaned:
                _count_death(video)
            _advance(video)
        except Overtaken:
            takedown_repeat(video)
        except TakenDown as error:
            video_takedown(video.pk, reason=str(error))
    video.refresh_from_db()
    return video


def _advance(video: Video) -> None:
    """Raises Unreachable and Away as video_advance does, Overtaken when the video was dropped under a step's hands.

    An error of our own is counted like an unreachable platform, so that one odd video neither stops a stage nor comes back for ever.
    """
    try:
        while video.state in STEPS and renew(video) and not _is_stopped(video):
            STEPS[video.state](video)
    except Unreachable as error:
        _try_later(video, error)
    except FetchError as error:
        _end(video, State.FAILED, f"{error.cause}: {error}")
    except (Overtaken, TakenDown, Away, OperationalError, InterfaceError):
        raise
    except Exception as error:
        if isinstance(error, media.Unfit):
            raise Away(f"clips cannot be examined: {error}") from error
        if isinstance(error, OSError) and error.errno in FULL:
            raise Away(f"clips cannot be written: {error}") from error
        log.exception("video %s, which was %s", video.pk, video.state)
        _try_later(video, Unreachable(f"{type(error).__name__}: {error}", cause="error"))


def _count_death(video: Video) -> None:
    """A worker died with this video in its hands. After too many such deaths the video fails, and spares the next one."""
    video.deaths += 1
    if video.state in STEPS and video.deaths >= MAX_DEATHS:
        _end(video, State.FAILED, f"worker-killed: {video.deaths} workers died while it was {video.state}")
    video.save(update_fields=["deaths"])


def _is_stopped(video: Video) -> bool:
    """Whether its stage was stopped: the platform is not asked for anything then; what is here already is still cleaned."""
    return video.state in ASKING and Stage.objects.filter(videos=video, state=Stage.State.STOPPED).exists()


def _try_later(video: Video, error: Unreachable) -> None:
    """Counts the attempt; the last one fails the video under the cause's own name."""
    video.attempts += 1
    if video.attempts >= MAX_ATTEMPTS:
        _end(video, State.FAILED, f"{error.cause}: {error}")
        return
    video.save(update_fields=["attempts", "touched_at"])
    raise error


def _end(video: Video, state: str, reason: str) -> None:
    video.state, video.reason = state, reason[:200]
    save(video, update_fields=["state", "reason", "attempts", "touched_at"])


# --- discovered -> meta -----------------------------------------------------------------------------------------


def read_page(video: Video) -> None:
    """Stores what the post's page says, before any of its media is asked for."""
    stone = Tombstone.objects.filter(platform=video.platform, platform_id=video.platform_id).first()
    if stone:
        _end(video, State.DROPPED, f"{Video.TAKEN_DOWN} {stone.reason}")
        return
    page = page_of(video)
    if isinstance(page, Failure):
        state = State.DROPPED if page.outcome is Outcome.NOT_VIDEO else State.FAILED
        video.rule_version = page.rule_version
        video.save(update_fields=["rule_version"])
        _end(video, state, f"{page.outcome}: {page.detail}")
        return
    _store(video, page)
    video.state = State.META
    save(video)


def _store(video: Video, page: VideoPage) -> None:
    video.title, video.hashtags, video.author_hash = page.title, list(page.hashtags), page.author_hash
    video.published_at, video.counts, video.raw = page.published_at, page.counts, page.raw
    video.rule_version, video.media, video.stated_s = page.rule_version, list(page.media), page.duration_s
    if page.notes:
        video.tags = sorted({*video.tags, "doubtful_date"})


def page_of(video: Video) -> VideoPage | Failure:
    """The post as its page, or a fallback page, describes it. At a puzzle its host is left alone from then on, as at a list's."""
    client = client_of(video.stage, video.platform)
    page = _looked_up(client, video)
    if isinstance(page, Failure) and page.outcome is Outcome.CAPTCHA:
        fetch.pause(urlsplit(video.url).hostname or "", f"captcha: {page.detail} at {video}", client.manner.pause_hours)
    return page


def _looked_up(client: Client, video: Video) -> VideoPage | Failure:
    """An empty or changed page is looked at more than once."""
    adapter = PLATFORMS[video.platform]
    answer = Failure(Outcome.RULE_FAILED)
    for look in range(1, LOOKS + 1):
        for address in [video.url, *adapter.other_addresses(video.platform_id)]:
            try:
                reply = client.get(address)
            except (Gone, Refused):
                if address == video.url:
                    raise
                continue
            found = _read(client, reply, video)
            if isinstance(found, VideoPage):
                video.page_sha256 = reply.sha256
                return found
            if address == video.url or found.outcome not in WORTH_ANOTHER_LOOK:
                answer = found
            if answer.outcome not in WORTH_ANOTHER_LOOK:
                return answer
        if look < LOOKS:
            client.back_off(look)
    return answer


def _read(client: Client, reply: Reply, video: Video) -> VideoPage | Failure:
    """Raises Refused when the page of a video asks not to be used; where the stage disregards that, the video's tags say so."""
    if reply.status in STATUS_OUTCOMES:
        return Failure(STATUS_OUTCOMES[reply.status], f"{reply.status} from the page")
    found = PLATFORMS[video.platform].video_page(reply.text, reply.url, author_key=settings.AUTHOR_HASH_KEY)
    wishes = (reply.wishes | rulebook.wishes_in(reply.text)) & robots.NO_USE if isinstance(found, VideoPage) else frozenset()
    client.refuse_wish(reply.url, wishes)
    if wishes:
        video.tags = sorted({*video.tags, "robots_disregarded"})
    return found


# --- meta -> media ----------------------------------------------------------------------------------------------


def fetch_media(video: Video) -> None:
    """Stores the clip's file; expired addresses are asked for again on the page, then of yt-dlp."""
    client = client_of(video.stage, video.platform)
    part = f"{video.platform}-{video.platform_id}"
    folder = Path(settings.MEDIA_ROOT)
    sources: list[Callable[[], tuple[str, ...]]] = [
        lambda: tuple(video.media),
        lambda: _fresh(video),
        lambda: fetch.resolve(client, video.url),
    ]
    problem: FetchError = Refused(f"{video.url} names no address of its clip", cause="no-media")
    for source in sources:
        urls = source()
        if not urls:
            continue
        try:
            got = fetch.download(client, urls, video.url, folder, part)
        except (Expired, Gone) as error:
            problem = error
            continue
        video.file, video.sha256, video.size_bytes, video.state = got.name, got.sha256, got.size_bytes, State.MEDIA
        save(video)
        return
    raise problem


def _fresh(video: Video) -> tuple[str, ...]:
    """Addresses from the page as it is now. Raises Gone or Refused under the name of what the page has become."""
    page = page_of(video)
    if isinstance(page, Failure):
        raise Refused(page.detail or page.outcome, cause=page.outcome)
    video.media = list(page.media)
    return page.media


# --- the cleaning steps -----------------------------------------------------------------------------------------


def accept(video: Video) -> None:
    """Gives the next number, or hands the video to people when any check asks for that."""
    doubts = list(video.checks.filter(verdict=Check.Verdict.REVIEW).order_by("pk"))
    if doubts:
        _end(video, State.REVIEW, "; ".join(doubt.reason for doubt in doubts))
        return
    numbering.number(video)


STEPS: dict[str, Callable[[Video], None]] = {
    State.DISCOVERED: read_page,
    State.META: fetch_media,
    State.MEDIA: verifying.verify,
    State.VERIFIED: comparing.deduplicate,
    State.DEDUPLICATED: screening.screen,
    State.SCREENED: accept,
}


def clean_waiting(*, recheck: bool = False, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
    """Brings every video that has its file through the checks; counts by what became of them.

    recheck: accepted and doubtful videos run those checks again whose version has risen since.
    """
    waiting = [State.MEDIA, State.VERIFIED, State.DEDUPLICATED, State.SCREENED]
    ids = list(Video.objects.filter(state__in=waiting).order_by("pk").values_list("pk", flat=True))
    outcomes: dict[str, int] = {}
    for place, video_id in enumerate(ids, start=1):
        state = video_advance(video_id).state
        outcomes[state] = outcomes.get(state, 0) + 1
        if progress:
            progress(place, len(ids))
    if recheck:
        outcomes["rechecked"] = screening.screenings_repeat()
    return outcomes


def resume_stale(*, limit: int = 200) -> list[int]:
    """Ids of videos that stopped on their way and that nobody works on: their worker died, or their next try is due."""
    rows = (
        Video.objects.filter(state__in=list(STEPS))
        .exclude(state__in=ASKING, stage__state=Stage.State.STOPPED)
        .order_by("touched_at")
        .values_list("pk", "claimed_by", "touched_at")
    )
    due = timezone.now() - timedelta(minutes=2)
    return [pk for pk, claim, touched in rows[: limit * 4] if (not is_alive(claim) if claim else touched < due)][:limit]


@transaction.atomic
def posts_insert(posts: list[dict[str, Any]]) -> list[int]:
    """Ids of the posts that were new; a post that is there already stays as it is (unique: platform and its id).

    Locks one row until the transaction ends: two workers that store the same topic's posts in different order would wait for
    each other for ever, and both call a post new.
    """
    Counter.objects.get_or_create(name=DISCOVERY)
    Counter.objects.select_for_update().get(name=DISCOVERY)
    pairs = {(post["platform"], post["platform_id"]) for post in posts}
    names = [platform_id for _, platform_id in pairs]
    known = set(Video.objects.filter(platform_id__in=names).values_list("platform", "platform_id"))
    stones = set(Tombstone.objects.filter(platform_id__in=names).values_list("platform", "platform_id"))
    fresh = {(post["platform"], post["platform_id"]): post for post in posts}
    rows = [Video(**post) for pair, post in fresh.items() if pair not in known and pair not in stones]
    Video.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    wanted = {(row.platform, row.platform_id) for row in rows}
    stored = (
        Video.objects.filter(platform_id__in=[row.platform_id for row in rows]).values_list("pk", "platform", "platform_id").order_by("pk")
    )
    return [pk for pk, platform, platform_id in stored if (platform, platform_id) in wanted]
