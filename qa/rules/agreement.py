"""Do raters agree beyond chance: Fleiss' κ, Krippendorff's α, Gwet's AC1, Cohen's κ; and is confidence earned.

`ratings` are (num_samples, num_raters) category codes, −1 where a rater has no vote. Every coefficient depends only on how many
samples show each pattern of votes, so samples are first reduced to patterns; a bootstrap then redraws pattern counts.
A coefficient that is undefined raises ValueError saying why; it is never a quiet NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.inter_rater import cohens_kappa

Floats = NDArray[np.float64]
MISSING = -1


@dataclass(frozen=True)
class Patterns:
    """The distinct count vectors of a set of samples: counts (num_patterns, num_categories), samples (num_patterns,) that show each."""

    counts: NDArray[np.int64]
    samples: NDArray[np.int64]

    @property
    def num_samples(self) -> int:
        return int(self.samples.sum())

    def complete(self, num_raters: int) -> Patterns:
        """Only the samples with exactly that many votes."""
        chosen = self.counts.sum(axis=1) == num_raters
        return Patterns(self.counts[chosen], self.samples[chosen])

    def against(self, category: int) -> Patterns:
        """The same votes with two categories: this one, and all others."""
        one = self.counts[:, category]
        return Patterns(np.stack([one, self.counts.sum(axis=1) - one], axis=1), self.samples)


@dataclass(frozen=True)
class Estimate:
    """A coefficient with its interval, or the reason why there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    num_samples: int = 0
    why: str = ""


def patterns(ratings: NDArray[np.integer], *, num_categories: int) -> Patterns:
    """The distinct vote counts of the samples; samples without a vote are left out.

    Raises ValueError on a code outside −1..num_categories−1.
    """
    ratings = np.asarray(ratings)
    if ratings.ndim != 2:
        raise ValueError(f"ratings must be (num_samples, num_raters), got {ratings.shape}")
    if ratings.size and not (ratings.min() >= MISSING and ratings.max() < num_categories):
        raise ValueError(f"ratings must be −1..{num_categories - 1}, found {ratings.min()}..{ratings.max()}")
    base = ratings.shape[1] + 1
    if base**num_categories > 2**62:
        return patterns_of_counts(np.stack([(ratings == category).sum(axis=1) for category in range(num_categories)], axis=1))
    key = np.zeros(len(ratings), dtype=np.int64)
    for rater in range(ratings.shape[1]):
        votes = ratings[:, rater]
        key += np.where(votes == MISSING, 0, base ** np.maximum(votes, 0).astype(np.int64))
    keys, samples = np.unique(key[key > 0], return_counts=True)
    counts = keys[:, None] // base ** np.arange(num_categories, dtype=np.int64) % base
    return Patterns(counts, samples)


def patterns_of_counts(counts: NDArray[np.integer]) -> Patterns:
    """The distinct rows of a (num_samples, num_categories) table of vote counts."""
    rows, samples = np.unique(counts[counts.sum(axis=1) > 0], axis=0, return_counts=True)
    return Patterns(rows.astype(np.int64), samples)


def fleiss_kappa(table: Patterns, samples: NDArray[np.integer] | None = None) -> Floats | float:
    """Fleiss' κ, 1 for perfect agreement, 0 for chance; all samples need the same number of votes.

    samples: other counts per pattern, (num_resamples, num_patterns), give one κ each (NaN where undefined).
    """
    num_raters = table.counts.sum(axis=1)
    if len(np.unique(num_raters)) > 1:
        raise ValueError("samples have different numbers of votes: choose the complete ones, or use Krippendorff's alpha")
    _need(table, at_least_raters=2)
    raters = int(num_raters[0])
    weights, total = _weights(table, samples)
    observed = weights @ _pairs_agreeing(table) / total
    shares = weights @ table.counts / (total * raters)[:, None]
    return _chance_corrected(observed, (shares**2).sum(axis=1), samples, "all votes are of one category, so chance agreement is already 1")


def krippendorff_alpha(table: Patterns, samples: NDArray[np.integer] | None = None) -> Floats | float:
    """Krippendorff's α for nominal data; samples may have any number of votes, those with one only are not pairable and left out."""
    table, samples = _pairable(table, samples)
    raters = table.counts.sum(axis=1)
    weights, _ = _weights(table, samples)
    votes = weights @ raters
    observed = weights @ (raters * _pairs_agreeing(table)) / votes
    of_category = weights @ table.counts
    chance = (of_category * (of_category - 1)).sum(axis=1) / (votes * (votes - 1))
    return _chance_corrected(observed, chance, samples, "all votes are of one category, so no disagreement could be expected")


def gwet_ac1(table: Patterns, samples: NDArray[np.integer] | None = None) -> Floats | float:
    """Gwet's AC1, which stays meaningful when one category prevails; missing votes allowed."""
    num_categories = table.counts.shape[1]
    if num_categories < 2:
        raise ValueError("AC1 needs two categories or more")
    pairable = table.counts.sum(axis=1) >= 2
    _need(Patterns(table.counts[pairable], table.samples[pairable]), at_least_raters=2)
    weights, total = _weights(table, samples)
    observed = weights[:, pairable] @ _pairs_agreeing(table)[pairable] / weights[:, pairable].sum(axis=1)
    shares = weights @ (table.counts / table.counts.sum(axis=1, keepdims=True)) / total[:, None]
    chance = (shares * (1 - shares)).sum(axis=1) / (num_categories - 1)
    return _chance_corrected(observed, chance, samples, "chance agreement is 1")


