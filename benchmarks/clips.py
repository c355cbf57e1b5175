"""Clips to measure on: real ones where EMOTIONS_DATA names a folder of them, else clips that the demo makes."""

from __future__ import annotations

import os
from pathlib import Path

from demo.clips import make_clips


def bench_clips(folder: Path, *, count: int) -> list[Path]:
    """Up to `count` video files; made into `folder` where EMOTIONS_DATA is not set. Raises FileNotFoundError if it holds none."""
    given = os.environ.get("EMOTIONS_DATA")
    if given is None:
        make_clips(folder, count=count)
        return sorted(folder.glob("*.mp4"))
    clips = sorted((Path(given) / "clips").glob("*.mp4"))[:count]
    if not clips:
        raise FileNotFoundError(f"EMOTIONS_DATA={given} has no clips/*.mp4")
    return clips
