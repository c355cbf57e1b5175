"""verified -> deduplicated: a clip is compared with all that entered before it, and with what was taken down."""

from __future__ import annotations

import re
from pathlib import Path
from threading import Lock

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import Max

from crawler import media
from crawler.models import Check, Counter, Fingerprint, Tombstone, Video
from crawler.rules import cleaning as rules
from crawler.rules import duplicates
from crawler.services.claims import Overtaken, TakenDown, save
from crawler.services.verdicts import drop, store_check
from crawler.services.verifying import features_name
from crawler.storage import clips

State = Video.State
STOCK = "stock"
GAVE_WAY = re.compile(r"duplicate: of (\d+) \(better copy\)")
TOO_POOR = "reviewed: quality"
_stock: dict[str, media.Stock] = {}
_following = Lock()
SAVE_AFTER = 200  # clips that entered since the stock was last written to disk


def stock() -> media.Stock:
    """The clips to compare with, as of now, kept between calls in this process.

    The rows of Fingerprint are the truth, in the order of `entered`; what a process holds, and the file that spares the next process
    their reading, only follow them, so that a killed worker neither loses a clip nor adds one twice.
    """
    key = str(settings.DATABASES["default"]["NAME"])
    with _following:
        held = _followed(_stock.get(key) or media.Stock.load(stock_path()))
        before = len(held)
        rows = Fingerprint.objects.filter(entered__gt=held.last).select_related("video").defer("sound").order_by("entered")
        for row in rows.iterator(chunk_size=500):
            held.add(row.video_id, _hashes(row), _features(row.video), place=row.entered or 0)
        _stock[key] = held
        if len(held) // SAVE_AFTER > before // SAVE_AFTER:
            held.save(stock_path())
    return held


def stock_path() -> Path:
    return Path(settings.MEDIA_ROOT) / "features" / "stock.npz"


def _followed(held: media.Stock) -> media.Stock:
    """The stock without clips that were removed from the database; an empty one when it is of another database."""
    entered = Fingerprint.objects.filter(entered__lte=held.last)
    if not held.last or entered.count() == len(held):
        return held if not held.last or entered.filter(entered=held.last).exists() else media.Stock()
    here = set(entered.values_list("video_id", flat=True))
    if here <= held.clips:
        held.remove(held.clips - here)
        held.last = entered.aggregate(last=Max("entered"))["last"] or 0
    else:
        held = media.Stock()
    held.save(stock_path())  # what was taken down leaves the disk too
    return held


def _hashes(row: Fingerprint | Tombstone) -> np.ndarray:
    return np.frombuffer(bytes(row.hashes), np.uint8).reshape(-1, 32)


def deduplicate(video: Video) -> None:
    """Compares with every clip that entered before, then enters the stock, so that of two copies at work at once one sees the other.

    Raises TakenDown for an edited copy of a clip that was taken down.
    """
    mine = Fingerprint.objects.filter(video=video).first()
    if mine is None:
        raise Overtaken(str(video))
    if mine.entered is not None:  # killed between entering and saving the state
        _settle(video)
        return
    if reason := stone_alike(mine):
        raise TakenDown(reason)
    likenesses: dict[int, duplicates.Likeness] = {}
    gone: set[int] = set()  # worse copies that gave way: what remains is compared without them
    while True:
        held = stock()
        last = held.last
        likenesses |= {found.other: found for found in likenesses_of(video, mine, held, known=set(likenesses))}
        left = Video.objects.filter(pk__in=set(likenesses) - gone).values_list("pk", flat=True)
        found = rules.duplicate([likenesses[other] for other in left])
        if isinstance(found, rules.Drop):
            other = found.evidence["other"]
            kept = _kept_for(other)
            if kept != video.pk and not _gives_way(video, kept):
                drop(video, "duplicate", rules.Drop(f"duplicate: of {kept} ({found.evidence['how']})", found.evidence))
                return
            gone |= {other, kept}
        elif _enter(video, mine, last, found):
            return


def stone_alike(mine: Fingerprint) -> str:
    """Why the clip of which this one is an edited copy was taken down, "" when none was.

    Nothing but frame hashes is left of such a clip, so they alone must say it: a copy cut to a part of the picture is missed.
    """
    for stone in Tombstone.objects.exclude(hashes=b""):
        if duplicates.judge(alike(mine, stone))[0] > duplicates.DOUBTFUL:
            return stone.reason
    return ""


