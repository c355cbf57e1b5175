"""How good experts find the labels: the mean opinion score study (Sec. III-E).

Experts rate samples of several datasets on 1 (bad) … 5 (excellent) without knowing which dataset a sample is from.
`ratings` are (num_samples, num_raters), NaN where an expert has not rated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LOWEST, HIGHEST = 1, 5


def sample_size(population: int, *, margin: float = 0.05, confidence: float = 0.95, proportion: float = 0.5) -> int:
    """How many samples a finite population needs (Cochran's formula with the finite-population correction).

    n₀ = z²·p(1−p)/e², n = n₀ / (1 + (n₀ − 1)/N), rounded up. Raises ValueError for numbers outside their range.
    """
    if population < 1:
        raise ValueError(f"the population must be 1 or more, got {population}")
    for name, value in (("margin", margin), ("confidence", confidence), ("proportion", proportion)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {value}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    uncorrected = z**2 * proportion * (1 - proportion) / margin**2
    return ceil(round(uncorrected / (1 + (uncorrected - 1) / population), 9))


def shared_out(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """`total` spread over the datasets as evenly as their sizes allow (the paper compares seven datasets of very unequal size)."""
    shares = dict.fromkeys(sizes, 0)
    for _ in range(min(total, sum(sizes.values()))):
        name = min((name for name in sizes if shares[name] < sizes[name]), key=lambda name: shares[name])
        shares[name] += 1
    return shares


@dataclass(frozen=True)
class Score:
    """The MOS of one dataset with its 95 % interval; low and high are None for a single sample."""

    mean: float
    low: float | None
    high: float | None
    num_samples: int
    num_ratings: int


def opinion_score(ratings: NDArray[np.float64], *, confidence: float = 0.95) -> Score:
    """The mean over samples of the mean over raters, with a t interval over samples.

    Ratings of one sample are not independent, so the sample is the unit. Raises ValueError without ratings or for one outside 1..5.
    """
    ratings = np.asarray(ratings, dtype=float)
    given = ~np.isnan(ratings)
    if not given.any():
        raise ValueError("there is no rating yet")
    if (ratings[given] < LOWEST).any() or (ratings[given] > HIGHEST).any():
        raise ValueError(f"ratings must lie in {LOWEST}..{HIGHEST}, found {ratings[given].min():g}..{ratings[given].max():g}")
    means = np.nanmean(ratings[given.any(axis=1)], axis=1)
    mean, count = float(means.mean()), len(means)
    if count == 1:
        return Score(mean, None, None, 1, int(given.sum()))
    half = float(stats.t.ppf((1 + confidence) / 2, count - 1) * means.std(ddof=1) / np.sqrt(count))
    return Score(mean, max(LOWEST, mean - half), min(HIGHEST, mean + half), count, int(given.sum()))


def rater_bias(ratings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Per rater, how much higher (+) or lower (−) than the others' mean they rate the same samples; NaN without a shared sample."""
    ratings = np.asarray(ratings, dtype=float)
    given = ~np.isnan(ratings)
    total, count = np.nansum(ratings, axis=1, keepdims=True), given.sum(axis=1, keepdims=True)
    others = np.divide(
        total - np.where(given, ratings, 0), count - given, out=np.full(ratings.shape, np.nan), where=(count - given > 0) & given
    )
    difference = np.where(given, ratings - others, np.nan)
    shared = (~np.isnan(difference)).sum(axis=0)
    return np.divide(np.nansum(difference, axis=0), shared, out=np.full(ratings.shape[1], np.nan), where=shared > 0)
