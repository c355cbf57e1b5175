"""What a detector is and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from crawler import media
from crawler.models import Check, Video


@dataclass(frozen=True)
class Finding:
    """verdict: pass, review, or unable when the detector cannot look (the reason says what it lacks)."""

    verdict: str
    reason: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Detector:
    name: str
    version: int
    look: Callable[[Video], Finding]


@lru_cache(maxsize=2)
def _pictures(path: Path) -> np.ndarray:
    return media.pictures(path)


def pictures_of(video: Video) -> np.ndarray | Finding:
    """(n, height, width, 3) RGB pictures of the clip, decoded once for all detectors; a finding where there are none to look at."""
    try:
        return _pictures(video.path)
    except (media.HostileMedia, FileNotFoundError) as error:
        return Finding(Check.Verdict.UNABLE, f"no picture to look at: {error}"[:200])
