"""Kept posts looked up again: what its author has deleted or closed since is to leave the collection as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from django.db.models import F, Q
from django.utils import timezone

from crawler.fetch import Gone, Refused, Unreachable
from crawler.models import Video
from crawler.platforms import PLATFORMS, Outcome, VideoPage
from crawler.services import videos
from crawler.services.review import video_takedown

WITHDRAWN = {Outcome.GONE, Outcome.PRIVATE}
READ = {"there", *WITHDRAWN, Outcome.REGION, Outcome.NOT_VIDEO, Outcome.RULE_FAILED, "robots"}  # the platform answered for this post


def posts_recheck(
    *, older_than: timedelta, limit: int, take_down: bool = False, progress: Callable[[int, int], None] | None = None
) -> dict[str, int]:
    """How many kept posts were still there, and the others by cause; those longest unseen first.

    take_down: posts that are gone or private leave a tombstone at once; else they are only counted, and stay due. Whatever else a
    page says (a wall, robots.txt, a rule that failed) is no word of the author's: such posts stay due as well.
    """
    due = Q(rechecked_at=None) | Q(rechecked_at__lt=timezone.now() - older_than)
    kept = Video.objects.filter(due, state=Video.State.ACCEPTED, platform__in=PLATFORMS).order_by(
        F("rechecked_at").asc(nulls_first=True), "pk"
    )
    rows, counts, closed = list(kept.values_list("pk", "platform")), Counter[str](), set[str]()
    for video_id, platform in rows:
        if counts.total() == limit:
            break
        if platform in closed:
            continue
        said = _outcome(Video.objects.select_related("stage").get(pk=video_id))
        counts[said] += 1
        if said not in READ:
            closed.add(platform)  # a wall, or no line: its other posts wait for the next run, and do not use up this one
        if said in WITHDRAWN and take_down:
            video_takedown(video_id, reason=f"{said} on its platform")
        elif said == "there":
            Video.objects.filter(pk=video_id).update(rechecked_at=timezone.now())
        if progress:
            progress(counts.total(), min(limit, len(rows)))
    return dict(sorted(counts.items()))


def _outcome(video: Video) -> str:
    """ "there", or why not, in one word."""
    try:
        page = videos.page_of(video)
    except Gone:
        return str(Outcome.GONE)
    except (Refused, Unreachable) as error:
        return error.cause
    return "there" if isinstance(page, VideoPage) else str(page.outcome)
