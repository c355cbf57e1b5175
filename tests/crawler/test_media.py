"""Files that must be taken apart in a child process: what a good one measures, what every spoilt one is called, what hostile ones may not do."""

import random
import shutil
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from crawler import media
from crawler.media import examination as limits
from crawler.rules import duplicates
from crawler.rules.cleaning import Drop, Facts, verdict
from tests.crawler.conftest import make_clip


def judged(path: Path):
    try:
        seen = media.examine(path)
    except media.HostileMedia as error:
        return Drop(f"corrupt: {error}")
    return verdict(Facts(**{name: getattr(seen, name) for name in Facts.__dataclass_fields__ if hasattr(seen, name)}))


def test_a_good_clip_is_measured(clip, tmp_path):
    seen = media.examine(clip, tmp_path / "f.npz")
    assert (seen.problem, seen.strict_problem) == ("", "")
    assert (seen.width, seen.height, seen.frames) == (108, 192, 60)
    assert seen.reached_s == pytest.approx(4.0, abs=0.1)
    assert seen.has_audio
    assert not seen.silent
    assert seen.hashes.shape == (len(seen.times), 32)
    assert 14 <= len(seen.times) <= 17
    assert media.browser_plays(seen)
    assert media.load_features(tmp_path / "f.npz") is not None
    assert judged(clip).tags == ()


def spoilt(data: bytes, how: str) -> bytes:
    rng = random.Random(how)
    body = bytearray(data)
    middle = len(body) // 2
    match how:
        case "empty":
            return b""
        case "html":
            return b"<html><body>403</body></html>" * 40
        case "truncated_95" | "truncated_60" | "truncated_20":
            return bytes(body[: len(body) * int(how[-2:]) // 100])
        case "zeroed_tail":
            body[middle:] = bytes(len(body) - middle)
        case "hole":
            body[middle : middle + 16_384] = bytes(min(16_384, len(body) - middle))
        case "garbage":
            body[middle : middle + 4096] = rng.randbytes(4096)
        case "bit_flips":
            for _ in range(40):
                body[rng.randrange(4000, len(body))] ^= 1 << rng.randrange(8)
    return bytes(body)


@pytest.mark.parametrize(
    "how", ["empty", "html", "truncated_95", "truncated_60", "truncated_20", "zeroed_tail", "hole", "garbage", "bit_flips"]
)
def test_every_spoilt_file_is_corrupt(clip, tmp_path, how):
    path = tmp_path / "spoilt.mp4"
    path.write_bytes(spoilt(clip.read_bytes(), how))
    found = judged(path)
    assert isinstance(found, Drop)
    assert found.reason.startswith("corrupt:")


@pytest.mark.parametrize(
    ("picture", "sound", "tags"),
    [
        ("color=black:size=64x64:rate=10:duration={seconds}", "anullsrc=r=44100", ("silent", "black", "frozen")),
        ("color=red:size=64x64:rate=10:duration={seconds}", "sine=frequency=300", ("frozen",)),
        ("testsrc2=size=64x64:rate=10:duration={seconds}", "", ("no_audio",)),
    ],
)
def test_tags(tmp_path, picture, sound, tags):
    sound = sound.replace("anullsrc=r=44100", "anullsrc=r=44100:cl=mono") if "anull" in sound else sound
    path = make_clip(tmp_path / "tagged.mp4", picture=picture, sound="" if "anull" in sound else sound, extra=())
    if "anull" in sound:
        silent = tmp_path / "silent.mp4"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", path, "-f", "lavfi", "-i", sound, "-t", "4", "-shortest", silent], check=True)
        path = silent
    assert judged(path).tags == tags


def test_mp3_in_an_mp4_is_left_as_it_is(clip, tmp_path):
    path = tmp_path / "mp3.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", clip, "-c:v", "copy", "-c:a", "libmp3lame", path], check=True)
    assert media.browser_plays(media.examine(path))
    assert media.unplayed([path]) == [False]


def test_a_clip_that_browsers_cannot_play_is_transcoded(clip, tmp_path):
    odd = tmp_path / "odd.mkv"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", clip, "-c:v", "mpeg4", "-c:a", "mp3", odd], check=True)
    assert not media.browser_plays(media.examine(odd))
    media.transcode(odd, tmp_path / "play.mp4")
    seen = media.examine(tmp_path / "play.mp4")
    assert media.browser_plays(seen)
    assert (seen.problem, seen.strict_problem) == ("", "")
    assert (tmp_path / "play.mp4").read_bytes().index(b"moov") < (tmp_path / "play.mp4").read_bytes().index(b"mdat")


