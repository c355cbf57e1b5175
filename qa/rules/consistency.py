"""How well a group agrees with itself and with the group whose labels it repeats: Eq. 2 and Eq. 3 (Sec. III-B).

A cross-check stage has nine sets of up to 100 samples; three members label each sample again without seeing its label.
`previous` holds the labels the sets were drawn by, `current` what the members say now; −1 pads sets that are shorter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
PADDING = -1
SET_SIZE = 100
#: The nine sets of a stage: three Neutral, two Excitation, one of each other.
STAGE_SETS = ("Neutral", "Neutral", "Neutral", "Excitation", "Excitation", "Sadness", "Relaxation", "Tension", "Fear")
#: Who labels whose sets again: in every stage the group before, or in turn the group before (sA) and the group after (sB).
PAIRINGS = ("cyclic", "reverse_in_sB")
CONSISTENT_POINTS, DIFFERENT_POINTS = 0.7, 0.3  # Eq. 3: a sample labelled as before, and one decided but differently
SCALE = 100  # points are those of a full set, so that a short set weighs as much as a full one


@dataclass(frozen=True)
class SetCounts:
    """Per set: samples labelled as before (C), undecided ones ("more", M) and all; arrays of shape (num_sets,)."""

    consistent: NDArray[np.int64]
    undecided: NDArray[np.int64]
    sizes: NDArray[np.int64]


def reviewing(num_groups: int, *, stage: str, pairing: str = "cyclic") -> list[int]:
    """For each group, the place of the group that labels its sets again: A reviews B's, B reviews C's, …, the last A's.

    With "reverse_in_sB" every second stage (sB, sD …) goes the other way round, so that two stages pair every two of three groups.
    Raises ValueError for an unknown pairing.
    """
    if pairing not in PAIRINGS:
        raise ValueError(f"unknown pairing {pairing!r}: choose one of {', '.join(PAIRINGS)}")
    offset = 1 if pairing == "reverse_in_sB" and (ord(stage[1]) - ord("A")) % 2 else -1
    return [(i + offset) % num_groups for i in range(num_groups)]


def intra_group(current: Array, previous: Array) -> float:
    """Consistency within a group, S_a of Eq. 2, on the scale 0..1: the mean over sets of the share of votes equal to the label.

    current: (num_sets, set_size, num_raters) int; previous: (num_sets, set_size) int; −1 pads short sets in both.
    A set without samples is left out. Raises ValueError on shapes that do not fit, a missing vote, or when every set is empty.
    """
    current, previous = _checked(current, previous)
    present = previous != PADDING
    sizes = present.sum(axis=1)
    hits = ((current == previous[:, :, None]) & present[:, :, None]).sum(axis=(1, 2))
    filled = sizes > 0
    return float(np.mean(hits[filled] / (sizes[filled] * current.shape[2])))


def inter_group(consistent: Array, undecided: Array, set_sizes: Array, weights: Array) -> float:
    """Consistency between groups, S_r of Eq. 3, on the scale 0..70.

    consistent, undecided, set_sizes: counts per set, shape (num_sets,); weights: shape (num_sets,), summing to the number of
    categories. Counts are taken per 100 samples, so short sets weigh as full ones; a set without samples is left out.
    Raises ValueError if consistent + undecided exceeds the size of any set.
    """
    consistent, undecided, sizes, weights = (np.asarray(values, dtype=float) for values in (consistent, undecided, set_sizes, weights))
    if not consistent.shape == undecided.shape == sizes.shape == weights.shape or sizes.ndim != 1:
        raise ValueError(
            f"one value per set is needed in all four, got {consistent.shape}, {undecided.shape}, {sizes.shape}, {weights.shape}"
        )
    if (consistent < 0).any() or (undecided < 0).any() or (weights < 0).any():
        raise ValueError("counts and weights cannot be negative")
    too_many = np.flatnonzero(consistent + undecided > sizes)
    if too_many.size:
        i = too_many[0]
        raise ValueError(f"set {i}: {consistent[i]:g} consistent + {undecided[i]:g} undecided exceed its {sizes[i]:g} samples")
    filled = (sizes > 0) & (weights > 0)
    if not filled.any():
        raise ValueError("every set is empty: there is nothing to compare")
    different = sizes - consistent - undecided
    points = SCALE * (CONSISTENT_POINTS * consistent + DIFFERENT_POINTS * different)[filled] / sizes[filled]
    return float(points @ weights[filled] / weights[filled].sum())


def set_weights(emotions: list[str] | tuple[str, ...], sizes: Array | None = None) -> NDArray[np.float64]:
    """w of Eq. 3: one over the number of sets of the same emotion, so that each emotion weighs one. Empty sets get 0 and do not count."""
    filled = np.ones(len(emotions), dtype=bool) if sizes is None else np.asarray(sizes) > 0
    count = {name: sum(1 for other, is_filled in zip(emotions, filled, strict=True) if is_filled and other == name) for name in emotions}
    return np.array([1 / count[name] if is_filled else 0.0 for name, is_filled in zip(emotions, filled, strict=True)])


def set_counts(current: Array, previous: Array) -> SetCounts:
    """C, M and the size of each set: what most raters say is the group's answer; no majority leaves the sample undecided."""
    current, previous = _checked(current, previous)
    present = previous != PADDING
    answer = majority(current)
    return SetCounts(
        consistent=((answer == previous) & present).sum(axis=1),
        undecided=((answer == PADDING) & present).sum(axis=1),
        sizes=present.sum(axis=1),
    )