def alike(mine: Fingerprint, other: Fingerprint | Tombstone) -> duplicates.Likeness:
    """How much the frames of two clips resemble each other, by their hashes."""
    found = duplicates.compare(_hashes(mine), np.array(mine.times), _hashes(other), np.array(other.times))
    return duplicates.Likeness(other.pk, **found)


def likenesses_of(video: Video, mine: Fingerprint, held: media.Stock, *, known: set[int]) -> list[duplicates.Likeness]:
    """How the stored clips that share anything with this one resemble it; a closer look only at the few that the stock names."""
    same_bytes = set(Video.objects.filter(sha256=video.sha256, fingerprint__entered__isnull=False).values_list("pk", flat=True))
    same_frames = set(
        Fingerprint.objects.filter(frames_sha256=mine.frames_sha256, entered__isnull=False).values_list("video_id", flat=True)
    )
    exact = (same_bytes | same_frames) - {video.pk} - known
    if exact:
        return [duplicates.Likeness(other, same_bytes=other in same_bytes, same_frames=other in same_frames) for other in sorted(exact)]
    look = _look(mine)
    wanted = [other for other in held.candidates(look.hashes, look.features) if other not in known and other != video.pk]
    rows = {row.video_id: row for row in Fingerprint.objects.filter(video_id__in=wanted).select_related("video")}
    return [media.compared(look, other, _look(rows[other])) for other in wanted if other in rows]


def _look(row: Fingerprint) -> media.Look:
    sound = np.frombuffer(bytes(row.sound), np.uint32)
    return media.Look(_hashes(row), np.array(row.times), _features(row.video), sound if len(sound) else None)


def _features(video: Video) -> media.Features | None:
    return media.load_features(clips().fetched(features_name(video)))


def _kept_for(video_id: int) -> int:
    """The copy in whose favour this clip was dropped, through all who gave way to a better one in turn; the clip itself otherwise."""
    dropped = Video.objects.filter(pk=video_id, state=State.DROPPED).values_list("reason", flat=True).first()
    way = GAVE_WAY.fullmatch(dropped or "")
    return _kept_for(int(way[1])) if way else video_id


@transaction.atomic
def _gives_way(video: Video, other_id: int) -> bool:
    """Whether the other copy leaves its place to this one: it failed, or it is worse and has no number yet.

    One that people dropped as too poor stays dropped, and bars no better copy.
    """
    other = Video.objects.select_for_update().filter(pk=other_id).first()
    if other is None or not (other.state == State.FAILED or duplicates.better(_quality(video), _quality(other))):
        return False
    if other.state in (State.VERIFIED, State.DEDUPLICATED, State.SCREENED, State.REVIEW, State.FAILED):
        other.state, other.reason = State.DROPPED, f"duplicate: of {video.pk} (better copy)"
        other.save()
        return True
    return (other.state, other.reason) == (State.DROPPED, TOO_POOR)


def _quality(video: Video) -> tuple[int, float]:
    return (video.width or 0) * (video.height or 0), (video.size_bytes or 0) / (video.duration_s or 1)


@transaction.atomic
def _enter(video: Video, mine: Fingerprint, last: int, found: rules.Review | None) -> bool:
    """Enters the stock if nobody entered since it was searched; False asks for another search."""
    # Lock the counter: two copies of one clip must not both enter unseen.
    Counter.objects.get_or_create(name=STOCK)
    counter = Counter.objects.select_for_update().get(name=STOCK)
    if (Fingerprint.objects.filter(entered__isnull=False).order_by("-entered").values_list("entered", flat=True).first() or 0) != last:
        return False
    counter.last = max(counter.last, last) + 1
    counter.save()
    mine.entered = counter.last
    if not Fingerprint.objects.filter(pk=mine.pk).update(entered=mine.entered):
        raise Overtaken(str(video))
    if found:
        store_check(video, "duplicate", Check.Verdict.REVIEW, found.reason, found.evidence)
    else:
        store_check(video, "duplicate", Check.Verdict.PASS)
    _settle(video)
    return True


def _settle(video: Video) -> None:
    video.state = State.DEDUPLICATED
    save(video)
