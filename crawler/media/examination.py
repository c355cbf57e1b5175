"""What a file is: asked of a child process (child.py) that may fail, hang or burst without harm to the worker."""

from __future__ import annotations

import errno
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from crawler.media.child import ANY_FORMATS

CHILD = Path(__file__).with_name("child.py")
MEMORY_BYTES = 3 * 2**30  # address space: libraries alone reserve most of a gigabyte
CPU_S = 120
WALL_S = 150.0
LONGEST_S = 540.0  # for a child that the machine starves; below the lease of a worker's claim (services.claims)
STARVED = (0.002, 0.5)  # share of a processor: less is a child that hangs, more is one that had its chance
REPORT_BYTES = 4 * 2**20
FEATURE_BYTES = 4 * 2**20
PICTURE_BYTES = 16 * 2**20
TRANSCODED_BYTES = 400 * 2**20
NOT_STARTED = {70, 127}  # child.UNFIT, and what prlimit ends with where there is no such program
NO_ENCODER = "Unknown encoder"  # as FFmpeg words it where it was built without one
NO_ROOM = os.strerror(errno.ENOSPC)  # as FFmpeg and Python word it
FFMPEG_KILLED = f"ffmpeg ended with {-signal.SIGKILL}"  # as the child words it
# Names are those of decoders, as PyAV tells them.
PLAYABLE_SOUND = {"aac", "mp3", "mp3float"}
WEBM, WEBM_SOUND = {"vp8", "vp9", "av1", "libdav1d"}, {"opus", "vorbis"}
HEADERS_AT_ONCE = 200  # files that one child is asked about
PLAYABLE_PIXELS = {"yuv420p", "yuvj420p"}


class HostileMedia(Exception):
    """The file made the decoder run out of time, memory or output, or killed it; the message says which."""


class Unfit(OSError):
    """This machine lacks a program or a library that looks at files; the message says which. Nothing was found out about the file."""


class Killed(HostileMedia):
    """Something killed the decoder: its own limit of time, or a machine short of memory."""


@dataclass(frozen=True)
class Examination:
    """The child's report, typed; hashes is (N, 32) uint8 with quality (N,) and times (N,) beside it."""

    problem: str = ""
    strict_problem: str = ""
    format: str = ""
    codec: str = ""
    pixel_format: str = ""
    audio_codec: str = ""
    rotation: int = 0
    declared_s: float = 0.0
    declared_frames: int = 0
    has_audio: bool = False
    width: int = 0
    height: int = 0
    frames: int = 0
    reached_s: float = 0.0
    fps: float = 0.0
    frames_sha256: str = ""
    hashes: Any = None
    quality: Any = ()
    times: Any = ()
    black_ratio: float = 0.0
    frozen_ratio: float = 0.0
    changes: Any = ()
    brightness: Any = ()
    audio_s: float = 0.0
    audio_peak: float = 0.0
    silent: bool = False
    loudness: Any = ()
    sound: Any = ()  # (M,) uint32, chromaprint's words in order of time; empty without sound, for silence, or with a sound_problem
    sound_problem: str = ""


