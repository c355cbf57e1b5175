"""Who should swap groups so that the groups agree better: the paper's Algorithm 1, made deterministic (Sec. III-C).

For each emotion the members with the highest and the lowest consistency ratio (CR) trade groups, same gender only, and label the
sets of their new group; this repeats until the mean S_r has risen and its variance is small. The loop runs over weeks with people
in it, so the rule answers one question at a time: given what is known now, which swap is due? (docs/decisions.md, Adjustment)
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import factorial, prod

import numpy as np
from numpy.typing import NDArray

from qa.rules.consistency import CONSISTENT_POINTS, DIFFERENT_POINTS, SCALE, interval, mean_and_variance

MIN_GAP = 0.05  # δ: about one standard error of a CR over 100 samples
MAX_VARIANCE = 1.0  # τ: the paper went from 5.72 to 0.36
NUM_ROUNDS = 3  # R
POLICIES = ("always", "non_worsening")  # keep every swap as the paper does, or take back one that made things worse
MAX_ALLOCATIONS = 500_000

Allocation = frozenset[tuple[int, str]]  # (person, group letter)


@dataclass(frozen=True)
class Member:
    """A member who may swap (never a leader). ratios and counts per emotion, in class order; a ratio over no samples is NaN."""

    id: int
    group: str
    gender: str
    score: float  # p of Eq. 1
    ratios: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def mean_ratio(self) -> float:
        defined = [ratio for ratio in self.ratios if not np.isnan(ratio)]
        return sum(defined) / len(defined) if defined else 0.0


@dataclass(frozen=True)
class Swap:
    high: int
    low: int
    gap: float
    is_literal: bool  # the paper's own case: highest and lowest of all members


@dataclass(frozen=True)
class Skip:
    reason: str


def allocation_of(members: Sequence[Member]) -> Allocation:
    return frozenset((member.id, member.group) for member in members)


def exchanged(allocation: Allocation, first: int, second: int) -> Allocation:
    """The allocation after the two have traded groups."""
    group = dict(allocation)
    group[first], group[second] = group[second], group[first]
    return frozenset(group.items())


def propose(
    members: Sequence[Member],
    category: int,
    *,
    visited: set[Allocation],
    group_scores: Mapping[str, float],
    min_gap: float = MIN_GAP,
) -> Swap | Skip:
    """The swap that is due for one emotion, or why there is none.

    The members with the highest and the lowest CR if they may trade; else the best pair that may: largest gap, then the lower
    member from the group with the lowest S_r, then the larger difference in mean CR, then in p, then the lower ids.
    A pair may trade if their groups differ, their gender does not, the gap is min_gap or more, and the allocation is a new one.
    """
    rated = [member for member in members if not np.isnan(member.ratios[category])]
    if len(rated) < 2:
        return Skip("fewer than two members have labelled samples of this emotion")
    allocation = allocation_of(members)
    pairs, refusals = [], set()
    for high, low in itertools.permutations(rated, 2):
        refusal = _refusal(high, low, category, allocation, visited, min_gap)
        refusals.add(refusal)
        if not refusal:
            pairs.append((high, low))
    if not pairs:
        return Skip(_why_none(refusals, min_gap))
    literal = (_highest(rated, category), _lowest(rated, category))
    if literal in pairs:
        return Swap(literal[0].id, literal[1].id, _gap(*literal, category), is_literal=True)
    high, low = max(pairs, key=lambda pair: _preference(pair[0], pair[1], category, group_scores))
    return Swap(high.id, low.id, _gap(high, low, category), is_literal=False)


def is_settled(scores: Sequence[float], start_mean: float, *, max_variance: float = MAX_VARIANCE) -> bool:
    """The stop rule: the mean S_r is above where it started and its variance below the threshold."""
    mean, variance = mean_and_variance(np.asarray(scores))
    return mean > start_mean and variance < max_variance


def is_worse(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether a swap failed on both counts: the mean S_r fell and its variance rose."""
    (mean, variance), (new_mean, new_variance) = mean_and_variance(np.asarray(before)), mean_and_variance(np.asarray(after))
    return new_mean < mean and new_variance > variance


@dataclass(frozen=True)
class Reserve:
    """Someone without a group who can take a place."""

    id: int
    gender: str
    score: float  # p of Eq. 1
    is_qualified: bool


def replacement(gender: str, score: float, reserves: Sequence[Reserve]) -> Reserve | None:
    """Who takes the place of a member who left: same gender, nearest p; those who passed the labelling test first, then the lower id."""
    fitting = [reserve for reserve in reserves if reserve.gender == gender]
    return min(fitting, key=lambda reserve: (not reserve.is_qualified, abs(reserve.score - score), reserve.id), default=None)


