"""The cleaning steps of one video, each verdict stored with its evidence: verify, compare, screen, number."""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from crawler import media, moderation
from crawler.models import Check, Counter, Fingerprint, Tombstone, Video
from crawler.rules import cleaning as rules
from crawler.rules import duplicates, transitions, violence
from crawler.services.claims import Overtaken, TakenDown, renew, save
from crawler.storage import clips

State = Video.State
VERSIONS = {
    **{name: version for name, (version, _) in rules.CHECKS.items()},
    "duplicate": 2,
    "transition": 1,
    "activity": 1,
    "sound": 1,
    "transcode": 1,
}
RELEASED_NUMBERS = "video numbers"
STOCK = "stock"
GAVE_WAY = re.compile(r"duplicate: of (\d+) \(better copy\)")
TOO_POOR = "reviewed: quality"


def store_check(
    video: Video, name: str, verdict: str, reason: str = "", evidence: dict[str, Any] | None = None, version: int | None = None
) -> Check:
    """The verdict of this version of the check: what is stored first stays, unless the check was unable to look then, or drops the clip now."""
    values = {"verdict": verdict, "reason": reason[:200], "evidence": evidence or {}, "created_at": timezone.now()}
    check, made = Check.objects.get_or_create(video=video, name=name, version=version or VERSIONS[name], defaults=values)
    if not made and (check.verdict == Check.Verdict.UNABLE or verdict == Check.Verdict.DROP):
        for field, value in values.items():
            setattr(check, field, value)
        check.save()
    return check


def video_doubt(video_id: int) -> None:
    """Brings an accepted video before the reviewers; it keeps its number until they have decided. Of any other it is not needed."""
    Video.objects.filter(pk=video_id, state=State.ACCEPTED, doubted_at=None).update(doubted_at=timezone.now())


def drop(video: Video, name: str, found: rules.Drop) -> None:
    with transaction.atomic():
        store_check(video, name, Check.Verdict.DROP, found.reason, found.evidence)
        video.state, video.reason = State.DROPPED, found.reason[:200]
        save(video)


def features_name(video: Video) -> str:
    return f"features/{video.sha256[:2]}/{video.sha256}.npz"


def features_path(video: Video) -> Path:
    return Path(settings.MEDIA_ROOT) / features_name(video)


# --- media -> verified ------------------------------------------------------------------------------------------


def verify(video: Video) -> None:
    """Decodes the file from end to end, stores what was measured and its fingerprint; drops what is spoilt, too short or too long.

    Raises TakenDown when its content was taken down under another id.
    """
    if not video.path.is_file():
        _ask_again(video)
        return
    try:
        seen = media.examine(video.path, features_path(video))
    except media.HostileMedia as error:
        drop(video, "corrupt", rules.Drop(f"corrupt: {error}"))
        return
    except FileNotFoundError:  # another post with the same bytes has just put a playable copy in its place
        _ask_again(video)
        return
    facts = facts_of(seen, taken_down=stone_of(video.sha256, seen.frames_sha256), stated_s=video.stated_s or 0.0)
    _measure(video, seen, facts)
    for name in ("taken-down", "corrupt", "length", "stated-length"):
        found = rules.CHECKS[name][1](facts)
        if isinstance(found, rules.Drop):
            if facts.taken_down:
                raise TakenDown(facts.taken_down)
            drop(video, name, found)
            return
        if found is None:
            store_check(video, name, Check.Verdict.PASS)
        else:
            store_check(video, name, Check.Verdict.REVIEW, found.reason, found.evidence)
    if not media.browser_plays(seen):
        if not renew(video):  # either takes minutes at most, both together may outlast a lease
            raise Overtaken(str(video))
        try:
            _transcode(video)
        except media.HostileMedia as error:
            drop(video, "transcode", rules.Drop(f"unplayable: {error}"))
            return
    # From here on any machine may go on: what it needs is kept before the row says so.
    clips().keep(video.file, sha256=video.sha256)
    clips().keep(features_name(video))
    with transaction.atomic():
        _fingerprint(video, seen)
        _strip(video, seen)
        _activity(video, seen)
        _sound(video, seen)
        video.state = State.VERIFIED
        save(video)


def _ask_again(video: Video) -> None:
    """The file is not where the row says (a lost disk, a killed move): back to the step that fetches it. What comes may be another file."""
    video.checks.exclude(name="duplicate").delete()
    video.file, video.sha256, video.state = "", "", State.META
    save(video)


def facts_of(seen: media.Examination, **also: Any) -> rules.Facts:
    """also: what the file itself does not tell."""
    same = {name: getattr(seen, name) for name in rules.Facts.__dataclass_fields__ if hasattr(seen, name)}
    return rules.Facts(**same, shortest_s=settings.DURATION_MIN_S, longest_s=settings.DURATION_MAX_S, **also)