def examine(path: Path, features: Path | None = None) -> Examination:
    """Everything measured about the file. Raises HostileMedia when it breaks a limit, Unfit where none can be examined, FileNotFoundError without a file.

    A decoder that was killed is asked once more before the file is blamed: the machine may have been short of memory, not the file.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    try:
        seen = _examine(path, features)
    except Killed:
        return _examine(path, features)
    return _examine(path, features) if seen.strict_problem == FFMPEG_KILLED else seen


def _examine(path: Path, features: Path | None) -> Examination:
    with tempfile.TemporaryDirectory(prefix="emotions-media-") as folder:
        rough = Path(folder) / "features.npz" if features else None
        command = [sys.executable, "-I", str(CHILD), "examine", str(path.resolve()), str(rough or "")]
        output = run_limited([*command, str(MEMORY_BYTES), str(CPU_S), str(FEATURE_BYTES)])
        try:
            report = json.loads(output)
        except ValueError as error:
            raise HostileMedia(f"the examination ended without a report ({len(output)} bytes)") from error
        if features and rough and rough.is_file():
            features.parent.mkdir(parents=True, exist_ok=True)
            partial = features.with_suffix(f".{secrets.token_hex(4)}.tmp")  # two threads may be at posts with the same bytes
            partial.write_bytes(rough.read_bytes())
            partial.replace(features)
    known = {field.name for field in fields(Examination)}
    report["hashes"] = np.frombuffer(bytes.fromhex(report.get("hashes", "")), np.uint8).reshape(-1, 32)
    report["sound"] = np.frombuffer(bytes.fromhex(report.get("sound", "")), np.uint32)
    return Examination(**{name: value for name, value in report.items() if name in known})


def pictures(path: Path) -> np.ndarray:
    """(n, height, width, 3) RGB pictures spread over the clip. Raises HostileMedia when the decoder breaks a limit or finds none."""
    if not path.is_file():
        raise FileNotFoundError(path)
    with tempfile.TemporaryDirectory(prefix="emotions-media-") as folder:
        target = Path(folder) / "pictures.npy"
        command = [sys.executable, "-I", str(CHILD), "pictures", str(path.resolve()), str(target)]
        run_limited([*command, str(MEMORY_BYTES), str(CPU_S), str(PICTURE_BYTES)])
        return np.asarray(np.load(target, allow_pickle=False))


def unplayed(paths: Sequence[Path]) -> list[bool]:
    """Of each file whether its headers name a format that some browser does not play. False for what is no clip: nothing is known of it."""
    found = []
    for start in range(0, len(paths), HEADERS_AT_ONCE):
        found += _headers(paths[start : start + HEADERS_AT_ONCE])
    return [seen is not None and not (browser_plays(seen) or _is_webm(seen)) for seen in found]


def _headers(paths: Sequence[Path]) -> list[Examination | None]:
    """A file that breaks the child is found by asking for each alone, and None."""
    with tempfile.TemporaryDirectory(prefix="emotions-media-") as folder:
        listing = Path(folder) / "files.txt"
        listing.write_text("".join(f"{path.resolve()}\n" for path in paths), encoding="utf-8", errors="surrogateescape")
        command = [sys.executable, "-I", str(CHILD), "headers", str(listing), "", str(MEMORY_BYTES), str(CPU_S), str(REPORT_BYTES)]
        try:
            return [Examination(**seen) if seen else None for seen in json.loads(run_limited(command))]
        except HostileMedia:
            return [None] if len(paths) == 1 else [seen for path in paths for seen in _headers([path])]


def _is_webm(seen: Examination) -> bool:
    return "webm" in seen.format and seen.codec in WEBM and (not seen.has_audio or seen.audio_codec in WEBM_SOUND)


def run_limited(command: list[str], *, wall_s: float = WALL_S) -> bytes:
    """The command's standard output. Its whole process group is killed when it is late or says too much. Raises HostileMedia.

    Raises OSError when it found the disk full, and Unfit when a program is missing: these are no findings about the file.
    """
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "LC_ALL": "C.UTF-8",
    }
    # Into files, not pipes: the child's limit on the size of files then bounds what it may say.
    with tempfile.TemporaryFile() as spoken, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=spoken, stderr=errors, env=environment, start_new_session=True
            )
        except FileNotFoundError as error:
            raise Unfit(f"missing on this machine: {command[0]}") from error
        try:
            _wait(process, wall_s)
        finally:
            _end_group(process)
        errors.seek(max(0, os.fstat(errors.fileno()).st_size - 2000))
        said = errors.read().decode("utf-8", "replace").strip()
        if NO_ROOM in said:  # FFmpeg may call itself successful all the same
            raise OSError(errno.ENOSPC, said[-200:])
        if process.returncode in NOT_STARTED or (process.returncode and NO_ENCODER in said):
            raise Unfit(" ".join(said.splitlines()[-1:])[:200])
        if process.returncode:
            kind = Killed if process.returncode == -signal.SIGKILL else HostileMedia
            raise kind(f"the decoder ended with {process.returncode}: {' '.join(said.splitlines()[-1:])[:200]}")
        if os.fstat(spoken.fileno()).st_size > REPORT_BYTES:
            raise HostileMedia(f"the decoder printed {os.fstat(spoken.fileno()).st_size} bytes")
        spoken.seek(0)
        return spoken.read()


def _wait(process: subprocess.Popen[bytes], wall_s: float) -> None:
    """Returns when the child has ended; raises HostileMedia when it is late.

    A machine with too much to do is no fault of the file's: a child that got little of a processor, and used it, may go on.
    """
    began, used = time.monotonic(), 0.0
    while True:
        try:
            process.wait(timeout=wall_s)
            return
        except subprocess.TimeoutExpired as error:
            before, used = used, processor_s(process.pid)
            starved = STARVED[0] < (used - before) / wall_s < STARVED[1]
            if not starved or time.monotonic() - began + wall_s > LONGEST_S:
                raise HostileMedia(f"not finished after {time.monotonic() - began:.0f} s") from error


def processor_s(group: int) -> float:
    """Seconds that the processes of this group have had of a processor."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        if int(fields[2]) == group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kills what is left of the child and of its own children (FFmpeg)."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def browser_plays(seen: Examination) -> bool:
    """Whether every current browser plays the file as it is: H.264 4:2:0 with AAC, MP3 or no sound, in an MP4."""
    sound = not seen.has_audio or seen.audio_codec in PLAYABLE_SOUND
    return "mp4" in seen.format and seen.codec == "h264" and seen.pixel_format in PLAYABLE_PIXELS and sound


def transcode(source: Path, target: Path) -> None:
    """Writes the clip as H.264/AAC with its index in front. Raises HostileMedia when that breaks a limit; half a file is not left then.

    Nobody else writes the target; one that a killed worker left is replaced, and its FFmpeg, if it still runs, writes into nothing.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    limits = ["prlimit", f"--cpu={CPU_S * 4}", f"--fsize={TRANSCODED_BYTES}", f"--as={MEMORY_BYTES}", "--core=0", "--"]
    command = ["ffmpeg", "-nostdin", "-y", "-v", "error", "-threads", "2", "-protocol_whitelist", "file,pipe"]
    command += [
        "-format_whitelist",
        ANY_FORMATS,
        "-i",
        f"file:{source.resolve()}",
        "-map",
        "0:v:0",
        "-map",
        "0:a:0?",
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-crf",
        "20",
    ]
    command += ["-pix_fmt", "yuv420p", "-vf", "scale=trunc(iw/2)*2:trunc(ih/2)*2", "-c:a", "aac", "-movflags", "+faststart"]
    command += ["-map_metadata", "-1", f"file:{target.resolve()}"]
    try:
        run_limited([*limits, *command], wall_s=LONGEST_S)
    except (HostileMedia, OSError):
        target.unlink(missing_ok=True)
        raise