def test_a_phone_that_was_held_upright_gives_upright_pictures(clip, tmp_path):
    turned, body = tmp_path / "turned.mp4", bytearray(clip.read_bytes())
    matrix = body.index(b"tkhd") + 44  # of the first track, the pictures
    body[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 192 << 16, 0, 1 << 30)  # a quarter turn clockwise
    turned.write_bytes(body)
    seen, plain = media.examine(turned), media.examine(clip)
    assert (seen.width, seen.height, seen.rotation) == (192, 108, -90)
    assert np.array_equal(media.pictures(turned), np.rot90(media.pictures(clip), -1, axes=(1, 2)))
    assert (plain.width, plain.height, plain.rotation) == (108, 192, 0)
    assert plain.frames_sha256 == seen.frames_sha256


@pytest.mark.parametrize(
    ("sound", "options", "silent"),
    [
        ("aevalsrc=0/0:d=4", ("-c:a", "pcm_f32le"), True),  # no numbers at all
        ("aevalsrc=1/0:d=4", ("-c:a", "pcm_f32le"), False),
        ("aevalsrc=sin(900*t):d=4", ("-c:a", "pcm_f32le"), False),
        ("aevalsrc=0:d=4", ("-c:a", "pcm_u8"), True),  # where the middle is 128
    ],
)
def test_sound_of_any_numbers_is_measured_in_numbers_that_can_be_stored(clip, tmp_path, sound, options, silent):
    path = tmp_path / "odd.mkv"
    command = ["ffmpeg", "-v", "error", "-y", "-i", clip, "-f", "lavfi", "-i", sound, "-map", "0:v", "-map", "1:a", "-c:v", "copy"]
    subprocess.run([*command, *options, path], check=True)
    seen = media.examine(path)
    assert np.isfinite([*seen.loudness, seen.audio_peak]).all()
    assert (seen.problem, seen.silent) == ("", silent)


def test_headers_of_many_files_are_read_by_one_child_and_a_file_that_kills_it_is_left_out(clip, tmp_path, monkeypatch):
    old = tmp_path / "old.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", clip, "-c:v", "mpeg4", "-c:a", "copy", old], check=True)
    killer = tmp_path / "killer.mp4"
    killer.write_bytes(b"no clip")
    real, asked = limits.run_limited, []

    def dying(command, **more):
        asked.append(len(Path(command[4]).read_text().splitlines()))
        return real(["sh", "-c", "kill -9 $$"] if str(killer) in Path(command[4]).read_text() else command, **more)

    assert media.unplayed([clip, old, killer]) == [False, True, False]
    monkeypatch.setattr(limits, "run_limited", dying)
    assert media.unplayed([clip, old, killer]) == [False, True, False]
    assert asked == [3, 1, 1, 1]
    assert media.unplayed([]) == []


