"""Where a clip changes: shot cuts and its best two-part contrast, as evidence for reviewers. Change of content is not change of
feeling (AUC 0.61 between the two), so the strip decides nothing; a change of feeling is read from the posteriors of a trained network, where there is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

EMOTIONS = ("Excitation", "Fear", "Neutral", "Relaxation", "Sadness", "Tension")  # in the order of a network's classes
CUT = 6.0  # times the clip's own usual change
CUT_LEAST = 12.0  # grey levels
PART_LEAST = 0.2  # of the clip
MARGIN = 0.2
UNDECIDED = 0.9  # of the entropy of a guess


@dataclass(frozen=True)
class Strip:
    """What is drawn for the reviewer."""

    cuts_s: tuple[float, ...]
    split_s: float
    contrast: float  # difference of the two parts in units of their spread

    def as_dict(self) -> dict[str, Any]:
        return {"cuts_s": list(self.cuts_s), "split_s": self.split_s, "contrast": self.contrast}


def strip(times: np.ndarray, changes: np.ndarray, brightness: np.ndarray, loudness: np.ndarray) -> Strip:
    """Cuts and best split. times (N,) of the sampled pictures, changes (N-1,), brightness (N,), loudness per half second."""
    usual = float(np.median(changes)) if len(changes) else 0.0
    cuts = tuple(round(float(times[i + 1]), 2) for i, change in enumerate(changes) if change > max(CUT_LEAST, CUT * usual))
    if len(brightness) < 5:
        return Strip(cuts, 0.0, 0.0)
    sound = np.interp(times, np.arange(len(loudness)) / 2, loudness) if len(loudness) else np.zeros(len(times))
    features = np.stack([brightness, np.append(changes, usual), sound * 100], axis=1)
    place, contrast = best_split(features)
    return Strip(cuts, round(float(times[place]), 2), round(contrast, 2))


def best_split(features: np.ndarray) -> tuple[int, float]:
    """(row, contrast) of the cut into two parts, none shorter than a fifth, whose means differ most."""
    least = max(2, int(len(features) * PART_LEAST))
    best = (0, 0.0)
    for place in range(least, len(features) - least + 1):
        before, after = features[:place], features[place:]
        spread = np.sqrt((before.var(axis=0) + after.var(axis=0)) / 2) + 1.0
        contrast = float(np.abs((before.mean(axis=0) - after.mean(axis=0)) / spread).mean())
        best = max(best, (place, contrast), key=lambda found: found[1])
    return best


def emotion_shift(posteriors: np.ndarray) -> tuple[int, int] | None:
    """(class before, class after) when two stretches of a fifth have different top classes, each by a margin; else None.

    posteriors: (windows, classes), each row sums to one; the first stretch that differs from the first sure one is told.
    """
    if len(posteriors) < 5:
        return None
    stretches = [part.mean(axis=0) for part in np.array_split(posteriors, 5)]
    sure = [int(part.argmax()) for part in stretches if np.diff(np.sort(part)[-2:])[0] >= MARGIN]
    return next(((sure[0], later) for later in sure if later != sure[0]), None)


def unclear(posteriors: np.ndarray) -> bool:
    """Whether the windows are as good as undecided on average: their entropy near that of a guess among all classes."""
    if not len(posteriors):
        return False
    sure = np.clip(posteriors, 1e-9, 1.0)
    return bool((-(sure * np.log(sure)).sum(axis=1)).mean() > UNDECIDED * np.log(posteriors.shape[1]))
