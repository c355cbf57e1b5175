"""Reading one training sample (128 frames, MFCC) from the prepared store and from the source, on one thread of this machine.

The source is a 25 s, 720 x 1280, 30 fps H.264 clip: the longest real clip of the sample data, cropped upright, enlarged and
looped, or a drawn one where there is no such data. Pixel differences are measured on real clips.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from training.engine import clips, data, prepare
from training.engine.recipes import RECIPES
from training.engine.releases import Sample
from training.engine.store import SourceClip, StoredClip

SECONDS, RATE, SIZE = 25, 30, (720, 1280)
MOST_REAL_CLIPS = 8
SEEDS = range(4)  # of the crops and flips: two of these samples are flipped, two are not
LIMITS = {"speed_up": 50.0, "store_mb": 6.0, "pixel_difference": 3.0}


def measure(*, peers: bool) -> dict[str, Any]:
    """clips/s of one core each way, the size of a proxy, the mean pixel difference; each beside its limit."""
    recipe = RECIPES["avcanet"]()
    with tempfile.TemporaryDirectory() as folder:
        real = _real_clips()
        source = _long_clip(Path(folder) / "long.mp4", real)
        entry = prepare.make_proxy(Sample(source, source.name, 0), Path(folder), recipe)
        proxy = Path(folder) / entry.proxy
        numbers = data.frame_numbers(entry.frames, recipe, np.random.default_rng(0))
        ways: dict[str, Callable[[], Any]] = {"pyav": lambda: clips.frames_at(source, numbers, recipe.crop)}
        if peers:
            ways |= _peers(source, numbers)
        decoded = {name: _seconds(way, repeats=2) for name, way in ways.items()}
        stored = float(np.mean([_seconds(partial(_stored_sample, proxy, recipe, seed), repeats=10) for seed in SEEDS]))
        fastest = min(decoded, key=decoded.__getitem__)
        return {
            "source": f"{SECONDS} s {SIZE[0]}x{SIZE[1]} {'of real footage' if real else 'drawn'}",
            "store_clips_per_s": 1 / stored,
            "decode_clips_per_s": {name: 1 / seconds for name, seconds in decoded.items()},
            "fastest_decoder": fastest,
            "speed_up": decoded[fastest] / stored,
            "store_mb": proxy.stat().st_size / 1e6,
            "pixel_difference": _pixel_difference(real, Path(folder), recipe) if real else None,
            "limits": LIMITS,
        }


def _stored_sample(proxy: Path, recipe: Any, seed: int) -> tuple[Any, Any]:
    clip = StoredClip(proxy)
    return data.snippets_of(clip, recipe, np.random.default_rng(seed)), data.audio_of(clip.mfcc(), recipe)


def _seconds(way: Callable[[], Any], *, repeats: int) -> float:
    """Processor seconds of one call, the least of the repeats, so that other work on the machine counts little."""
    taken = []
    for _ in range(repeats):
        since = time.process_time()
        way()
        taken.append(time.process_time() - since)
    return min(taken)


def _real_clips() -> list[Path]:
    folder = Path(os.environ.get("EMOTIONS_DATA", "no such folder")) / "clips"
    return sorted(folder.glob("*.mp4"), key=lambda path: path.stat().st_size, reverse=True)


def _long_clip(path: Path, real: list[Path]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number, picture in zip(range(SECONDS * RATE), _pictures(real), strict=False):
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def _pictures(real: list[Path]) -> Iterator[av.VideoFrame]:
    """Upright frames without end."""
    while True:
        if not real:
            yield from (_drawn(number) for number in range(SECONDS * RATE))
            continue
        with av.open(str(real[0])) as container:
            for frame in container.decode(video=0):
                pixels = frame.to_ndarray(format="rgb24")
                width = min(pixels.shape[1], pixels.shape[0] * SIZE[0] // SIZE[1]) // 2 * 2
                left = (pixels.shape[1] - width) // 2
                upright = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:, left : left + width]), format="rgb24")
                yield upright.reformat(*SIZE, format="yuv420p", interpolation="BICUBIC")


def _drawn(number: int) -> av.VideoFrame:
    place = np.add.outer(np.arange(SIZE[1]), np.arange(SIZE[0])) + 3 * number
    noise = np.random.default_rng(number).integers(0, 40, (*place.shape, 1))
    return av.VideoFrame.from_ndarray((np.stack((place, place * 2, place // 3), -1) % 200 + noise).astype(np.uint8), format="rgb24")


def _pixel_difference(real: list[Path], folder: Path, recipe: Any) -> float:
    """Mean absolute difference of stored from decoded pixels, of 255, over the frames of the real clips."""
    differences = []
    for path in real[:MOST_REAL_CLIPS]:
        entry = prepare.make_proxy(Sample(path, path.name, 0), folder, recipe)
        numbers = data.frame_numbers(entry.frames, recipe, None)
        stored, decoded = (np.stack(clip.frames(numbers)) for clip in (StoredClip(folder / entry.proxy), SourceClip(path, recipe)))
        differences.append(np.abs(stored.astype(int) - decoded).mean())
    return float(np.mean(differences))


def _peers(source: Path, numbers: list[int]) -> dict[str, Callable[[], Any]]:
    """The other decoders that are installed, each as it reads the same frames."""
    found: dict[str, Callable[[], Any]] = {}
    if importlib.util.find_spec("cv2"):
        found["opencv"] = lambda: _opencv(source, numbers)
    if importlib.util.find_spec("torchcodec"):
        found["torchcodec"] = lambda: _torchcodec(source, numbers)
    return found


def _opencv(source: Path, numbers: list[int]) -> None:
    import cv2

    cv2.setNumThreads(1)
    capture, wanted = cv2.VideoCapture(str(source)), set(numbers)
    for number in range(max(numbers) + 1):
        capture.grab()
        if number in wanted:
            cv2.resize(capture.retrieve()[1], (112, 199))


def _torchcodec(source: Path, numbers: list[int]) -> None:
    from torchcodec.decoders import VideoDecoder

    VideoDecoder(str(source), num_ffmpeg_threads=1).get_frames_at(sorted(numbers))
