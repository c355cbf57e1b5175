"""Prepared clips: a small JPEG of each frame and the MFCC, read at random in microseconds instead of decoding the source.

A store is a folder of proxies (safetensors: jpeg bytes, offsets, mfcc) named by the sha256 of their source, and index.jsonl.
StoredClip and SourceClip answer the same questions.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open

from training.engine import audio, clips
from training.engine.recipes import Recipe
from training.engine.releases import Sample

QUALITY = 88  # on real clips: at most 2.6 of 255 from the source, and under 6 MB for 25 s


@dataclass(frozen=True)
class Entry:
    """One line of index.jsonl: this file, in this state, has this proxy, or cannot be used for this reason."""

    name: str
    size: int
    mtime_ns: int
    proxy: str = ""
    proxy_sha256: str = ""
    frames: int = 0
    has_audio: bool = False
    error: str = ""

    def line(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"


Key = tuple[str, int, int]


def key_of(sample: Sample) -> Key:
    """What tells that a file is still the one that was prepared. Raises Unusable if it is not there."""
    try:
        facts = sample.path.stat()
    except FileNotFoundError as error:
        raise clips.Unusable(sample.path, "the file is not there", "export the release with --media link or copy") from error
    return sample.name, facts.st_size, facts.st_mtime_ns


def store_folder(release: Path, recipe: Recipe) -> Path:
    """Where the proxies of this release lie for this recipe: <release>.prepared/<what they depend on>."""
    root = release.with_name(f"{release.resolve().name}.prepared") if recipe.store == "auto" else Path(recipe.store)
    suffix = "" if recipe.waveform_norm == "int16" else f"-{recipe.waveform_norm}"
    return root / f"s{recipe.crop}-m{recipe.num_mfcc}{suffix}"


def read_index(folder: Path) -> dict[Key, Entry]:
    """The store's entries; a line cut short by a kill is left out, and its clip prepared again."""
    index = folder / "index.jsonl"
    if not index.is_file():
        return {}
    entries = {}
    for line in index.read_text(encoding="utf-8").splitlines():
        try:
            entry = Entry(**json.loads(line))
        except json.JSONDecodeError:  # an empty line, or one that a kill cut short
            continue
        entries[(entry.name, entry.size, entry.mtime_ns)] = entry
    return entries


class Clip(Protocol):
    num_frames: int

    def frames(self, indices: Sequence[int]) -> list[clips.Frame]: ...
    def mfcc(self) -> NDArray[np.float32] | None: ...


class StoredClip:
    """A clip out of its proxy."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise clips.Unusable(path, "the prepared proxy is gone", "run training.engine.prepare again")
        self._path = path
        try:
            self._file = safe_open(str(path), framework="numpy")
        except (SafetensorError, OSError) as error:
            raise self._damaged(error) from error
        self._keys = set(self._file.keys())
        self._offsets = self._file.get_tensor("offsets") if "offsets" in self._keys else np.zeros(1, np.int64)
        self.num_frames = len(self._offsets) - 1

    def frames(self, indices: Sequence[int]) -> list[clips.Frame]:
        """Each of them (height, width, 3), decoded once however often it is asked for."""
        data = self._file.get_slice("jpeg")
        decoded = {i: self._decode(data[int(self._offsets[i]) : int(self._offsets[i + 1])]) for i in set(indices)}
        return [decoded[i] for i in indices]

    def _decode(self, jpeg: NDArray[np.uint8]) -> clips.Frame:
        """(height, width, 3). OpenCV, whose pixels are Pillow's, in two thirds of the time. Raises Unusable for a damaged frame."""
        frame = cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB) if len(jpeg) else None
        if frame is None:
            raise self._damaged("a frame cannot be decoded")
        return frame.astype(np.uint8, copy=False)

    def _damaged(self, why: object) -> clips.Unusable:
        return clips.Unusable(self._path, f"the prepared proxy is damaged ({why})", "delete it and run training.engine.prepare again")

    def mfcc(self) -> NDArray[np.float32] | None:
        return self._file.get_tensor("mfcc") if "mfcc" in self._keys else None


class SourceClip:
    """A clip decoded from its source each time."""

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self.path, self.recipe = path, recipe
        self.num_frames = clips.frame_count(path) if recipe.modalities != "audio" else 0

    def frames(self, indices: Sequence[int]) -> list[clips.Frame]:
        return clips.frames_at(self.path, indices, self.recipe.crop)

    def mfcc(self) -> NDArray[np.float32] | None:
        return audio.clip_mfcc(clips.waveform(self.path), num_mfcc=self.recipe.num_mfcc, norm=self.recipe.waveform_norm)


def to_jpeg(frame: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=QUALITY, subsampling="4:2:0", optimize=True)
    return out.getvalue()
