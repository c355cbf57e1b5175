"""screened -> accepted: the number under which a clip is labelled and released."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from crawler.models import Counter, Video
from crawler.services.claims import Overtaken

State = Video.State
RELEASED_NUMBERS = "video numbers"


@transaction.atomic
def number(video: Video) -> Video:
    """The video, accepted, with the next number. The counter's lock makes numbers follow acceptance without gaps.

    Raises Overtaken when it was dropped meanwhile.
    """
    Counter.objects.get_or_create(name=RELEASED_NUMBERS)
    counter = Counter.objects.select_for_update().get(name=RELEASED_NUMBERS)
    locked = Video.objects.select_for_update().get(pk=video.pk)
    if locked.state == State.DROPPED:
        raise Overtaken(str(locked))
    if locked.number is None:
        counter.last += 1
        counter.save()
        locked.number, locked.state, locked.reason, locked.accepted_at = counter.last, State.ACCEPTED, "", timezone.now()
        locked.save()
    video.refresh_from_db()
    return video


def number_return(video: Video) -> None:
    """Takes the number back from a video that is locked and about to be saved; the last one is given to the next video again."""
    counter = Counter.objects.select_for_update().get(name=RELEASED_NUMBERS)
    if counter.last == video.number:
        counter.last -= 1
        counter.save()
    video.number = None
