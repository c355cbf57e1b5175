"""Whether one method is better than another on the same clips: the paired bootstrap, and Holm's correction for many comparisons.

A method is given by its predictions under one or more seeds, shape (seeds, n); its score is the mean of its seeds' scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests

from training.engine import metrics

Ints = NDArray[np.int64]
SCORES: Mapping[str, Callable[[Ints], float]] = {"ACC": metrics.accuracy, "WA-F1": metrics.weighted_f1, "UAR": metrics.unweighted_recall}
DRAWS = 2000


@dataclass(frozen=True)
class Difference:
    """method − baseline; low and high bound the 95 % interval; p is two-sided."""

    value: float
    low: float
    high: float
    p: float


def paired_bootstrap(
    target: Ints, method: Ints, baseline: Ints, num_classes: int, *, score: str, rng: np.random.Generator, draws: int = DRAWS
) -> Difference:
    """The difference of two methods' scores over clips drawn again and again, the same clips for both."""
    if method.shape[1] != len(target) or baseline.shape[1] != len(target):
        raise ValueError(f"{method.shape[1]} and {baseline.shape[1]} predictions for {len(target)} labels; score the same clips with both")
    everything = np.arange(len(target))
    observed = _gap(target, method, baseline, everything, num_classes, score)
    drawn = np.array([_gap(target, method, baseline, rng.integers(0, len(target), len(target)), num_classes, score) for _ in range(draws)])
    low, high = np.quantile(drawn, (0.025, 0.975))
    # One is added to both counts: with n draws no p can be below 1/(n + 1).
    tail = 1 + min((drawn <= 0).sum(), (drawn >= 0).sum())
    return Difference(observed, float(low), float(high), float(min(1.0, 2 * tail / (draws + 1))))


def _gap(target: Ints, method: Ints, baseline: Ints, chosen: Ints, num_classes: int, score: str) -> float:
    means = (
        np.mean([SCORES[score](metrics.confusion(target[chosen], one[chosen], num_classes)) for one in predictions])
        for predictions in (method, baseline)
    )
    return float(next(means) - next(means))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Each p adjusted so that all can be read together (Holm, 1979)."""
    if not p_values:
        return {}
    adjusted = multipletests(list(p_values.values()), method="holm")[1]
    return dict(zip(p_values, adjusted.tolist(), strict=True))
