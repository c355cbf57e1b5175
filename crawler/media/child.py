"""Runs alone, in its own process with limits on time, memory and output: everything that opens a file from the Internet.

`python child.py examine FILE FEATURES MEMORY CPU_S BYTES` prints one JSON object: what the file is, whether it decodes from end to end
(FFmpeg at its strictest, and PyAV counting), what it looks like. FEATURES is where local features of a few frames are stored, "" for none.
`python child.py pictures FILE PICTURES MEMORY CPU_S BYTES` stores a few colour pictures spread over the clip, as one .npy file.
`python child.py headers LIST "" MEMORY CPU_S BYTES` prints what each file named in LIST says of itself.
Imports neither Django nor anything of this project, so that it starts fast and holds no secret.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import subprocess
import sys
from importlib.util import find_spec
from shutil import which
from typing import Any

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"  # no playlists: they would make FFmpeg read other files
ANY_FORMATS = f"{FORMATS},avi,flv,mpeg,mpegts,asf"  # of datasets from elsewhere
MAX_PIXELS = 4096 * 4096
MAX_FRAMES = 165 * 130  # the longest clip at the highest frame rate
HASH_FPS = 4
HASH_SIDE = 192  # longer side of the picture that is hashed
FEATURE_FRAMES = 5
FEATURE_SIDE = 320
FEATURES_PER_FRAME = 160
PICTURE_SIDE = 160  # of the small grey pictures that are laid over one another
WINDOW_S = 0.5
SILENCE = 1e-3  # peak amplitude
LOUDEST = 8.0  # of full scale; decoders overshoot a little, and nothing that is heard goes beyond
LONGEST_SOUND_S = 180
NUM_PICTURES = 8
LARGEST_PICTURE = 640  # longer side
UNFIT = 70  # exit status: what looks at files is missing here, which is no finding about the file


def limit(memory_bytes: int, cpu_s: int, file_bytes: int) -> None:
    for kind, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, 128),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))


def start_strict(path: str) -> subprocess.Popen[bytes]:
    """FFmpeg decoding all sound and picture, giving up at the first doubt. It inherits our limits."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-xerror", "-err_detect", "explode", "-threads", "1"]
    command += ["-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS, "-i", f"file:{path}"]
    command += ["-map", "0:v?", "-map", "0:a?", "-f", "null", "-"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def strict_problem(process: subprocess.Popen[bytes]) -> str:
    """What FFmpeg complained about, "" when nothing."""
    complaint = process.communicate()[1][-2000:].decode("utf-8", "replace").strip()
    if process.returncode or complaint:
        return complaint.splitlines()[-1][:300] if complaint else f"ffmpeg ended with {process.returncode}"
    return ""


def fingerprint(path: str) -> dict[str, Any]:
    """Chromaprint's fingerprint of the sound, eight 32-bit words a second, or why there is none."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-threads", "1", "-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS]
    command += ["-i", f"file:{path}", "-map", "0:a:0", "-t", str(LONGEST_SOUND_S), "-f", "chromaprint", "-fp_format", "raw", "pipe:1"]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if ended.returncode:
        said = ended.stderr[-500:].decode("utf-8", "replace").strip().splitlines()
        missing = any("not a suitable output format" in line or "not known" in line for line in said)
        return {"sound_problem": "this FFmpeg has no chromaprint" if missing else " ".join(said[-1:])[:200] or "no fingerprint"}
    return {"sound": ended.stdout.hex()}


def examine(path: str, features: str) -> dict[str, Any]:
    import av

    strict = start_strict(path)
    try:
        av.logging.restore_default_callback()  # PyAV's own waits for the interpreter inside decoder threads, and then for ever
        av.logging.set_libav_level(av.logging.PANIC)
        report = look(av, path, features)
        if "width" in report:
            report |= upright(av, path, report)
    except Exception as error:  # any way in which a file defeats the decoder is a finding about the file
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise  # of ours, not of the file
        report = {"problem": f"{type(error).__name__}: {str(error)[:200]}"}
    if report.get("audio_s") and not report["silent"]:
        report |= fingerprint(path)
    report["strict_problem"] = strict_problem(strict)
    return report


def look(av: Any, path: str, features: str) -> dict[str, Any]:
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    with av.open(f"file:{path}", options=options, metadata_errors="replace") as container:
        if not container.streams.video:
            return {"problem": "no picture"}
        video = container.streams.video[0]
        if video.width * video.height > MAX_PIXELS:
            return {"problem": f"{video.width} × {video.height} pixels are too many"}
        video.thread_type = "NONE"
        video.codec_context.thread_count = 1
        report: dict[str, Any] = {
            "format": container.format.name,
            "codec": video.codec_context.name,
            "pixel_format": video.codec_context.pix_fmt or "",
            "rotation": 0,
            "declared_s": float(container.duration or 0) / 1e6,
            "declared_frames": video.frames,
            "has_audio": bool(container.streams.audio),
            "audio_codec": container.streams.audio[0].codec_context.name if container.streams.audio else "",
        }
        eye, ear = Eye(), Ear()
        streams = [video, *container.streams.audio[:1]]
        for frame in container.decode(*streams):
            if isinstance(frame, av.VideoFrame):
                eye.see(frame)
            else:
                ear.hear(frame)
    return report | eye.report(features) | ear.report()


def upright(av: Any, path: str, report: dict[str, Any]) -> dict[str, Any]:
    """The size as it is shown, and how far players turn the pictures for that: phones store them as the sensor lay."""
    with av.open(f"file:{path}", options={"protocol_whitelist": "file", "format_whitelist": FORMATS}) as container:
        rotation = next(container.decode(container.streams.video[0])).rotation
    size = report["width"], report["height"]
    width, height = size[::-1] if rotation % 180 else size
    return {"rotation": rotation, "width": width, "height": height}


class Eye:
    """Takes every picture, keeps a few: counts, times, small grey pictures for hashes, larger ones for features."""

    def __init__(self) -> None:
        self.count, self.last_s = 0, 0.0
        self.first_s: float | None = None
        self.digest = hashlib.sha256()
        self.grey: list[Any] = []
        self.times: list[float] = []
        self.large: list[Any] = []
        self.size = (0, 0)
        self.step_s = 0.0

    def see(self, frame: Any) -> None:
        time_s = frame.time if frame.time is not None else self.last_s + self.step_s
        if self.first_s is None:
            self.first_s, self.size = time_s, (frame.width, frame.height)
        if self.count:
            self.step_s = max(time_s - self.last_s, 0.0)
        self.count += 1
        if self.count > MAX_FRAMES:
            raise ValueError("more pictures than any clip of ours has")
        self.last_s = max(self.last_s, time_s)
        place_s = time_s - (self.first_s or 0.0)
        if place_s + 1e-6 >= len(self.times) / HASH_FPS:
            self.keep(frame, place_s)

    def keep(self, frame: Any, place_s: float) -> None:
        scale = min(1.0, FEATURE_SIDE / max(frame.width, frame.height))
        size = max(16, round(frame.width * scale)), max(16, round(frame.height * scale))
        picture = frame.reformat(*size, format="gray", interpolation="AREA").to_ndarray()
        self.digest.update(picture.tobytes())
        self.grey.append(picture)
        self.times.append(round(place_s, 3))

    def report(self, features: str) -> dict[str, Any]:
        import numpy as np

        if not self.count:
            return {"problem": "no picture decodes"}
        pictures = np.stack(self.grey)
        reached_s = self.last_s - (self.first_s or 0.0) + self.step_s
        levels = pictures.reshape(len(pictures), -1)
        change = np.abs(np.diff(pictures.astype(np.int16), axis=0)).mean(axis=(1, 2)) if len(pictures) > 1 else np.zeros(1)
        box = content_box(pictures)
        hashes, quality = frame_hashes(pictures[:, box[0] : box[1], box[2] : box[3]])
        if features:
            store_features(pictures, self.times, features)
        return {
            "width": self.size[0],
            "height": self.size[1],
            "frames": self.count,
            "reached_s": reached_s,
            "fps": self.count / reached_s if reached_s > 0 else 0.0,
            "frames_sha256": self.digest.hexdigest(),
            "hashes": hashes.tobytes().hex(),
            "quality": quality.tolist(),
            "times": self.times,
            "black_ratio": float(np.mean((levels.mean(axis=1) < 20) & (levels.std(axis=1) < 8))),
            "frozen_ratio": float(np.mean(change < 0.35)),
            "changes": [round(float(value), 2) for value in change],
            "brightness": [round(float(value), 1) for value in levels.mean(axis=1)],
        }


class Ear:
    """Takes all sound, keeps its loudness per half second."""

    def __init__(self) -> None:
        self.samples, self.peak, self.rate = 0, 0.0, 0
        self.energy: dict[int, list[float]] = {}

    def hear(self, frame: Any) -> None:
        import numpy as np

        sound = frame.to_ndarray()
        if sound.dtype.kind in "iu":
            middle = 2 ** (8 * sound.dtype.itemsize - 1)
            sound = (sound.astype(np.float32) - (middle if sound.dtype.kind == "u" else 0)) / middle
        sound = np.clip(np.nan_to_num(sound), -LOUDEST, LOUDEST)  # a file may hold any number, no number and infinity
        self.rate = frame.sample_rate
        self.peak = max(self.peak, float(np.abs(sound).max(initial=0.0)))
        window = self.energy.setdefault(int(self.samples / max(frame.sample_rate, 1) / WINDOW_S), [0.0, 0])
        window[0] += float(np.square(sound, dtype=np.float64).sum())
        window[1] += sound.size
        self.samples += frame.samples

    def report(self) -> dict[str, Any]:
        loudness = [round((total / max(count, 1)) ** 0.5, 4) for _, (total, count) in sorted(self.energy.items())]
        return {
            "audio_s": self.samples / self.rate if self.rate else 0.0,
            "audio_peak": self.peak,
            "silent": self.peak < SILENCE,
            "loudness": loudness,
        }


# --- frame hashes -----------------------------------------------------------------------------------------------


def content_box(pictures: Any) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of what is inside a border of one colour that stays through the clip."""
    import numpy as np

    sample = pictures[:: max(1, len(pictures) // 12)].astype(np.float32)
    rows = np.median(sample.std(axis=2), axis=0) > 4
    columns = np.median(sample.std(axis=1), axis=0) > 4
    top, bottom = span(rows, np)
    left, right = span(columns, np)
    return top, bottom, left, right


def span(alive: Any, np: Any) -> tuple[int, int]:
    """First and last+1 living line; everything when less than a third would be left (a plain picture, not a border)."""
    living = np.flatnonzero(alive)
    if len(living) == 0 or living[-1] + 1 - living[0] < len(alive) / 3:
        return 0, len(alive)
    return int(living[0]), int(living[-1]) + 1


def frame_hashes(pictures: Any) -> tuple[Any, Any]:
    """(N, 32) uint8 hashes and (N,) qualities in the manner of PDQ: 64 × 64 means, 16 × 16 cosine terms, above or below the median."""
    import numpy as np

    small = shrink(pictures.astype(np.float32), 64, np)
    places = np.arange(64)
    cosines = np.cos(np.pi / 64 * (places[None, :] + 0.5) * np.arange(1, 17)[:, None]).astype(np.float32) * np.sqrt(2 / 64)
    terms = np.einsum("ai,nij,bj->nab", cosines, small, cosines, optimize=True)
    bits = terms > np.median(terms, axis=(1, 2), keepdims=True)
    gradient = np.abs(np.diff(small, axis=1)).mean(axis=(1, 2)) + np.abs(np.diff(small, axis=2)).mean(axis=(1, 2))
    return np.packbits(bits.reshape(len(bits), 256), axis=1), np.minimum(100, np.round(gradient * 10)).astype(int)


def shrink(pictures: Any, side: int, np: Any) -> Any:
    """Means over equal areas, (N, side, side)."""
    return means(pictures.shape[1], side, np) @ pictures @ means(pictures.shape[2], side, np).T


def means(length: int, side: int, np: Any) -> Any:
    """(side, length) matrix whose rows average equal stretches, parts of a pixel counted in part."""
    edges = np.linspace(0, length, side + 1)
    low, high = edges[:-1, None], edges[1:, None]
    cover = np.clip(np.minimum(high, np.arange(1, length + 1)) - np.maximum(low, np.arange(length)), 0, None)
    return (cover / cover.sum(axis=1, keepdims=True)).astype(np.float32)


def store_features(pictures: Any, times: list[float], path: str) -> None:
    """SIFT points of a few frames spread over the clip, and those frames small and grey, as one .npz file."""
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    finder = cv2.SIFT_create(nfeatures=FEATURES_PER_FRAME)  # type: ignore[attr-defined]  # missing in OpenCV's own stubs
    places = np.unique(np.linspace(0, len(pictures) - 1, FEATURE_FRAMES + 2).round().astype(int)[1:-1])
    scale = min(1.0, PICTURE_SIDE / max(pictures.shape[1:]))
    size = max(8, round(pictures.shape[2] * scale)), max(8, round(pictures.shape[1] * scale))
    points, descriptors, frames, small = [np.zeros((0, 2))], [np.zeros((0, 128))], [np.zeros(0)], []
    responses = [np.zeros(0)]
    for number, place in enumerate(places):
        small.append(cv2.resize(pictures[place], size, interpolation=cv2.INTER_AREA))
        found, described = finder.detectAndCompute(pictures[place], None)
        if described is not None:
            points.append(np.array([point.pt for point in found]) * scale)
            descriptors.append(described)
            responses.append(np.array([point.response for point in found]))
            frames.append(np.full(len(found), number))
    with open(path, "wb") as file:
        np.savez(
            file,
            points=np.concatenate(points).astype(np.float32),
            descriptors=np.concatenate(descriptors).astype(np.uint8),
            frames=np.concatenate(frames).astype(np.int16),
            responses=np.concatenate(responses).astype(np.float32),
            times=np.array(times, np.float32)[places],
            pictures=np.stack(small),
        )


# --- pictures for the detectors ---------------------------------------------------------------------------------


def pictures(path: str, target: str) -> dict[str, Any]:
    """Stores (n, height, width, 3) RGB pictures, the middles of n equal parts of the clip."""
    import av
    import numpy as np

    av.logging.restore_default_callback()
    av.logging.set_libav_level(av.logging.PANIC)
    kept: list[Any] = []
    with av.open(f"file:{path}", options={"protocol_whitelist": "file", "format_whitelist": FORMATS}) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        length_s = float(container.duration or 0) / 1e6
        scale = min(1.0, LARGEST_PICTURE / max(stream.width, stream.height))
        size = max(16, round(stream.width * scale)), max(16, round(stream.height * scale))
        for count, frame in enumerate(container.decode(stream)):
            wanted_s = length_s * (len(kept) + 0.5) / NUM_PICTURES
            if len(kept) < NUM_PICTURES and (frame.time or 0.0) >= wanted_s:
                picture = frame.reformat(*size, format="rgb24", interpolation="AREA").to_ndarray()
                kept.append(np.rot90(picture, frame.rotation // 90))
            if count > MAX_FRAMES or len(kept) == NUM_PICTURES:
                break
    with open(target, "wb") as file:
        np.save(file, np.stack(kept))
    return {"pictures": len(kept)}


# --- headers of many files ---------------------------------------------------------------------------------------


def headers(listing: str, _: str) -> list[dict[str, Any] | None]:
    """What each of the files named in the listing, one a line, says of itself; None for one that is no clip. Little is decoded."""
    import av

    av.logging.restore_default_callback()
    av.logging.set_libav_level(av.logging.PANIC)
    with open(listing, encoding="utf-8", errors="surrogateescape") as lines:
        return [header(av, path) for path in lines.read().splitlines()]


def header(av: Any, path: str) -> dict[str, Any] | None:
    try:
        with av.open(f"file:{path}", options={"protocol_whitelist": "file", "format_whitelist": ANY_FORMATS}) as container:
            video = container.streams.video[0].codec_context
            sound = container.streams.audio[0].codec_context.name if container.streams.audio else ""
            found = {"format": container.format.name, "codec": video.name, "pixel_format": video.pix_fmt or ""}
            return {**found, "has_audio": bool(sound), "audio_codec": sound}
    except Exception:  # any way in which a file defeats the decoder
        return None


def missing() -> str:
    """What this machine lacks to look at any file, "" for nothing."""
    lacks = [name for name in ("av", "cv2", "numpy") if find_spec(name) is None]
    return ", ".join([*lacks, *([] if which("ffmpeg") else ["ffmpeg"])])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if lacks := missing():
        print(f"missing on this machine: {lacks}", file=sys.stderr)
        sys.exit(UNFIT)
    limit(int(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6]))
    json.dump({"examine": examine, "pictures": pictures, "headers": headers}[sys.argv[1]](sys.argv[2], sys.argv[3]), sys.stdout)