def stone_of(sha256: str, frames_sha256: str) -> str:
    """Why this content was taken down under any id, "" when it was not."""
    for name, value in (("sha256", sha256), ("frames_sha256", frames_sha256)):
        stone = Tombstone.objects.filter(**{name: value}).first() if value else None
        if stone:
            return stone.reason
    return ""


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


def _measure(video: Video, seen: media.Examination, facts: rules.Facts) -> None:
    video.duration_s, video.frames, video.fps = round(seen.reached_s, 3), seen.frames, round(seen.fps, 3)
    video.width, video.height, video.has_audio = seen.width, seen.height, seen.has_audio
    video.tags = sorted({*video.tags, *rules.tags(facts)})


def _transcode(video: Video) -> None:
    """Puts a copy that browsers play in the original's place; the sha256 of what was fetched stays as evidence.

    Another post may have brought the same original and be at work on it: who needs it last removes it.
    """
    name, original, features = video.file, video.path, features_path(video)
    made = Path(settings.MEDIA_ROOT) / playable_name(video)
    media.transcode(original, made)
    with made.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    store_check(video, "transcode", Check.Verdict.PASS, "", {"sha256": video.sha256, "size_bytes": video.size_bytes})
    video.file, video.sha256, video.size_bytes = f"{digest[:2]}/{digest}.mp4", digest, made.stat().st_size
    for target in (video.path, features_path(video)):
        target.parent.mkdir(parents=True, exist_ok=True)
    _copy(features, features_path(video))
    made.replace(video.path)
    video.tags = sorted({*video.tags, "transcoded"})
    save(video)
    if not Video.objects.filter(file=name).exists():
        original.unlink(missing_ok=True)
        features.unlink(missing_ok=True)


def playable_name(video: Video) -> str:
    """Where its playable copy grows; nobody else writes there."""
    return f"parts/{video.platform}-{video.platform_id}.play.mp4"


def _copy(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    shutil.copyfile(source, partial)
    partial.replace(target)


def _fingerprint(video: Video, seen: media.Examination) -> None:
    good = np.array(seen.quality) >= duplicates.QUALITY
    hashes, times = seen.hashes[good], np.array(seen.times)[good]
    values = {"frames_sha256": seen.frames_sha256, "hashes": hashes.tobytes(), "times": times.tolist(), "sound": seen.sound.tobytes()}
    Fingerprint.objects.update_or_create(video=video, defaults=values)


def _strip(video: Video, seen: media.Examination) -> None:
    found = transitions.strip(np.array(seen.times), np.array(seen.changes), np.array(seen.brightness), np.array(seen.loudness))
    store_check(video, "transition", Check.Verdict.PASS, "", found.as_dict())


def _sound(video: Video, seen: media.Examination) -> None:
    """Whether its sound can bear witness where pictures leave a doubt (rules.duplicates)."""
    if seen.sound_problem:
        store_check(video, "sound", Check.Verdict.UNABLE, seen.sound_problem)
    else:
        store_check(video, "sound", Check.Verdict.PASS, "" if len(seen.sound) else "silent", {"words": len(seen.sound)})


def _activity(video: Video, seen: media.Examination) -> None:
    evidence = {"motion": violence.motion(np.array(seen.changes)), "blows_s": violence.blows(np.array(seen.loudness))}
    store_check(video, "activity", Check.Verdict.PASS, "", evidence)


# --- verified -> deduplicated -----------------------------------------------------------------------------------

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
        _settle(video, State.DEDUPLICATED)
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
    _settle(video, State.DEDUPLICATED)
    return True


def _settle(video: Video, state: str) -> None:
    video.state = state
    save(video)


# --- deduplicated -> screened -----------------------------------------------------------------------------------


def screen(video: Video) -> None:
    """Every detector looks; what one of them wants seen goes to people, a detector without weights says so.

    Each finding is stored by itself: a look takes seconds, in which no lock may be held, and a killed worker keeps what was found.
    """
    clips().fetched(video.file, sha256=video.sha256)
    for detector in moderation.DETECTORS:
        if not video.checks.filter(name=detector.name, version=detector.version).exists():
            found = detector.look(video)
            store_check(video, detector.name, found.verdict, found.reason, found.evidence, detector.version)
    _settle(video, State.SCREENED)


# --- screened -> accepted ---------------------------------------------------------------------------------------


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


def number_return(video: Video) -> None:
    """Takes the number back from a video that is locked and about to be saved; the last one is given to the next video again."""
    counter = Counter.objects.select_for_update().get(name=RELEASED_NUMBERS)
    if counter.last == video.number:
        counter.last -= 1
        counter.save()
    video.number = None
