"""How much a clip asks to be looked at first for violence: words, blows in the sound, motion. A rank for reviewers, never a verdict.

No measured detector stands behind it (RWF-2000's networks have no weights that could be shipped); it only orders the queue.
"""

from __future__ import annotations

import numpy as np

LOUDNESS_S = 0.5  # the step of the loudness curve
BLOW_RISE = 4.0  # times louder than the half second before
BLOW_LEAST = 0.08  # of full scale
MANY_BLOWS = 0.5  # a second; more do not rank higher
MUCH_MOTION = 40.0  # grey levels between pictures a quarter of a second apart
WEIGHTS = {"words": 0.5, "blows": 0.3, "motion": 0.2}


def blows(loudness: np.ndarray) -> list[float]:
    """The seconds at which the sound rises suddenly; loudness per half second."""
    if len(loudness) < 2:
        return []
    rises = (loudness[1:] >= BLOW_LEAST) & (loudness[1:] >= BLOW_RISE * np.maximum(loudness[:-1], 1e-4))
    return [round(float(place + 1) * LOUDNESS_S, 1) for place in np.flatnonzero(rises)]


def motion(changes: np.ndarray) -> float:
    """The usual change between neighbouring pictures; the upper quarter, because fights come in bursts."""
    return round(float(np.percentile(changes, 75)), 2) if len(changes) else 0.0


def rank(*, words: int, blows_s: list[float], motion: float, duration_s: float) -> float:
    """0 nothing to see … 1 look at this first. words: listed violent words in title, tags and on screen."""
    parts = {
        "words": min(1.0, words / 2),
        "blows": min(1.0, len(blows_s) / max(duration_s, 1.0) / MANY_BLOWS),
        "motion": min(1.0, motion / MUCH_MOTION),
    }
    return round(sum(WEIGHTS[name] * value for name, value in parts.items()), 3)
