"""A release of a few made-up clips, so that every row of every table can be tried from a fresh clone: colour, movement and pitch differ by class."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SIDE, RATE, SECONDS, SAMPLE_RATE = 64, 12, 3, 16000
CLIPS_PER_CLASS = 1


def make_smoke_release(folder: Path, classes: Sequence[str], polarity: Sequence[str], *, seed: int = 0) -> Path:
    """The folder, with train/ and test/ of one clip of every class; made once, deterministic by seed."""
    if (folder / "release.json").is_file():
        return folder
    rng = np.random.default_rng(seed)
    for part in ("train", "test"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        lines = []
        for label, name in enumerate(classes):
            for number in range(CLIPS_PER_CLASS):
                file_name = f"{label}_{number}.mp4"
                write_clip(folder / part / file_name, label, len(classes), rng)
                lines.append(json.dumps({"file_name": file_name, "emotion": name}))
        (folder / part / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    facts = {"variant": "smoke", "seed": seed, "classes": list(classes), "polarity": list(polarity)}
    (folder / "release.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return folder


def write_clip(path: Path, label: int, num_classes: int, rng: np.random.Generator) -> None:
    """One short clip with picture and sound of its class, and some noise."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"crf": "28", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = SIDE, SIDE, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE)
        audio.layout = "mono"
        for number in range(RATE * SECONDS):
            frame = av.VideoFrame.from_ndarray(picture(label, num_classes, number, rng), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
        sound = av.AudioFrame.from_ndarray(tone(label, rng)[None], format="fltp", layout="mono")
        sound.sample_rate, sound.time_base, sound.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), 0
        container.mux(audio.encode(sound))
        container.mux(audio.encode())


def picture(label: int, num_classes: int, number: int, rng: np.random.Generator) -> np.ndarray:
    """A bar in the class's grey that moves at the class's speed."""
    image = rng.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
    left = (number * (label + 1) * 2) % SIDE
    image[:, left : left + 12] = 60 + 195 * label // num_classes
    return image


def tone(label: int, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(SAMPLE_RATE * SECONDS) / SAMPLE_RATE
    wave = 0.3 * np.sin(2 * np.pi * 200 * (label + 1) * time) + 0.02 * rng.standard_normal(len(time))
    return wave.astype(np.float32)
