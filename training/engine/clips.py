"""Pictures and sound out of a media file, by PyAV: the only decoder, for training and for serving alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import av
except ModuleNotFoundError:  # a machine that only trains on prepared clips does without
    av = None  # type: ignore[assignment]  # _opened says what to install

Frame = NDArray[np.uint8]

SAMPLE_RATE = 44_100


class Unusable(ValueError):
    """A clip that cannot be used; the message names the file, the reason and the remedy (without one, that for a clip of a release)."""

    def __init__(self, path: Path | str, why: str, remedy: str = "") -> None:
        super().__init__(f"{path}: {why}; {remedy or 'take it out of metadata.jsonl, or put a whole file in its place'}")
        self.given = path, why, remedy

    def of_no_release(self) -> str:
        """The message where somebody named the file by hand."""
        path, why, remedy = self.given
        return f"{path}: {why}; {remedy or 'give a whole media file'}"

    def __reduce__(self) -> tuple[type[Unusable], tuple[Path | str, str, str]]:
        """A loader's process sends it to the one that trains."""
        return Unusable, self.given


def frame_count(path: Path) -> int:
    """Frames in the first video stream, counted by packets without decoding; 0 if there is none."""
    with _opened(path) as container:
        if not container.streams.video:
            return 0
        try:
            return sum(1 for packet in container.demux(video=0) if packet.size)
        except av.FFmpegError as error:
            raise Unusable(path, f"its picture breaks off ({_reason(error)})") from error


def duration_s(path: Path) -> float:
    """How long the file says it is; 0 where it does not say."""
    with _opened(path) as container:
        return float(container.duration or 0) / av.time_base


def all_frames(path: Path, short_side: int) -> Iterator[Frame]:
    """Every frame upright, as (H, W, 3), the short side of the first scaled to short_side; a film may change its size, its frames here do not."""
    with _opened(path) as container:
        if not container.streams.video:
            return
        container.streams.video[0].thread_type = "AUTO"
        size = None
        try:
            for frame in container.decode(video=0):
                size = size or _size(frame, short_side)
                yield _upright(frame, size)
        except av.FFmpegError as error:
            raise Unusable(path, f"its picture cannot be decoded ({_reason(error)})") from error


def frames_at(path: Path, indices: Sequence[int], short_side: int) -> list[Frame]:
    """The frames of these numbers, in their order (repeats allowed), each (H, W, 3).

    A file may announce more frames than it can give: numbers beyond the last are taken modulo what it gave.
    """
    wanted, found, count, size = set(indices), {}, 0, None
    with _opened(path) as container:
        container.streams.video[0].thread_type = "AUTO"
        try:
            for count, frame in enumerate(container.decode(video=0), 1):
                size = size or _size(frame, short_side)
                if count - 1 in wanted:
                    found[count - 1] = _upright(frame, size)
                if len(found) == len(wanted):
                    break
        except av.FFmpegError as error:
            raise Unusable(path, f"its picture cannot be decoded ({_reason(error)})") from error
    if count == 0:
        raise Unusable(path, "it holds no picture")
    if len(found) < len(wanted):
        return frames_at(path, [i % count for i in indices], short_side)
    return [found[i] for i in indices]


def _size(frame: av.VideoFrame, short_side: int) -> tuple[int, int]:
    """(width, height) of the frame scaled to that short side."""
    scale = short_side / min(frame.width, frame.height)
    return max(short_side, round(frame.width * scale)), max(short_side, round(frame.height * scale))


def _upright(frame: av.VideoFrame, size: tuple[int, int]) -> Frame:
    """The frame scaled, and turned as its display matrix says."""
    picture = frame.reformat(width=size[0], height=size[1], format="rgb24", interpolation="BICUBIC").to_ndarray()
    turns = round(frame.rotation / 90) % 4  # counter-clockwise, as np.rot90 counts
    return np.ascontiguousarray(np.rot90(picture, turns))


def waveform(path: Path, sample_rate: int = SAMPLE_RATE) -> NDArray[np.float32] | None:
    """The sound, mono, as 16-bit samples / 32768; None if there is no sound track or it is empty."""
    with _opened(path) as container:
        if not container.streams.audio:
            return None
        try:
            parts = [part.to_ndarray()[0] for part in _resampled(container.decode(audio=0), sample_rate)]
        except av.FFmpegError as error:
            raise Unusable(path, f"its sound cannot be decoded ({_reason(error)})") from error
    if not parts:
        return None
    return np.concatenate(parts).astype(np.float32) / np.float32(32768)


def _resampled(frames: Iterable[av.AudioFrame], rate: int) -> Iterator[av.AudioFrame]:
    """The frames as 16-bit mono of that rate. A track may change its rate or channels on the way: a resampler knows one kind only."""
    for _, alike in groupby(frames, lambda frame: (frame.format.name, frame.layout.name, frame.sample_rate)):
        resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
        for frame in chain(alike, (None,)):  # None makes it give back what it holds
            yield from resampler.resample(frame)


def _reason(error: av.FFmpegError) -> str:
    """FFmpeg's words without its number and the path, which the message names already."""
    return error.strerror or str(error)


def _opened(path: Path) -> Any:
    if av is None:
        raise ValueError(f"{path} cannot be read: PyAV is not installed; pip install av, or train on clips prepared elsewhere")
    try:
        return av.open(str(path), metadata_errors="ignore")
    except FileNotFoundError as error:
        raise Unusable(path, "the file is not there") from error
    except av.FFmpegError as error:
        raise Unusable(path, f"it cannot be opened as media ({_reason(error)})") from error