def best_visited(scores: Sequence[Sequence[float]], *, max_variance: float = MAX_VARIANCE) -> int:
    """Which of the visited allocations to keep: variance under the threshold first, then mean, then small variance, then earliest."""
    stats = [mean_and_variance(np.asarray(values)) for values in scores]
    return max(range(len(stats)), key=lambda i: (stats[i][1] < max_variance, stats[i][0], -stats[i][1], -i))


@dataclass(frozen=True)
class Step:
    """One line of the loop's log."""

    round: int
    category: int
    outcome: Swap | Skip
    allocation: Allocation
    scores: dict[str, float]


def adjust(
    label: Callable[[Allocation, Swap | None], tuple[Sequence[Member], Mapping[str, float]]],
    start: Allocation,
    *,
    num_categories: int,
    num_rounds: int = NUM_ROUNDS,
    min_gap: float = MIN_GAP,
    max_variance: float = MAX_VARIANCE,
    policy: str = "always",
) -> tuple[list[Step], bool]:
    """The whole loop on annotators that answer at once (simulated ones); the steps, and whether it settled.

    label(allocation, swap): has the swapped (all, when None) label the sets of their groups, and answers the members with
    ratios and S_r per group. policy: "non_worsening" takes back a swap after which the mean fell and the variance rose.
    """
    members, scores = label(start, None)
    start_mean = mean_and_variance(np.array(list(scores.values())))[0]
    allocation, visited, log = start, {start}, []
    for round_number, category in itertools.product(range(1, num_rounds + 1), range(num_categories)):
        outcome = propose(members, category, visited=visited, group_scores=scores, min_gap=min_gap)
        if isinstance(outcome, Swap):
            before = list(scores.values())
            allocation = exchanged(allocation, outcome.high, outcome.low)
            visited.add(allocation)
            members, scores = label(allocation, outcome)
            if policy == "non_worsening" and is_worse(before, list(scores.values())):
                log.append(Step(round_number, category, outcome, allocation, dict(scores)))
                outcome = Swap(outcome.low, outcome.high, outcome.gap, is_literal=False)  # back to where they were
                allocation = exchanged(allocation, outcome.high, outcome.low)
                members, scores = label(allocation, outcome)
        log.append(Step(round_number, category, outcome, allocation, dict(scores)))
        if isinstance(outcome, Swap) and is_settled(list(scores.values()), start_mean, max_variance=max_variance):
            return log, True
    return log, False


def gap_interval(
    high: tuple[float, int], low: tuple[float, int], *, rng: np.random.Generator, num_resamples: int = 4000
) -> tuple[float, float]:
    """95 % bootstrap interval of the difference of two ratios, each (ratio, samples); if it holds 0, the gap is within noise."""
    draws = [rng.binomial(count, ratio, size=num_resamples) / count for ratio, count in (high, low)]
    return interval(draws[0] - draws[1])


def is_within_noise(bounds: tuple[float, float]) -> bool:
    return bounds[0] <= 0 <= bounds[1]


@dataclass(frozen=True)
class BestAllocation:
    allocation: Allocation
    scores: dict[str, float]
    mean: float
    variance: float
    num_searched: int


def expected_score(answers: NDArray[np.float64]) -> float:
    """S_r that a group would reach on full sets if its members answer independently.

    answers: (num_members, num_categories, num_categories), the row of a member and a category being how often each emotion is
    said of it. With three members a sample is consistent when two or more repeat its label, undecided when all three differ.
    """
    first, second, third = answers  # Eq. 3 is about three members
    same = np.stack([first * second, first * third, second * third])  # (pair, label, said)
    all_three = first * second * third
    says_label = same.sum(axis=0) - 2 * all_three  # at least two say that emotion
    consistent = np.diagonal(says_label)
    decided = says_label.sum(axis=1)
    return float(np.mean(SCALE * (CONSISTENT_POINTS * consistent + DIFFERENT_POINTS * (decided - consistent))))


def expected_scores(answers: Mapping[int, NDArray[np.float64]], allocation: Allocation) -> dict[str, float]:
    """Expected S_r of every group of an allocation, groups of three only."""
    groups = sorted({group for _, group in allocation})
    trios = {group: sorted(person for person, other in allocation if other == group) for group in groups}
    return {group: expected_score(np.stack([answers[person] for person in trio])) for group, trio in trios.items()}