def majority(votes: Array) -> NDArray[np.int64]:
    """The category of more than half of the raters (last axis), −1 where there is none."""
    votes = np.asarray(votes)
    num_raters = votes.shape[-1]
    agreeing = (votes[..., :, None] == votes[..., None, :]).sum(axis=-1)  # (…, num_raters): raters who said the same
    agreeing = np.where(votes == PADDING, 0, agreeing)
    best = agreeing.argmax(axis=-1)
    top = np.take_along_axis(votes, best[..., None], axis=-1)[..., 0]
    return np.where(agreeing.max(axis=-1) * 2 > num_raters, top, PADDING).astype(np.int64)


def consistency_ratios(
    current: Array, previous: Array, *, num_categories: int, excluded: Array | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """CR: per rater and category, the share of the category's samples that the rater labelled as before, and how many samples.

    Both of shape (num_raters, num_categories); a ratio over no samples is NaN. Here a rater may have missing votes (−1), and
    `excluded` (num_sets, set_size, num_raters) leaves out samples whose label the rater helped to make.
    """
    current, previous = np.asarray(current), np.asarray(previous)
    _check_shapes(current, previous)
    labelled = (current != PADDING) & (previous != PADDING)[:, :, None]
    if excluded is not None:
        labelled &= ~np.asarray(excluded, dtype=bool)
    hits = labelled & (current == previous[:, :, None])
    ratios = np.full((current.shape[2], num_categories), np.nan)
    counts = np.zeros((current.shape[2], num_categories), dtype=np.int64)
    for category in range(num_categories):
        chosen = (previous == category)[:, :, None]
        counts[:, category] = (labelled & chosen).sum(axis=(0, 1))
        np.divide((hits & chosen).sum(axis=(0, 1)), counts[:, category], out=ratios[:, category], where=counts[:, category] > 0)
    return ratios, counts


def mean_and_variance(scores: Array) -> tuple[float, float]:
    """μ and σ² over the groups; the variance is the population's, as in Tab. I."""
    scores = np.asarray(scores, dtype=float)
    if not scores.size:
        raise ValueError("no group has a score yet")
    return float(scores.mean()), float(scores.var())


def bootstrap_scores(
    current: Array, previous: Array, weights: Array, *, rng: np.random.Generator, num_resamples: int = 2000
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """S_a and S_r of `num_resamples` stages whose samples are drawn anew from each set; two arrays of shape (num_resamples,).

    A sample enters only by how many raters repeat its label and whether the group does, so each set is a draw from the few
    kinds of samples it has, and a resample costs the same at 10 and at 10^7 samples.
    """
    current, previous = _checked(current, previous)
    num_raters = current.shape[2]
    answer = majority(current)
    intra, inter, weight_sum, filled = np.zeros(num_resamples), np.zeros(num_resamples), 0.0, 0
    for i, weight in enumerate(np.asarray(weights, dtype=float)):
        present = previous[i] != PADDING
        size = int(present.sum())
        if not size:
            continue
        hits = (current[i, present] == previous[i, present, None]).sum(axis=1)
        points = np.select([answer[i, present] == previous[i, present], answer[i, present] == PADDING], [2, 0], 1)
        kinds, counts = np.unique(hits * 3 + points, return_counts=True)
        drawn = rng.multinomial(size, counts / size, size=num_resamples) / size
        intra += drawn @ (kinds // 3) / num_raters
        inter += weight * SCALE * (drawn @ np.array([0.0, DIFFERENT_POINTS, CONSISTENT_POINTS])[kinds % 3])
        weight_sum, filled = weight_sum + weight, filled + 1
    return intra / filled, inter / weight_sum


def interval(resampled: Array, *, confidence: float = 0.95) -> tuple[float, float]:
    """The percentile interval of resampled values; values that are undefined (NaN) in a resample are left out."""
    low, high = np.nanquantile(np.asarray(resampled, dtype=float), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _checked(current: Array, previous: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    current, previous = np.asarray(current), np.asarray(previous)
    _check_shapes(current, previous)
    present = previous != PADDING
    if not present.any():
        raise ValueError("every set is empty: there is nothing to compare")
    missing = np.argwhere((current == PADDING) & present[:, :, None])
    if missing.size:
        i, j, rater = missing[0]
        raise ValueError(f"set {i}, sample {j}: rater {rater} has no vote; leave the sample out of both arrays (−1) or wait for the vote")
    return current, previous


def _check_shapes(current: Array, previous: Array) -> None:
    if current.ndim != 3 or current.shape[2] == 0 or current.shape[:2] != previous.shape:
        raise ValueError(
            f"current must be (num_sets, set_size, num_raters) and previous (num_sets, set_size), got {current.shape} and {previous.shape}"
        )
