"""Steps 2 and 3: the staged crawl of the replica, and what the cleaning left."""

from __future__ import annotations

from collections import Counter

from django.db.models import QuerySet

from crawler import services, tasks
from crawler.models import Check, Term, Video
from crawler.models import Stage as CrawlStage
from demo.report import Report, wait_until

STAGES = ("demo-1", "demo-2")
TERMS = 12  # per platform and stage: what the replica's boards name
QUIET_S, BACKOFF_S = 1.0, 0.2  # the replica is near, and used to being hurried


def collect(report: Report, *, seed: int) -> None:
    """Two crawl stages: the keywords of what the first one kept steer the second."""
    for name in STAGES:
        with report.stage(f"crawl {name}") as row:
            stage = services.stage_create(name=name, seed=seed, terms_per_platform=TERMS, quiet_s=QUIET_S, backoff_s=BACKOFF_S)
            if stage.state != CrawlStage.State.DONE:
                crawl(stage.pk)
            videos = Video.objects.filter(stage=stage)
            row.came_in = videos.count()
            row.dropped = causes(videos.filter(state="failed"))
            row.went_out = row.came_in - sum(row.dropped.values())
            terms = dict.fromkeys(
                Term.objects.filter(blocked=False).order_by("-weight").values_list("text", flat=True)
            )  # one on two platforms
            row.notes.append(f"terms that steer what comes next: {', '.join(list(terms)[:8])}")


def crawl(stage_id: int) -> None:
    """The stage by the worker, until it is done. The task is sent again now and then, as beat does: a killed worker took its own along."""
    wait_until(
        "videos",
        done=lambda: CrawlStage.objects.filter(pk=stage_id, state=CrawlStage.State.DONE).exists(),
        count=lambda: progress_of(Video.objects.filter(stage=stage_id)),
        send=lambda: tasks.crawl_stage.delay(stage_id),
        timeout_s=900,
    )


def progress_of(videos: QuerySet[Video]) -> tuple[int, int]:
    settled = [Video.State.ACCEPTED, Video.State.DROPPED, Video.State.FAILED, Video.State.REVIEW]
    return videos.filter(state__in=settled).count(), videos.count()


def causes(videos: QuerySet[Video]) -> dict[str, int]:
    """Counts by the word before the colon of each video's reason."""
    return dict(Counter(reason.partition(":")[0] or "no reason" for reason in videos.values_list("reason", flat=True)))


def clean(report: Report) -> None:
    """What the stages left unchecked because a worker died; what stands then is counted."""
    with report.stage("clean") as row:
        services.clean_waiting()
        fetched = Video.objects.exclude(state=Video.State.FAILED)
        row.came_in = fetched.count()
        row.went_out = fetched.filter(state=Video.State.ACCEPTED).count()
        row.dropped = causes(fetched.filter(state=Video.State.DROPPED))
        row.notes.append(f"{Check.objects.count()} verdicts stored with their evidence")
        waiting = fetched.filter(state=Video.State.REVIEW)
        if waiting:
            row.dropped["for review"] = waiting.count()
            row.notes.append(f"for a person to decide on /review/: {', '.join(sorted(causes(waiting)))}")
