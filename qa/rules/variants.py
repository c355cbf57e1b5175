"""Which videos a variant holds and how it is split (Sec. III-G). One function per variant; a dict names them.

Labels are given as an array of emotion names in the order of the videos' numbers; a choice is an array of positions in it.
A variant draws its test part from the full dataset's test part, so no video is ever in the training part of one variant and in
the test part of another of the same seed (docs/decisions.md, Splits).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

TEST_SHARE = 0.2
BALANCED_LIMITS = {"Excitation": 4000, "Neutral": 3000}  # all of the other emotions
TEST_VARIANT_SIZE = 5000
MOST_SEED = 2**31 - 1  # that a column of the database holds


class TooFew(ValueError):
    """There are fewer videos than the variant asks for; allow_short takes what there is and says so."""


@dataclass(frozen=True)
class Choice:
    """Positions of the chosen videos, ascending; `is_test` tells their split; `short` says where there were too few."""

    positions: NDArray[np.int64]
    is_test: NDArray[np.bool_]
    short: list[str] = field(default_factory=list)


def largest_remainder(counts: Mapping[str, int], total: int) -> dict[str, int]:
    """`total` shared out in proportion to the counts: floors first, then one each to the largest remainders (ties: given order).

    Raises TooFew when the counts sum to less than total.
    """
    available = sum(counts.values())
    if total > available:
        raise TooFew(f"{total:,} videos are asked for and {available:,} are labelled")
    parts = {name: divmod(count * total, available or 1) for name, count in counts.items()}  # whole numbers: no tie is broken by rounding
    shares = {name: whole for name, (whole, _) in parts.items()}
    by_remainder = sorted(counts, key=lambda name: -parts[name][1])
    for name in by_remainder[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


def stratified_split(labels: NDArray[np.str_], *, rng: np.random.Generator, test_share: float = TEST_SHARE) -> NDArray[np.bool_]:
    """True for the test part: of each emotion, `test_share` of its videos, rounded to the nearest whole number."""
    is_test = np.zeros(len(labels), dtype=bool)
    for emotion in sorted(set(labels.tolist())):
        positions = np.flatnonzero(labels == emotion)
        is_test[rng.permutation(positions)[: num_test(len(positions), test_share)]] = True
    return is_test


def num_test(count: int, test_share: float = TEST_SHARE) -> int:
    return int(count * test_share + 0.5)


def everything(labels: NDArray[np.str_], *, seed: int, allow_short: bool = False) -> Choice:
    """eMotions: every labelled video."""
    is_test = stratified_split(labels, rng=np.random.default_rng(seed))
    return Choice(np.arange(len(labels)), is_test)


def balanced(labels: NDArray[np.str_], *, seed: int, allow_short: bool = False, limits: Mapping[str, int] | None = None) -> Choice:
    """eMotions_balanced: 4,000 Excitation, 3,000 Neutral and all videos of the other emotions."""
    limits = BALANCED_LIMITS if limits is None else limits
    counts = emotion_counts(labels)
    short = [f"{name}: {counts.get(name, 0):,} of {limit:,}" for name, limit in sorted(limits.items()) if counts.get(name, 0) < limit]
    if short and not allow_short:
        raise TooFew(
            f"too few videos for the balanced variant ({'; '.join(short)}): label more, or allow a short one (--allow-short) to take all there are"
        )
    return _draw(labels, {name: min(count, limits.get(name, count)) for name, count in counts.items()}, seed=seed, short=short)


def proportional(labels: NDArray[np.str_], *, seed: int, allow_short: bool = False, size: int = TEST_VARIANT_SIZE) -> Choice:
    """eMotions_test: 5,000 videos in the proportions of the full dataset (largest remainder)."""
    counts = emotion_counts(labels)
    short = [f"{len(labels):,} of {size:,} videos"] if len(labels) < size else []
    if short and not allow_short:
        raise TooFew(
            f"too few videos for the test variant ({short[0]}): label more, or allow a short one (--allow-short) to take all there are"
        )
    return _draw(labels, largest_remainder(counts, min(size, len(labels))), seed=seed, short=short)


VARIANTS: dict[str, Callable[..., Choice]] = {"all": everything, "balanced": balanced, "test": proportional}
TITLES = {"all": "eMotions", "balanced": "eMotions_balanced", "test": "eMotions_test"}


def emotion_counts(labels: NDArray[np.str_]) -> dict[str, int]:
    """Videos per emotion, in alphabetical order, which is also the order of the class ids."""
    names, counts = np.unique(labels, return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}


def _draw(labels: NDArray[np.str_], wanted: Mapping[str, int], *, seed: int, short: list[str]) -> Choice:
    """That many videos of each emotion, a fifth of them from the full dataset's test part."""
    in_test = stratified_split(labels, rng=np.random.default_rng(seed))
    rng = np.random.default_rng([seed, 1])
    chosen: list[NDArray[np.int64]] = []
    for emotion, count in sorted(wanted.items()):
        tests = num_test(count)
        for part, size in ((in_test, tests), (~in_test, count - tests)):
            chosen.append(rng.permutation(np.flatnonzero((labels == emotion) & part))[:size])
    positions = np.sort(np.concatenate(chosen)) if chosen else np.array([], dtype=np.int64)
    return Choice(positions, in_test[positions], short)