def search_best(
    answers: Mapping[int, NDArray[np.float64]],
    genders: Mapping[int, str],
    start: Allocation,
    *,
    max_variance: float = MAX_VARIANCE,
) -> BestAllocation:
    """The best of all allocations that same-gender swaps can reach, by expected S_r: an exact search (540 for 3 groups of 2+1).

    answers: per person, (num_categories, num_categories) shares of what is said of each emotion. Prefers what best_visited
    prefers; of equals the one that moves the fewest people. Raises ValueError for groups that are not of three members.
    """
    groups = sorted({group for _, group in start})
    sizes = {group: sum(1 for _, other in start if other == group) for group in groups}
    if set(sizes.values()) != {3}:
        raise ValueError(f"the search needs three members in every group, got {sizes}")
    present = dict(start)
    number = _num_allocations(present, genders)
    if number > MAX_ALLOCATIONS:
        raise ValueError(f"{number:,} allocations: too many groups for an exact search")
    score_of: dict[frozenset[int], float] = {}
    best: tuple[tuple[bool, float, float, int], Allocation, dict[str, float]] | None = None
    for assignment in _allocations(present, genders):
        scores = {}
        for group in groups:
            trio = frozenset(person for person, other in assignment.items() if other == group)
            if trio not in score_of:
                score_of[trio] = expected_score(np.stack([answers[person] for person in sorted(trio)]))
            scores[group] = score_of[trio]
        mean, variance = mean_and_variance(np.array(list(scores.values())))
        moved = sum(1 for person, group in assignment.items() if present[person] != group)
        rank = (variance < max_variance, round(mean, 9), round(-variance, 9), -moved)
        if best is None or rank > best[0]:
            best = (rank, frozenset(assignment.items()), scores)
    if best is None:
        raise ValueError("there is no member to allocate")
    mean, variance = mean_and_variance(np.array(list(best[2].values())))
    return BestAllocation(best[1], best[2], mean, variance, number)


def _num_allocations(present: Mapping[int, str], genders: Mapping[int, str]) -> int:
    """How many _allocations() gives: per gender, the orders of a multiset."""
    places = Counter((genders[person], group) for person, group in present.items())
    people = Counter(genders[person] for person in present)
    return prod(map(factorial, people.values())) // prod(map(factorial, places.values()))


def _allocations(present: Mapping[int, str], genders: Mapping[int, str]) -> Iterator[dict[int, str]]:
    """Every way to place the people so that each group keeps its number of men and of women."""
    per_gender = []
    for gender in sorted({genders[person] for person in present}):
        people = sorted(person for person in present if genders[person] == gender)
        places = sorted(present[person] for person in people)
        per_gender.append([dict(zip(people, order, strict=True)) for order in _arrangements(places)])
    for parts in itertools.product(*per_gender):
        yield {person: group for part in parts for person, group in part.items()}


def _arrangements(places: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The distinct orders of a sorted multiset."""
    if not places:
        yield ()
    for place in sorted(set(places)):
        rest = list(places)
        rest.remove(place)
        for tail in _arrangements(rest):
            yield (place, *tail)


def _gap(high: Member, low: Member, category: int) -> float:
    return high.ratios[category] - low.ratios[category]


def _refusal(high: Member, low: Member, category: int, allocation: Allocation, visited: set[Allocation], min_gap: float) -> str:
    if high.group == low.group:
        return "same group"
    if high.gender != low.gender:
        return "different gender"
    if _gap(high, low, category) < min_gap - 1e-9:
        return "gap"
    if exchanged(allocation, high.id, low.id) in visited:
        return "visited"
    return ""


def _why_none(refusals: set[str], min_gap: float) -> str:
    if "visited" in refusals:
        return "every swap with a sufficient gap leads to an allocation that was already tried"
    if "gap" in refusals:
        return f"no two members who may trade differ by {min_gap:g} or more"
    return "no two members of the same gender in different groups"


def _highest(members: Sequence[Member], category: int) -> Member:
    return max(members, key=lambda m: (m.ratios[category], m.counts[category], m.mean_ratio, m.score, -m.id))


def _lowest(members: Sequence[Member], category: int) -> Member:
    return max(members, key=lambda m: (-m.ratios[category], m.counts[category], -m.mean_ratio, -m.score, -m.id))


def _preference(high: Member, low: Member, category: int, group_scores: Mapping[str, float]) -> tuple[float, ...]:
    return (
        round(_gap(high, low, category), 9),
        -group_scores.get(low.group, 0.0),
        high.mean_ratio - low.mean_ratio,
        high.score - low.score,
        -high.id,
        -low.id,
    )
