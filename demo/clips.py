"""Sample clips for the demo: short portrait videos whose picture and sound carry one of the six emotions, and their labels.

A clip's emotion moves colour, motion, shapes, tempo and harmony; everything else (collage, camera path, key, length) is its own,
so that no two clips are near-duplicates and a network has something to learn that is not one constant.
"""

from __future__ import annotations

import csv
import math
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from demo.processes import die_with_parent
from demo.replica.words import TITLES, TOPICS

EMOTIONS = ("Excitation", "Fear", "Neutral", "Relaxation", "Sadness", "Tension")
# Tab. II's skew, flattened until 60 clips hold at least five of each.
SHARES = {"Excitation": 20, "Fear": 5, "Neutral": 14, "Relaxation": 7, "Sadness": 7, "Tension": 7}
ALIASES = {"excited": "Excitation", "sad": "Sadness", **{name.lower(): name for name in EMOTIONS}}
VIDEO_SUFFIXES = {".mp4", ".mkv", ".avi", ".webm", ".mov", ".m4v"}
WIDTH, HEIGHT, SAMPLE_RATE = 180, 320, 22050
LABEL_FIELDS = ("file", "emotion", "title", "hashtags")

Array = np.ndarray


@dataclass(frozen=True)
class Label:
    """What is known of one clip; an empty emotion means that nobody said."""

    file: str
    emotion: str = ""
    title: str = ""
    hashtags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """How an emotion tends to look and sound; every clip jitters around it."""

    hue: int  # OpenCV's 0..179
    saturation: int
    value: int
    speed: float  # camera travel, pixels per frame
    shake: float  # camera jitter, pixels
    flicker: float  # share of brightness that beats with the music
    bpm: int
    chord: tuple[int, ...]  # semitones above the root
    root_hz: float
    noise: float


LOOKS = {
    "Excitation": Look(12, 205, 205, 3.2, 1.0, 0.30, 150, (0, 4, 7, 12, 16), 262.0, 0.10),
    "Fear": Look(78, 70, 62, 0.9, 3.2, 0.45, 50, (0, 1, 6, 13), 82.0, 0.16),
    "Neutral": Look(22, 38, 150, 0.4, 0.0, 0.02, 90, (0, 7), 165.0, 0.05),
    "Relaxation": Look(62, 110, 185, 0.6, 0.0, 0.06, 60, (0, 4, 7, 11, 14), 196.0, 0.02),
    "Sadness": Look(112, 75, 105, 0.4, 0.0, 0.05, 52, (0, 3, 7, 10), 147.0, 0.02),
    "Tension": Look(174, 165, 115, 1.6, 1.4, 0.35, 112, (0, 3, 6, 9), 110.0, 0.08),
}


def make_clips(folder: Path | str, *, count: int = 60, seed: int = 0, progress: Callable[[int, int], None] | None = None) -> None:
    """Writes `count` clips and labels.csv into the folder; what is complete already is left as it is.

    progress is called with (done, total) after each clip.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    labels = plan(count, seed=seed)
    missing = [(index, label) for index, label in enumerate(labels) if not (folder / label.file).exists()]
    done = count - len(missing)
    if missing:
        workers = min(os.cpu_count() or 1, 4, len(missing))
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=die_with_parent) as pool:
            jobs = [pool.submit(make_clip, folder / label.file, label.emotion, seed=(seed, index)) for index, label in missing]
            for job in as_completed(jobs):
                job.result()
                done += 1
                if progress:
                    progress(done, count)
    write_labels(folder, labels)


def plan(count: int, *, seed: int = 0) -> list[Label]:
    """The emotion, title and hashtags of every clip, in order of file name."""
    rng = np.random.default_rng([seed, 7])
    emotions = rng.permutation(spread(count))
    labels = []
    for index, emotion in enumerate(emotions):
        language = "zh" if rng.random() < 0.7 else "en"
        title = str(rng.choice(TITLES[language][emotion]))
        topics = rng.choice(TOPICS[language][emotion], size=2, replace=False)
        labels.append(Label(f"clip_{index:04d}.mp4", str(emotion), title, tuple(map(str, topics))))
    return labels


def spread(count: int) -> list[str]:
    """`count` emotions in the proportions of SHARES, by largest remainder."""
    exact = {name: count * share / sum(SHARES.values()) for name, share in SHARES.items()}
    counts = {name: int(value) for name, value in exact.items()}
    behind = sorted(exact, key=lambda name: counts[name] - exact[name])
    for name in behind[: count - sum(counts.values())]:
        counts[name] += 1
    return [name for name in EMOTIONS for _ in range(counts[name])]


def read_labels(folder: Path | str) -> list[Label]:
    """The clips of a folder with what is known of each: from labels.csv, else from folders named as emotions, else nothing.

    Raises ValueError where labels.csv names a missing file or an unknown emotion.
    """
    folder = Path(folder)
    table = folder / "labels.csv"
    if table.exists():
        with table.open(encoding="utf-8-sig", newline="") as lines:
            return [label_of(folder, row, line) for line, row in enumerate(csv.DictReader(lines), start=2)]
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    return [Label(path.relative_to(folder).as_posix(), emotion_of(path.relative_to(folder))) for path in files]


def label_of(folder: Path, row: dict[str, str], line: int) -> Label:
    where = f"{folder / 'labels.csv'}, line {line}"
    name, emotion = (row.get("file") or "").strip(), (row.get("emotion") or "").strip()
    if not name or not (folder / name).is_file():
        raise ValueError(f"{where}: there is no file {name!r}")
    if emotion and emotion.lower() not in ALIASES:
        raise ValueError(f"{where}: {emotion!r} is not one of {', '.join(EMOTIONS)}")
    return Label(name, ALIASES.get(emotion.lower(), ""), (row.get("title") or "").strip(), tuple((row.get("hashtags") or "").split()))


def emotion_of(path: Path) -> str:
    """The emotion that one of the path's folders is named after, or nothing."""
    return next((ALIASES[part.lower()] for part in reversed(path.parts[:-1]) if part.lower() in ALIASES), "")