def test_a_playlist_is_not_followed_when_it_is_made_playable(clip, tmp_path):
    (tmp_path / "secret.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "list.avi").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(media.HostileMedia):
        media.transcode(tmp_path / "list.avi", tmp_path / "made.mp4")


# --- containment ------------------------------------------------------------------------------------------------


def test_a_playlist_reads_no_other_file(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    path = tmp_path / "list.mp4"
    path.write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n")
    found = judged(path)
    assert isinstance(found, Drop)
    assert "secret" not in str(found.evidence)


def test_a_child_that_is_late_is_killed_with_its_own_children():
    began = time.monotonic()
    with pytest.raises(media.HostileMedia, match="not finished"):
        limits.run_limited(["sh", "-c", "sleep 177 & sleep 177"], wall_s=0.5)
    assert time.monotonic() - began < 60
    assert subprocess.run(["pgrep", "-f", "^sleep 177$"], check=False).returncode != 0


def test_a_child_that_the_machine_starves_may_finish():
    """It works a little and waits much, as it does beside forty others; the file is not to blame."""
    script = "import time\nfor _ in range(24):\n t = time.process_time()\n while time.process_time() < t + 0.03: pass\n time.sleep(0.12)\nprint(7)"
    assert limits.run_limited([sys.executable, "-I", "-c", script], wall_s=1.5).strip() == b"7"


def test_a_child_that_wants_too_much_memory_fails_alone(clip, monkeypatch):
    monkeypatch.setattr(limits, "MEMORY_BYTES", 60 * 2**20)
    with pytest.raises(media.HostileMedia):
        media.examine(clip)


@pytest.mark.parametrize("kills", [1, 2])
def test_a_decoder_killed_once_is_no_spoilt_file(clip, monkeypatch, kills):
    """The kernel kills when memory is short; which process, says nothing about the file."""
    real, left = limits.run_limited, [["sh", "-c", "kill -9 $$"]] * kills
    monkeypatch.setattr(limits, "run_limited", lambda command, **more: real(left.pop() if left else command, **more))
    if kills == 1:
        assert media.examine(clip).problem == ""
    else:
        with pytest.raises(media.HostileMedia, match="ended with -9"):
            media.examine(clip)


def test_a_child_that_talks_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(limits, "REPORT_BYTES", 1000)
    with pytest.raises(media.HostileMedia, match="printed"):
        limits.run_limited(["sh", "-c", "yes | head -c 5000"])


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(FileNotFoundError):
        media.examine(tmp_path / "absent.mp4")


@pytest.mark.slow
def test_hostile_files_neither_hang_nor_kill(clip, tmp_path):
    """Sixty mutations of a good file, headers included; benchmarks/bench_corruption.py runs five hundred."""
    data, rng = clip.read_bytes(), random.Random(7)
    for number in range(60):
        body = bytearray(data)
        for _ in range(rng.choice([1, 3, 30, 300])):
            place = rng.randrange(len(body) if number % 2 else 2000)
            body[place : place + rng.choice([1, 4])] = rng.choice([b"\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff", rng.randbytes(4)])
        path = tmp_path / "hostile.mp4"
        path.write_bytes(body)
        began = time.monotonic()
        judged(path)
        assert time.monotonic() - began < 60


# --- likeness ---------------------------------------------------------------------------------------------------


def edited(clip: Path, target: Path, filters: str) -> Path:
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", clip, "-vf", filters, "-preset", "ultrafast", target], check=True)
    return target


def look(path: Path, folder: Path):
    seen = media.examine(path, folder / f"{path.stem}.npz")
    return seen, media.load_features(folder / f"{path.stem}.npz")


@pytest.mark.parametrize(
    "filters",
    ["hflip", "transpose=1", "scale=90:160", "crop=iw*0.85:ih*0.85", "pad=iw+40:ih+80:20:40:black", "eq=brightness=0.1:contrast=1.2"],
)
def test_an_edited_copy_is_recognised_and_another_clip_is_not(clip, other_clip, tmp_path, filters):
    original, original_features = look(clip, tmp_path)
    other, other_features = look(other_clip, tmp_path)
    copy, copy_features = look(edited(clip, tmp_path / "edited.mp4", filters), tmp_path)
    stock = media.Stock()
    stock.add(1, original.hashes, original_features)
    stock.add(2, other.hashes, other_features)
    looks = {
        number: media.Look(seen.hashes, np.array(seen.times), features)
        for number, (seen, features) in enumerate([(copy, copy_features), (original, original_features), (other, other_features)])
    }
    found = [media.compared(looks[0], number, looks[number]) for number in (1, 2)]
    assert stock.candidates(copy.hashes, copy_features)[0] == 1
    decided = duplicates.decide(found)
    assert isinstance(decided, duplicates.Same)
    assert decided.other == 1


def test_a_full_disk_is_no_finding_about_the_file(clip):
    """Else every clip that comes while the disk is full would be dropped as corrupt, or as unplayable."""
    with pytest.raises(OSError, match="No space left"):
        limits.run_limited(["ffmpeg", "-v", "error", "-y", "-i", str(clip), "-c", "copy", "-f", "matroska", "/dev/full"])
    child = [sys.executable, "-I", str(limits.CHILD), "examine", str(clip), "/dev/full"]
    with pytest.raises(OSError, match="No space left"):
        limits.run_limited([*child, str(limits.MEMORY_BYTES), str(limits.CPU_S), str(limits.FEATURE_BYTES)])


@pytest.mark.parametrize("what", [media.examine, media.pictures, lambda path: media.transcode(path, path.with_suffix(".mkv"))])
def test_a_machine_without_ffmpeg_blames_no_file(clip, tmp_path, monkeypatch, what):
    """Else every clip that comes to it would be dropped as corrupt, or as unplayable."""
    (tmp_path / "prlimit").symlink_to(shutil.which("prlimit"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(media.Unfit, match="ffmpeg"):
        what(clip)
    assert not clip.with_suffix(".mkv").exists()


def test_an_ffmpeg_without_h264_blames_no_file(clip, tmp_path):
    with pytest.raises(media.Unfit, match=r"Unknown encoder|Encoder not found"):  # as FFmpeg 5 and 7 say it
        limits.run_limited(["ffmpeg", "-v", "error", "-i", str(clip), "-c:v", "nosuchcoder", str(tmp_path / "made.mp4")])


def test_two_posts_with_the_same_bytes_are_examined_at_once(clip, tmp_path, monkeypatch):
    """Each in a thread of one worker, and both keep their features under the name of those bytes."""
    target, together, replace = tmp_path / "features.npz", threading.Barrier(2), Path.replace

    def replaced(path, other):
        together.wait(60)
        return replace(path, other)

    monkeypatch.setattr(Path, "replace", replaced)
    with ThreadPoolExecutor(2) as pool:
        seen = list(pool.map(lambda _: media.examine(clip, target), range(2)))
    assert [one.problem for one in seen] == ["", ""]
    assert media.load_features(target) is not None
    assert [path.name for path in tmp_path.iterdir()] == ["features.npz"]


def test_a_transcode_that_breaks_a_limit_leaves_no_half_file(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "TRANSCODED_BYTES", 20_000)
    (tmp_path / "made.mp4").write_bytes(b"what a killed worker left")
    with pytest.raises(media.HostileMedia):
        media.transcode(clip, tmp_path / "made.mp4")
    assert list(tmp_path.iterdir()) == []
