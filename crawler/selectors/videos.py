"""Which videos there are, and the addresses of their clips."""

from __future__ import annotations

import re
from typing import Any

from django.core import signing
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from crawler.models import Video
from crawler.selectors.review import resembled

SALT = "crawler.clip"


def videos_ready() -> QuerySet[Video]:
    """Accepted videos in the order of their numbers."""
    return Video.objects.filter(state=Video.State.ACCEPTED).order_by("number")


def video_named(name: str) -> Video | None:
    """The video of a number, a public name (00000001.mp4) or platform/id; None when there is none."""
    if "/" in name:
        platform, _, platform_id = name.partition("/")
        return Video.objects.filter(platform=platform, platform_id=platform_id).first()
    match = re.fullmatch(r"0*(\d{1,9})(\.mp4)?", name)
    return Video.objects.filter(number=int(match[1])).first() if match else None


def copies_dropped(video: Video) -> list[int]:
    """Ids of the videos that were dropped as copies of this one, by machine or by a person who compared the two."""
    compared = Q(reason="reviewed: duplicate", checks__name="duplicate", checks__evidence__other=video.pk)
    copies = Video.objects.filter(Q(reason__startswith=f"duplicate: of {video.pk} (") | compared, state=Video.State.DROPPED)
    return sorted(set(copies.values_list("pk", flat=True)))


def copy_kept(video: Video) -> Video | None:
    """The clip in whose favour this one was dropped as its copy, where that is still there."""
    match = re.match(r"duplicate: of (\d+) \(", video.reason)
    found = Video.objects.filter(pk=int(match[1])).first() if match else resembled(video) if video.reason == "reviewed: duplicate" else None
    return found if found and found.state not in (Video.State.DROPPED, Video.State.FAILED) else None


def clip_url(video: Video, *, user: Any, ttl_s: int = 3600) -> str:
    """An address of the clip that works for this user until it expires, and for nobody else."""
    expires = int(timezone.now().timestamp()) + ttl_s
    return reverse("crawler:clip", args=[signing.dumps([video.pk, user.pk, expires], salt=SALT)])


def clip_of(token: str, *, user: Any) -> Video | None:
    """The video that a clip address stands for; None when it is forged, expired, another person's, or the video has no file."""
    try:
        video_id, user_id, expires = signing.loads(token, salt=SALT)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    if user_id != user.pk or expires < timezone.now().timestamp():
        return None
    return Video.objects.filter(pk=video_id).exclude(file="").first()