def write_labels(folder: Path, labels: list[Label]) -> None:
    part = folder / f".labels.{os.getpid()}.csv"
    with part.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(LABEL_FIELDS)
        writer.writerows((label.file, label.emotion, label.title, " ".join(label.hashtags)) for label in labels)
    part.replace(folder / "labels.csv")


# --- one clip ---------------------------------------------------------------------------------------------------
def make_clip(path: Path, emotion: str, *, seed: tuple[int, ...]) -> None:
    """Draws, sounds and encodes one clip; the file appears under its name only when it is complete."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(list(seed))
    look = jittered(LOOKS[emotion], rng)
    fps, duration_s = int(rng.integers(12, 16)), float(rng.uniform(3.0, 8.0))
    num_frames = round(fps * duration_s)
    sound = score(look, emotion, num_frames / fps, rng)
    part = path.with_name(f".{path.stem}.{os.getpid()}.mp4")
    try:
        encode(part, draw(look, emotion, num_frames, fps, rng), sound, fps)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def jittered(look: Look, rng: np.random.Generator) -> Look:
    return Look(
        hue=int(look.hue + rng.normal(0, 9)) % 180,
        saturation=int(np.clip(look.saturation + rng.normal(0, 22), 20, 255)),
        value=int(np.clip(look.value + rng.normal(0, 18), 35, 235)),
        speed=look.speed * rng.uniform(0.6, 1.5),
        shake=look.shake * rng.uniform(0.5, 1.4),
        flicker=look.flicker * rng.uniform(0.7, 1.3),
        bpm=int(look.bpm * rng.uniform(0.88, 1.14)),
        chord=look.chord,
        root_hz=look.root_hz * 2 ** (int(rng.integers(-4, 5)) / 12),
        noise=look.noise * rng.uniform(0.5, 1.6),
    )


def collage(look: Look, rng: np.random.Generator) -> Array:
    """A canvas larger than the frame, full of textured shapes that no other clip has; BGR uint8."""
    height, width = HEIGHT + 160, WIDTH + 160
    canvas = np.zeros((height, width, 3), np.uint8)
    coarse = rng.integers(0, 256, (7, 5, 3), np.uint8)
    ground = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255
    canvas[..., 0] = (look.hue + (ground[..., 0] - 0.5) * 36) % 180
    canvas[..., 1] = np.clip(look.saturation + (ground[..., 1] - 0.5) * 90, 0, 255)
    canvas[..., 2] = np.clip(look.value + (ground[..., 2] - 0.5) * 150, 0, 255)
    for _ in range(int(rng.integers(60, 95))):
        add_shape(canvas, look, rng)
    texture = cv2.resize(rng.normal(0, 1, (height // 3, width // 3)).astype(np.float32), (width, height))
    canvas[..., 2] = np.clip(canvas[..., 2] + texture * 16, 0, 255)
    return cv2.cvtColor(canvas, cv2.COLOR_HSV2BGR)


def add_shape(canvas: Array, look: Look, rng: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
    size = int(rng.gamma(2.0, 11.0)) + 4
    colour = (
        float((look.hue + rng.normal(0, 24)) % 180),
        float(np.clip(look.saturation + rng.normal(0, 45), 0, 255)),
        float(np.clip(look.value + rng.normal(0, 65), 0, 255)),
    )
    kind = rng.integers(0, 4)
    if kind == 0:
        cv2.ellipse(canvas, (x, y), (size, int(size * rng.uniform(0.3, 1))), float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    elif kind == 1:
        points = rng.normal(0, size, (int(rng.integers(3, 8)), 2)) + np.array((x, y))
        cv2.fillPoly(canvas, [cv2.convexHull(points.astype(np.int32))], colour, cv2.LINE_AA)
    elif kind == 2:
        end = (int(x + rng.normal(0, 60)), int(y + rng.normal(0, 60)))
        cv2.line(canvas, (x, y), end, colour, int(rng.integers(1, 6)), cv2.LINE_AA)
    else:
        # No letters: a font's glyphs are the same in every clip, and two clips that share glyphs pass for copies of one another.
        path = np.cumsum(rng.normal(0, size / 2 + 3, (int(rng.integers(4, 12)), 2)), axis=0) + np.array((x, y))
        cv2.polylines(canvas, [path.astype(np.int32)], bool(rng.integers(2)), colour, int(rng.integers(1, 5)), cv2.LINE_AA)


def draw(look: Look, emotion: str, num_frames: int, fps: int, rng: np.random.Generator):
    """The clip's frames, RGB uint8 (HEIGHT, WIDTH, 3)."""
    canvas = collage(look, rng)
    heading, turn = rng.uniform(0, 2 * math.pi), rng.normal(0, 0.25)
    centre = np.array([canvas.shape[1] / 2, canvas.shape[0] / 2])
    actors = rng.uniform(0, 1, (14, 5))
    for index in range(num_frames):
        progress, beat = index / num_frames, index / fps * look.bpm / 60
        if emotion == "Tension":  # the pulse quickens
            beat *= 1 + progress
        heading += rng.normal(0, 0.08)
        centre += look.speed * np.array([math.cos(heading), math.sin(heading)])
        centre = np.clip(centre, (WIDTH * 0.55, HEIGHT * 0.55), (canvas.shape[1] - WIDTH * 0.55, canvas.shape[0] - HEIGHT * 0.55))
        frame = camera(canvas, centre + rng.normal(0, look.shake + 1e-6, 2), turn * progress, 1 + 0.12 * math.sin(beat * 0.5))
        play(frame, actors, look, emotion, index, beat)
        light = 1 - look.flicker * (0.5 - 0.5 * math.cos(2 * math.pi * beat)) * (rng.random() if emotion == "Fear" else 1)
        yield cv2.cvtColor(cv2.convertScaleAbs(frame, alpha=light), cv2.COLOR_BGR2RGB)


