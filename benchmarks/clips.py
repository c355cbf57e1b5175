"""Clips to measure on: real ones where EMOTIONS_DATA names a folder of them, else clips that the demo makes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from demo.clips import make_clips

FOLDERS = ("clips", "music_video")
SUFFIXES = {".mp4", ".mkv", ".avi", ".webm", ".mov"}


def bench_clips(folder: Path, *, count: int | None = None, seed: int = 0) -> list[Path]:
    """Up to `count` video files, all when None, in an order that the seed decides and that no other clip's coming changes.

    Made into `folder` where EMOTIONS_DATA is not set (12 when count is None). Raises FileNotFoundError if the given folder holds none.
    """
    given = os.environ.get("EMOTIONS_DATA")
    if given is None:
        make_clips(folder, count=count or 12)
        return sorted(folder.glob("*.mp4"))
    found = [path for name in FOLDERS for path in (Path(given) / name).rglob("*") if path.suffix in SUFFIXES]
    if not found:
        raise FileNotFoundError(f"EMOTIONS_DATA={given} has no video in {' or '.join(FOLDERS)}")
    return sorted(found, key=lambda path: (hashlib.sha256(f"{seed}{path.name}".encode()).hexdigest(), path))[:count]


def label(clip: Path) -> str:
    """The clip's name with its folder's: several have the same name."""
    return f"{clip.parent.name}/{clip.name}"
