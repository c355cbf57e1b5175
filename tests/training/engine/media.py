"""Writes small media files of every kind that training must cope with."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 44_100
RGB = {
    "Excitation": (230, 60, 40),
    "Fear": (20, 10, 60),
    "Neutral": (128, 128, 128),
    "Relaxation": (60, 180, 90),
    "Sadness": (40, 60, 150),
    "Tension": (200, 200, 20),
}
EMOTIONS = tuple(RGB)


def write_clip(
    path: Path,
    *,
    frames=24,
    size=(64, 48),
    rate=12,
    tone=440.0,
    colour=(120, 40, 200),
    rotation=0,
    times=None,
    sound_rate=RATE,
    layout="mono",
) -> Path:
    """tone None: no sound track; 0: a silent one; frames 0: no picture. times: when each frame is shown, in 1/1000 s."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=rate) if frames else None
        audio = container.add_stream("aac", rate=sound_rate, layout=layout) if tone is not None else None
        if video is not None:
            video.width, video.height, video.pix_fmt, video.bit_rate = *size, "yuv420p", 2_000_000
            if times is not None:
                video.codec_context.time_base = Fraction(1, 1000)
            for number in range(frames):
                video_frame = av.VideoFrame.from_ndarray(picture(number, size, colour), format="rgb24")
                video_frame.pts = number if times is None else times[number]
                container.mux(video.encode(video_frame))
            container.mux(video.encode())
        if audio is not None:
            _write_tone(container, audio, tone, max(frames, 6) / rate)
    if rotation:
        _rotate(path, rotation)
    return path


def picture(number, size, colour):
    """The colour, with a bright block that walks to the right and a dark band at the foot."""
    width, height = size
    frame = np.full((height, width, 3), colour, np.uint8)
    left = 2 * number % (width - 8)
    frame[4:12, left : left + 8] = 250
    frame[-6:] //= 4
    return frame


def _write_tone(container, stream, tone, seconds):
    """Encoded as the stream is: the encoder resamples."""
    samples = (8000 * np.sin(2 * np.pi * tone * np.arange(int(seconds * RATE)) / RATE)).astype(np.int16)
    for start in range(0, len(samples), 1024):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def _rotate(path: Path, degrees: int) -> None:
    """Writes the turn into the display matrix of the file's video track header (tkhd), as a phone does."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version, times, id, duration, layer, volume come first
    one = 1 << 16
    a, b = {90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
    matrix = np.array([a, b, 0, -b, a, 0, 0, 0, 1 << 30], ">i4")
    data[at : at + 36] = matrix.tobytes()
    path.write_bytes(data)


def write_release(folder: Path, *, train=3, test=1, emotions=EMOTIONS) -> Path:
    """A release with that many clips of each emotion in either part, told apart by colour and tone."""
    for part, count in (("train", train), ("test", test)):
        (folder / part).mkdir(parents=True)
        with (folder / part / "metadata.jsonl").open("w", encoding="utf-8") as manifest:
            for label, emotion in enumerate(emotions):
                for number in range(count):
                    name = f"{emotion}_{number}.mp4"
                    write_clip(folder / part / name, frames=20 + number, colour=RGB[emotion], tone=200.0 * (label + 1))
                    manifest.write(json.dumps({"file_name": name, "emotion": emotion}) + "\n")
    return folder
