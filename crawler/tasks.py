"""Celery's entry points: each takes an id, calls one service, and can run twice."""

from __future__ import annotations

import logging

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError

from crawler import services
from crawler.fetch import Unreachable
from crawler.storage import Away

log = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def crawl_stage(stage_id: int) -> None:
    try:
        services.stage_crawl(stage_id, dispatch=advance_video.delay, unless_done=True)
    except services.StageBusy:
        return  # another worker is at it: that is what was asked for
    except SoftTimeLimitExceeded:  # longer than a task may be: the next message goes on where this one was
        crawl_stage.delay(stage_id)


@shared_task(autoretry_for=(OperationalError,), retry_backoff=True, max_retries=3, ignore_result=True)
def crawl_due_stages() -> None:
    for stage_id in services.stages_due():
        crawl_stage.delay(stage_id)


# From ten seconds on: a platform that restarts must not use up a video's tries (services.videos.MAX_ATTEMPTS).
@shared_task(autoretry_for=(Unreachable,), retry_backoff=10, retry_jitter=True, max_retries=3, ignore_result=True)
def advance_video(video_id: int) -> None:
    try:
        services.video_advance(video_id)
    except Away as error:  # the status page says so too; resume_stale sends the video again
        log.warning("video %s waits: %s", video_id, error)


@shared_task(autoretry_for=(OperationalError,), retry_backoff=True, max_retries=3, ignore_result=True)
def resume_stale() -> None:
    for video_id in services.resume_stale():
        advance_video.delay(video_id)
    services.takedowns_finish()
    services.parts_sweep()
