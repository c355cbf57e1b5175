"""deduplicated -> screened: every detector looks, and looks again once it has learnt more."""

from __future__ import annotations

from collections.abc import Collection

from crawler import moderation
from crawler.models import Check, Video
from crawler.services.claims import save
from crawler.services.verdicts import store_check, video_doubt
from crawler.storage import clips

State = Video.State


def screen(video: Video) -> None:
    """Every detector looks; what one of them wants seen goes to people, a detector without weights says so.

    Each finding is stored by itself: a look takes seconds, in which no lock may be held, and a killed worker keeps what was found.
    """
    clips().fetched(video.file, sha256=video.sha256)
    for detector in moderation.DETECTORS:
        if not video.checks.filter(name=detector.name, version=detector.version).exists():
            found = detector.look(video)
            store_check(video, detector.name, found.verdict, found.reason, found.evidence, detector.version)
    video.state = State.SCREENED
    save(video)


def screenings_repeat(*, only: Collection[str] = ()) -> int:
    """How many accepted or doubtful videos ran a screening whose version has risen, or that was unable to look before.

    only: names of screenings; without them, all. What is found is kept with the clip; a number that was given is not taken back by
    machine: an accepted video that is doubted now waits for people.
    """
    count = 0
    for video in Video.objects.filter(state__in=[State.ACCEPTED, State.REVIEW]).order_by("pk").iterator(chunk_size=200):
        done = set(video.checks.exclude(verdict=Check.Verdict.UNABLE).values_list("name", "version"))
        asked = [detector for detector in moderation.DETECTORS if not only or detector.name in only]
        due = [detector for detector in asked if (detector.name, detector.version) not in done]
        if due:
            clips().fetched(video.file, sha256=video.sha256)
        for detector in due:
            found = detector.look(video)
            store_check(video, detector.name, found.verdict, found.reason, found.evidence, detector.version)
            if found.verdict == Check.Verdict.REVIEW:
                video_doubt(video.pk)
        count += bool(due)
    return count