def percent_agreement(table: Patterns, samples: NDArray[np.integer] | None = None) -> Floats | float:
    """The share of pairs of raters that agree, averaged over samples."""
    table, samples = _pairable(table, samples)
    weights, total = _weights(table, samples)
    observed = weights @ _pairs_agreeing(table) / total
    return observed if samples is not None else float(observed[0])


COEFFICIENTS: dict[str, Callable[..., Floats | float]] = {
    "fleiss_kappa": fleiss_kappa,
    "krippendorff_alpha": krippendorff_alpha,
    "gwet_ac1": gwet_ac1,
    "percent_agreement": percent_agreement,
}


def estimate(
    coefficient: Callable[..., Floats | float],
    table: Patterns,
    *,
    rng: np.random.Generator,
    num_resamples: int = 1000,
    confidence: float = 0.95,
) -> Estimate:
    """The coefficient with a percentile bootstrap interval over samples; undefined ones carry the reason instead."""
    try:
        value = float(coefficient(table))
    except ValueError as error:
        return Estimate(None, num_samples=table.num_samples, why=str(error))
    drawn = rng.multinomial(table.num_samples, table.samples / table.num_samples, size=num_resamples)
    resampled = np.asarray(coefficient(table, drawn))
    if np.isnan(resampled).mean() > 0.5:
        return Estimate(value, num_samples=table.num_samples, why="too few samples for an interval: most redraws leave it undefined")
    low, high = np.nanquantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high), table.num_samples)


def cohen_kappa(first: NDArray[np.integer], second: NDArray[np.integer], *, num_categories: int) -> float:
    """Cohen's κ of two raters over the samples that both rated. Raises ValueError when there are none or only one category was used."""
    both = (first != MISSING) & (second != MISSING)
    if not both.any():
        raise ValueError("the two have no sample in common")
    cells = np.bincount(first[both] * num_categories + second[both], minlength=num_categories**2).reshape(num_categories, -1)
    if np.count_nonzero(cells.sum(axis=0) + cells.sum(axis=1)) == 1:
        raise ValueError("both used one and the same category only, so chance agreement is already 1")
    return float(cohens_kappa(cells, return_results=False))


@dataclass(frozen=True)
class Calibration:
    """Per bin of stated confidence: votes, mean confidence, and the share of them that agreed with the outcome."""

    edges: Floats
    votes: NDArray[np.int64]
    confidence: Floats
    agreed: Floats
    mean_confidence: float
    expected_error: float


def calibration(confidence: Floats, agreed: NDArray[np.bool_], *, num_bins: int = 10) -> Calibration:
    """Whether stated confidence is earned: agreement per bin of confidence, and the expected calibration error.

    Raises ValueError when no vote carries a confidence.
    """
    stated = ~np.isnan(confidence)
    confidence, agreed = confidence[stated], agreed[stated].astype(float)
    if not confidence.size:
        raise ValueError("no vote carries a confidence")
    edges = np.linspace(0, 1, num_bins + 1)
    place = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    votes = np.bincount(place, minlength=num_bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, weights=confidence, minlength=num_bins) / votes
        share = np.bincount(place, weights=agreed, minlength=num_bins) / votes
    error = float(np.nansum(np.abs(mean - share) * votes) / votes.sum())
    return Calibration(edges, votes, mean, share, float(confidence.mean()), error)


def _pairs_agreeing(table: Patterns) -> Floats:
    """Per pattern, the share of ordered pairs of votes that agree; 0 where there is one vote only."""
    raters = table.counts.sum(axis=1)
    pairs = raters * (raters - 1)
    agreeing = (table.counts * (table.counts - 1)).sum(axis=1)
    return np.divide(agreeing, pairs, out=np.zeros(len(pairs)), where=pairs > 0)


def _weights(table: Patterns, samples: NDArray[np.integer] | None) -> tuple[Floats, Floats]:
    weights = np.atleast_2d(table.samples if samples is None else samples).astype(float)
    return weights, weights.sum(axis=1)


def _pairable(table: Patterns, samples: NDArray[np.integer] | None) -> tuple[Patterns, NDArray[np.integer] | None]:
    chosen = table.counts.sum(axis=1) >= 2
    table = Patterns(table.counts[chosen], table.samples[chosen])
    _need(table, at_least_raters=2)
    return table, None if samples is None else samples[:, chosen]


def _need(table: Patterns, *, at_least_raters: int) -> None:
    if not table.num_samples:
        raise ValueError("no sample has two votes or more")
    if int(table.counts.sum(axis=1).max()) < at_least_raters:
        raise ValueError(f"each sample has fewer than {at_least_raters} votes")


def _chance_corrected(observed: Floats, chance: Floats, samples: object, why_undefined: str) -> Floats | float:
    room = 1 - chance
    defined = room > 1e-12
    if samples is None:
        if not defined[0]:
            raise ValueError(why_undefined)
        return float((observed[0] - chance[0]) / room[0])
    return np.divide(observed - chance, room, out=np.full(len(room), np.nan), where=defined)
