"""The bodies that posts serve where they are not simply a clip: edited re-uploads and damaged files, made once and kept in the state folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from demo.replica.corpus import Corpus, Post, probe

Array = np.ndarray
Edit = Callable[[Array], Array]
EVEN = 2


def crop(picture: Array) -> Array:
    height, width = picture.shape[:2]
    return picture[int(height * 0.06) : int(height * 0.95), int(width * 0.05) : int(width * 0.94)]


def border(picture: Array) -> Array:
    height, width = picture.shape[:2]
    return cv2.copyMakeBorder(picture, height // 10, height // 10, 0, 0, cv2.BORDER_CONSTANT, value=(0, 0, 0)) if width else picture


def subtitle(picture: Array) -> Array:
    picture, (height, width) = picture.copy(), picture.shape[:2]
    cv2.rectangle(picture, (0, int(height * 0.84)), (width, int(height * 0.93)), (20, 20, 20), -1)
    cv2.putText(picture, "follow for part 2", (8, int(height * 0.9)), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (240, 240, 240), 1, cv2.LINE_AA)
    return picture


def colour(picture: Array) -> Array:
    return np.clip(picture.astype(np.float32) * (1.12, 1.0, 0.9) + 8, 0, 255).astype(np.uint8)


EDITS: dict[str, Edit] = {
    "reencode": lambda picture: picture,
    "crop": crop,
    "mirror": lambda picture: picture[:, ::-1],
    "border": border,
    "subtitle": subtitle,
    "resize": lambda picture: cv2.resize(picture, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA),
    "colour": colour,
}
# How many different bodies each fault gets at most; further posts show one of them again.
MADE = {"reupload_edit": 21, "corrupt_bits": 8, "truncated": 8, "too_short": 4, "too_long": 2, "zero_seconds": 2}


def make_bodies(corpus: Corpus, clips: Path, folder: Path, *, progress: Callable[[int, int], None] | None = None) -> None:
    """Makes every missing body and points its post at it; the names carry all that decides the bytes, so a restart finds them again."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs: list[Post] = []
    repeated: list[tuple[Post, Post]] = []
    for fault, most in MADE.items():
        posts = [post for post in corpus.posts if post.fault == fault]
        jobs += posts[:most]
        repeated += [(post, posts[number % most]) for number, post in enumerate(posts) if number >= most]
    for number, post in enumerate(post for post in jobs if post.fault == "reupload_edit"):
        post.edit = list(EDITS)[number % len(EDITS)]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for done, _ in enumerate(pool.map(lambda post: make_body(post, clips, folder), jobs), start=1):
            if progress:
                progress(done, len(jobs))
    for post, pattern in repeated:
        for name in ("clip", "body", "emotion", "duration_s", "width", "height", "size", "edit", "duplicate_of"):
            setattr(post, name, getattr(pattern, name))


