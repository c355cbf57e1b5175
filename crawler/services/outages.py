"""What a stage could not reach: told apart from what was read and held nothing, put off, and tried again."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from crawler.models import Stage, Video, Visit
from crawler.services.manners import platforms_of

PASSING = {"unreachable", "slow", "rate-limited", "browser", "budget", "cookies"}  # over by itself, sooner or later
# Asked again only when a person says so, who may have mended what stood in the way, or given new rules.
BY_HAND = PASSING | {"captcha", "login", "blocked", "error", "worker-killed", "rule-failed"}
FIRST_RETRY = timedelta(minutes=5)
MAX_RETRIES = 7  # after 5, 10, 20 … 320 minutes: half a day in all
FEW = 2  # so many videos out of reach are those videos' own trouble


def lists_lost(stage: Stage, causes: set[str]) -> QuerySet[Visit]:
    return Visit.objects.filter(stage=stage, state=Visit.State.FAILED, outcome__in=causes)


def videos_lost(stage: Stage, causes: set[str]) -> QuerySet[Video]:
    """Videos that failed under one of these causes; an age wall of one post ("login") is that post's own outcome."""
    named = Q(pk__in=[])
    for cause in causes - {"login"}:
        named |= Q(reason__startswith=f"{cause}:")
    return Video.objects.filter(named, stage=stage, state=Video.State.FAILED)


def unreached(stage: Stage) -> str:
    """Which platforms were out of reach for most of the stage's lists or videos: "unreachable: tiktok (3 of 3 lists)"; "" when none."""
    said = []
    for platform in platforms_of(stage):
        lists, videos = (model.objects.filter(stage=stage, platform=platform).count() for model in (Visit, Video))
        lost_lists = lists_lost(stage, PASSING).filter(platform=platform).count()
        lost_videos = videos_lost(stage, PASSING).filter(platform=platform).count()
        if 2 * lost_lists > lists:
            said.append(f"{platform} ({lost_lists} of {lists} lists)")
        elif 2 * lost_videos > videos and lost_videos > FEW:
            said.append(f"{platform} ({lost_videos} of {videos} videos)")
    if not said:
        return ""
    last = lists_lost(stage, PASSING).order_by("-touched_at").first()
    return f"unreachable: {', '.join(said)}{f'; last: {last.detail}' if last else ''}"[:300]


@transaction.atomic
def stage_settle(stage_id: int, *, is_empty: bool) -> Stage:
    """The stage as its run leaves it: done, failed with the reason and the time of the next try, or open as it was.

    is_empty: no video of it is on its way any more. The stage's row is locked: it may be stopped at the same moment.
    """
    stage = Stage.objects.select_for_update().get(pk=stage_id)
    if stage.state != Stage.State.RUNNING:
        return stage
    now, stage.reason = timezone.now(), unreached(stage)
    if stage.reason:
        at = now + FIRST_RETRY * 2**stage.retries
        may_again = stage.retries < MAX_RETRIES and (stage.ends_at is None or at < stage.ends_at)
        stage.state, stage.finished_at = Stage.State.FAILED, now
        stage.retry_at, stage.retries = at if may_again else None, stage.retries + 1
    elif is_empty:
        stage.state, stage.finished_at, stage.retry_at = Stage.State.DONE, now, None
    stage.save(update_fields=["state", "reason", "finished_at", "retry_at", "retries"])
    return stage


def is_put_off(stage: Stage) -> bool:
    """Whether a failed stage is to be left alone by machines: its next try is not due, or there is none."""
    return stage.state == Stage.State.FAILED and (stage.retry_at is None or stage.retry_at > timezone.now())


@transaction.atomic
def stage_reopen(stage_id: int, *, by_hand: bool = True) -> int:
    """Lets what was out of reach wait again, and the stage run; returns how many lists and videos that are.

    by_hand: walls that stopped a list are asked again too, and the count of tries begins anew. A stage that is done and lost
    nothing stays done.
    """
    stage = Stage.objects.select_for_update().get(pk=stage_id)
    causes = BY_HAND if by_hand else PASSING
    count = lists_lost(stage, causes).update(state=Visit.State.WAITING, attempts=0, deaths=0, outcome="", detail="")
    lost = videos_lost(stage, causes)
    again = {"reason": "", "attempts": 0, "deaths": 0, "touched_at": timezone.now()}
    count += lost.filter(media=[]).update(state=Video.State.DISCOVERED, **again)
    count += lost.update(state=Video.State.META, **again)
    if count or stage.state == Stage.State.FAILED:
        stage.state, stage.reason, stage.retry_at, stage.finished_at = Stage.State.RUNNING, "", None, None
        stage.retries = 0 if by_hand else stage.retries
        stage.save(update_fields=["state", "reason", "retry_at", "finished_at", "retries"])
    return count
