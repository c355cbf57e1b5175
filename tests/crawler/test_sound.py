"""Sound may confirm to a reviewer that two clips are one, and never decides it."""

import os
import shutil
import subprocess
import wave

import numpy as np
import pytest

from crawler import media, selectors
from crawler.models import Check
from crawler.rules import duplicates
from crawler.rules.duplicates import Doubt, Likeness, decide, sound_alike
from crawler.services import verifying
from tests.factories import VideoFactory

NEARLY = {"share": 0.3, "in_order": 3, "inliers": 20, "agreement": 0.9}


def words(seed, count=120):
    return np.random.default_rng(seed).integers(2**32, size=count, dtype=np.uint32)


@pytest.mark.parametrize(
    ("left", "right", "alike"),
    [
        (words(1), words(1), 1.0),
        (words(1), words(1)[20:], 1.0),  # cut at its beginning
        (np.concatenate([words(3, 15), words(1)]), words(1), 1.0),  # something before it
        (words(1), words(2), 0.55),
        (np.zeros(120, np.uint32), np.zeros(120, np.uint32), None),  # silence is like silence
        (np.repeat(words(5, 4), 30), np.repeat(words(5, 4), 30), None),  # so is a hum
        (words(1, 20), words(1, 20), None),  # too short
    ],
)
def test_sound_is_laid_over_sound_where_it_agrees_best(left, right, alike):
    found = sound_alike(left, right)
    assert found == (None if alike is None else pytest.approx(alike, abs=0.05))
    assert sound_alike(right, left) == found


@pytest.mark.parametrize(
    ("likeness", "rank"),
    [
        (Likeness(1, **NEARLY), 1),
        (Likeness(1, **NEARLY, sound=0.5), 1),
        (Likeness(1, **NEARLY, sound=0.97), 1),
        (Likeness(1, share=0.35, in_order=3, nearest=50, sound=1.0), 1),  # an opening shared, and the song
        (Likeness(1, inliers=14, agreement=0.6, sound=1.0), 1),  # the same room, and the song
        (Likeness(1, sound=1.0), 0),  # the song alone
        (Likeness(1, share=0.2, in_order=2, nearest=70, inliers=11, agreement=0.4, sound=1.0), 0),
    ],
)
def test_sound_is_told_with_a_doubt_and_decides_nothing(likeness, rank):
    assert duplicates.judge(likeness)[0] == rank
    found = decide([likeness])
    assert isinstance(found, Doubt) == (rank == 1)
    if rank and likeness.sound is not None:
        assert found.evidence["sound"] == likeness.sound
        assert found.how.endswith("and the same sound") == (likeness.sound >= duplicates.SOUND_SAME)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A clip, its copy squeezed and cut, its song on other pictures, its pictures with silence, and with another song."""
    folder = tmp_path_factory.mktemp("sound")

    def song(name, seed):
        rng, rate = np.random.default_rng(seed), 16_000
        notes = [np.sin(2 * np.pi * rng.uniform(200, 2000, 3)[:, None] * np.arange(rate // 4) / rate).sum(axis=0) for _ in range(48)]
        with wave.open(str(folder / name), "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes((np.concatenate(notes) * 8000).astype("<i2").tobytes())
        return ["-i", folder / name]

    def clip(name, *parts):
        subprocess.run(["ffmpeg", "-v", "error", "-y", *parts, "-shortest", "-pix_fmt", "yuv420p", folder / name], check=True)
        return folder / name

    one, other = song("one.wav", 1), song("other.wav", 2)
    test, life = ["-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=12"], ["-f", "lavfi", "-i", "life=s=160x120:r=10:seed=7,trim=0:12"]
    quiet = ["-f", "lavfi", "-i", "anullsrc=r=16000:d=12"]
    made = {"first": clip("first.mp4", *test, *one), "song": clip("song.mp4", *life, *one), "silent": clip("silent.mp4", *test, *quiet)}
    made["quiet"] = clip("quiet.mp4", *life, *quiet)
    made["other"] = clip("other.mp4", *test, *other)
    made["copy"] = clip("copy.mp4", "-ss", "2", "-i", made["first"], "-b:a", "24k", "-crf", "34")
    return made


@pytest.fixture(scope="module")
def seen(clips):
    return {name: media.examine(path) for name, path in clips.items()}


def look(found):
    good = np.array(found.quality) >= duplicates.QUALITY
    return media.Look(found.hashes[good], np.array(found.times)[good], None, found.sound if len(found.sound) else None)


def test_the_fingerprint_survives_a_squeezed_and_cut_copy_and_tells_songs_apart(seen):
    assert len(seen["first"].sound) > 60
    assert sound_alike(seen["first"].sound, seen["copy"].sound) >= duplicates.SOUND_SAME
    assert sound_alike(seen["first"].sound, seen["song"].sound) >= duplicates.SOUND_SAME
    assert sound_alike(seen["first"].sound, seen["other"].sound) < duplicates.SOUND_SAME - 0.1


def test_the_same_song_and_the_same_silence_on_other_pictures_are_no_pair(seen):
    assert duplicates.judge(media.compared(look(seen["first"]), 2, look(seen["song"])))[0] == 0
    assert (len(seen["silent"].sound), len(seen["quiet"].sound), seen["silent"].sound_problem) == (0, 0, "")
    assert duplicates.judge(media.compared(look(seen["silent"]), 2, look(seen["quiet"])))[0] == 0
    assert duplicates.judge(media.compared(look(seen["first"]), 2, look(seen["copy"])))[0] == 2


def test_sound_is_compared_for_doubtful_pairs_alone(seen, monkeypatch):
    first, song = look(seen["first"]), look(seen["song"])
    asked = []
    monkeypatch.setattr(duplicates, "sound_alike", lambda left, right: asked.append(1) or 0.9)
    media.compared(first, 2, song)
    media.compared(first, 2, look(seen["copy"]))
    assert asked == []
    monkeypatch.setattr(duplicates, "compare", lambda *args: {"share": 0.45, "nearest": 50, "in_order": 6})
    assert (media.compared(first, 2, song).sound, asked) == (0.9, [1])


def test_an_ffmpeg_without_chromaprint_is_told_with_the_pair(db, clips, tmp_path, monkeypatch):
    fake = tmp_path / "ffmpeg"
    fake.write_text(
        '#!/bin/sh\ncase "$*" in *chromaprint*) echo "Requested output format is not a suitable output format" >&2; exit 1;; esac\n'
        f'exec {shutil.which("ffmpeg")} "$@"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = media.examine(clips["first"])
    assert (found.sound_problem, len(found.sound), found.strict_problem) == ("this FFmpeg has no chromaprint", 0, "")
    video, other = VideoFactory(), VideoFactory()
    verifying._sound(video, found)
    Check.objects.create(video=video, name="duplicate", version=2, verdict="review", evidence={"other": other.pk})
    assert selectors.sound_of(video) == {"problem": "this FFmpeg has no chromaprint"}
    Check.objects.filter(name="duplicate").update(evidence={"other": other.pk, "sound": 0.934})
    assert selectors.sound_of(video) == {"percent": 93}