def camera(canvas: Array, centre: Array, angle: float, zoom: float) -> Array:
    matrix = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), math.degrees(angle) * 0.3, zoom)
    matrix[:, 2] += (WIDTH / 2 - centre[0], HEIGHT / 2 - centre[1])
    return cv2.warpAffine(canvas, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def play(frame: Array, actors: Array, look: Look, emotion: str, index: int, beat: float) -> None:
    """Draws what moves in front of the collage; the way it moves is the emotion's."""
    for x, y, size, hue, phase in actors[: {"Neutral": 2, "Relaxation": 5, "Fear": 4}.get(emotion, 14)]:
        tint = cv2.cvtColor(np.array([[[int(look.hue + hue * 40) % 180, 220, 230]]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0].tolist()
        if emotion == "Excitation":  # bounces
            at = (
                int((x + 0.02 * index * (phase - 0.5)) * WIDTH) % WIDTH,
                int(HEIGHT * (0.9 - 0.7 * y * abs(math.sin(math.pi * (beat + phase))))),
            )
            cv2.circle(frame, at, int(4 + 13 * size), tint, -1, cv2.LINE_AA)
        elif emotion == "Sadness":  # falls like rain
            at = (int(x * WIDTH), int(y * HEIGHT + index * (2 + 4 * size)) % HEIGHT)
            cv2.line(frame, at, (at[0] - 2, at[1] + int(8 + 14 * phase)), (190, 170, 150), 1, cv2.LINE_AA)
        elif emotion == "Relaxation":  # breathes
            radius = int(12 + 22 * size + 7 * math.sin(math.pi * (beat * 0.5 + 2 * phase)))
            cv2.circle(frame, (int(x * WIDTH), int(y * HEIGHT)), radius, tint, 2, cv2.LINE_AA)
        elif emotion == "Fear":  # eyes that come and go
            if math.sin(index * 0.7 + phase * 6.3) > 0.2:
                at = (int(x * WIDTH + 6 * math.sin(index * phase)), int(y * HEIGHT))
                cv2.ellipse(frame, at, (int(4 + 9 * size), 3), 0, 0, 360, (225, 235, 235), -1, cv2.LINE_AA)
        elif emotion == "Tension":  # closes in
            reach = (beat * 0.35 + phase) % 1
            start = (int(WIDTH * (0.5 + 0.75 * math.cos(6.28 * x))), int(HEIGHT * (0.5 + 0.75 * math.sin(6.28 * x))))
            end = (int(start[0] + (WIDTH / 2 - start[0]) * reach), int(start[1] + (HEIGHT / 2 - start[1]) * reach))
            cv2.line(frame, start, end, tint, int(1 + 4 * size), cv2.LINE_AA)
        else:  # stands
            cv2.rectangle(frame, (int(x * 140), int(y * 260)), (int(x * 140 + 30 * size), int(y * 260 + 40 * phase)), (150, 150, 150), 1)


def score(look: Look, emotion: str, duration_s: float, rng: np.random.Generator) -> Array:
    """The clip's sound, float32 mono in -1..1."""
    num_samples = int(duration_s * SAMPLE_RATE)
    time = np.arange(num_samples) / SAMPLE_RATE
    sound = look.noise * rng.normal(0, 0.35, num_samples)
    sustained = emotion in ("Fear", "Relaxation", "Neutral")
    if sustained:
        sound += sum(np.sin(2 * math.pi * look.root_hz * 2 ** (step / 12) * time + rng.uniform(0, 6)) for step in look.chord) / (
            3 * len(look.chord)
        )
        sound *= 1 + 0.6 * np.sin(2 * math.pi * (7.0 if emotion == "Fear" else look.bpm / 240) * time)
    onset, step = 0.0, 60 / look.bpm
    while onset < duration_s:
        note(sound, onset, look, emotion, rng, scale=0.15 if sustained else 0.5)
        onset += step * (
            1 - 0.55 * onset / duration_s if emotion == "Tension" else rng.choice([0.5, 1, 1] if emotion == "Excitation" else [1, 1, 2])
        )
    return (0.8 * sound / max(1e-6, float(np.abs(sound).max()))).astype(np.float32)


def note(sound: Array, onset: float, look: Look, emotion: str, rng: np.random.Generator, *, scale: float) -> None:
    """Adds one plucked note (and, where the emotion beats, a drum) in place."""
    start = int(onset * SAMPLE_RATE)
    time = np.arange(min(int(0.9 * SAMPLE_RATE), len(sound) - start)) / SAMPLE_RATE
    octave = 2 if emotion == "Excitation" else 1
    pitch = look.root_hz * octave * 2 ** (int(rng.choice(look.chord)) / 12)
    decay = {"Excitation": 7.0, "Tension": 16.0, "Sadness": 2.2}.get(emotion, 3.0)
    tone = np.sin(2 * math.pi * pitch * time) + 0.4 * np.sin(4 * math.pi * pitch * time)
    sound[start : start + len(time)] += scale * tone * np.exp(-decay * time)
    if emotion in ("Excitation", "Tension"):
        sound[start : start + len(time)] += scale * rng.normal(0, 0.8, len(time)) * np.exp(-30 * time)


def encode(path: Path, frames, sound: Array, fps: int) -> None:
    """Writes H.264 yuv420p and AAC, index first, so that players can start at once."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as out:
        video = out.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "27", "threads": "1"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = out.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for picture in frames:
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(video.encode())
        for start in range(0, len(sound), 1024):
            block = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], format="fltp", layout="mono")
            block.sample_rate, block.pts = SAMPLE_RATE, start
            out.mux(audio.encode(block))
        out.mux(audio.encode())