def make_body(post: Post, clips: Path, folder: Path) -> None:
    source = clips / post.clip
    stamp = hashlib.sha256(f"{source.name} {source.stat().st_size} {post.fault} {post.edit} {post.id}".encode()).hexdigest()[:12]
    path = folder / f"{post.fault}_{stamp}.mp4"
    if not path.exists():
        part = path.with_name(f".{path.stem}.{os.getpid()}.{post.id}.mp4")
        try:
            write_body(post, source, part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    post.body = str(path)
    post.size = path.stat().st_size
    if post.fault in ("reupload_edit", "too_short", "too_long", "zero_seconds"):
        post.duration_s, post.width, post.height, post.size = probe(path)


def write_body(post: Post, source: Path, path: Path) -> None:
    if post.fault == "reupload_edit":
        transcode(source, path, EDITS[post.edit])
    elif post.fault in ("too_short", "zero_seconds"):
        transcode(source, path, EDITS["reencode"], limit_s=1.0 if post.fault == "too_short" else 0.05)
    elif post.fault == "too_long":
        still(source, path, duration_s=200)
    else:
        path.write_bytes(damaged(source.read_bytes(), post.fault, seed=int(post.id[-6:], 36)))


def damaged(body: bytes, fault: str, *, seed: int) -> bytes:
    """The body cut at 60 %, or with 4 KiB of garbage in its second half (where the coded pictures are, whichever way the file is laid out)."""
    if fault == "truncated":
        return body[: int(len(body) * 0.6)]
    length = min(4096, len(body) // 4)
    start = len(body) * 6 // 10
    garbage = np.random.default_rng(seed).integers(0, 256, length, np.uint8).tobytes()
    return body[:start] + garbage + body[start + length :]


def transcode(source: Path, path: Path, edit: Edit, *, limit_s: float = 1e9) -> None:
    """Re-encodes picture (through the edit) and sound into a fresh mp4 that starts at once."""
    with av.open(str(source)) as media, av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as out:
        rate = media.streams.video[0].average_rate or Fraction(15)
        pictures = limited(media, limit_s, edit)
        first = next(pictures)
        video = out.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "30", "threads": "1"})
        video.height, video.width, video.pix_fmt = first.shape[0], first.shape[1], "yuv420p"
        sound = out.add_stream("aac", rate=22050, layout="mono") if media.streams.audio else None
        for picture in (first, *pictures):
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        out.mux(video.encode())
        if sound is not None:
            media.seek(0)
            copy_sound(media, out, sound, limit_s)


def limited(media: av.container.InputContainer, limit_s: float, edit: Edit) -> Iterator[Array]:
    """The edited pictures, cut to even sides, as the encoder wants them."""
    for frame in media.decode(video=0):
        if frame.time is not None and frame.time >= limit_s:
            return
        picture = edit(frame.to_ndarray(format="rgb24"))
        yield picture[: picture.shape[0] // EVEN * EVEN, : picture.shape[1] // EVEN * EVEN]


def copy_sound(media: av.container.InputContainer, out: av.container.OutputContainer, sound: av.AudioStream, limit_s: float) -> None:
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=22050)
    for frame in media.decode(audio=0):
        if frame.time is not None and frame.time >= limit_s:
            break
        for piece in resampler.resample(frame):
            out.mux(sound.encode(piece))
    out.mux(sound.encode())


def still(source: Path, path: Path, *, duration_s: int) -> None:
    """The clip's first picture for a long time at one picture a second, with a low hum: long, yet small and quick to make."""
    with av.open(str(source)) as media:
        picture = cv2.resize(next(media.decode(video=0)).to_ndarray(format="rgb24"), (90, 160))
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as out:
        video = out.add_stream("libx264", rate=1, options={"preset": "ultrafast", "crf": "40", "threads": "1"})
        video.width, video.height, video.pix_fmt = 90, 160, "yuv420p"
        sound = out.add_stream("aac", rate=8000, layout="mono")
        for second in range(duration_s):
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.roll(picture, second * 3, axis=1).astype(np.uint8), format="rgb24")))
        out.mux(video.encode())
        time = np.arange(8000 * duration_s) / 8000
        hum = (0.2 * np.sin(2 * np.pi * 110 * time)).astype(np.float32)
        for start in range(0, len(hum), 1024):
            frame = av.AudioFrame.from_ndarray(hum[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, start
            out.mux(sound.encode(frame))
        out.mux(sound.encode())


def cover_of(path: Path, folder: Path) -> bytes:
    """A JPEG of the clip's first picture, made on first asking; grey where the file cannot be read."""
    kept = folder / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.jpg"
    if kept.exists():
        return kept.read_bytes()
    try:
        with av.open(str(path)) as media:
            picture = next(media.decode(video=0)).to_ndarray(format="bgr24")
    except (av.FFmpegError, StopIteration):
        picture = np.full((320, 180, 3), 128, np.uint8)
    scale = 180 / picture.shape[1]
    jpeg = cv2.imencode(".jpg", cv2.resize(picture, None, fx=scale, fy=scale), [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    folder.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(f".{os.getpid()}.{os.urandom(3).hex()}.part")
    part.write_bytes(jpeg)
    part.replace(kept)
    return jpeg
