"""Small clips made once per session, and a replica-free network."""

import subprocess
from pathlib import Path

import pytest

from tests.crawler.pipeline import board, world  # noqa: F401 - fixtures

PATTERN = "testsrc2=size=108x192:rate=15:duration={seconds}"


def make_clip(
    path: Path, *, seconds: float = 4, picture: str = PATTERN, sound: str = "sine=frequency=440", extra: tuple[str, ...] = ()
) -> Path:
    """An H.264/AAC clip of FFmpeg's own test pictures."""
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture.format(seconds=seconds)]
    if sound:
        command += ["-f", "lavfi", "-i", f"{sound}:duration={seconds}"]
    command += ["-pix_fmt", "yuv420p", "-preset", "ultrafast", "-movflags", "+faststart", "-shortest", *extra, str(path)]
    subprocess.run(command, check=True)
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


@pytest.fixture(scope="session")
def other_clip(tmp_path_factory) -> Path:
    return make_clip(
        tmp_path_factory.mktemp("clips") / "other.mp4",
        picture="mandelbrot=size=108x192:rate=15,trim=duration={seconds}",
        sound="sine=frequency=880",
    )
