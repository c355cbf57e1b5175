"""media -> verified: the file is decoded from end to end, measured, made playable, and given its fingerprint."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction

from crawler import media
from crawler.models import Check, Fingerprint, Tombstone, Video
from crawler.rules import cleaning as rules
from crawler.rules import duplicates, transitions, violence
from crawler.services.claims import Overtaken, TakenDown, renew, save
from crawler.services.verdicts import drop, store_check
from crawler.storage import clips

State = Video.State


def features_name(video: Video) -> str:
    return f"features/{video.sha256[:2]}/{video.sha256}.npz"


def features_path(video: Video) -> Path:
    return Path(settings.MEDIA_ROOT) / features_name(video)


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
