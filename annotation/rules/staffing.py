"""Who works with whom: the allocation score of Eq. 1, and groups of two men, one woman and a leader balanced in it (Sec. III-B)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import LinearConstraint, milp

ALPHA_1, ALPHA_2, ALPHA_3 = 0.4, 0.3, 0.1  # Eq. 1
MEN, WOMEN = 2, 1  # members of one group
EXHAUSTIVE_UP_TO = 200_000  # allocations; above that the same problem goes to the integer solver
SOLVER_S = 20.0


def allocation_score(work_experience: float, msceit: float, education: float, culture: float, leadership: float) -> float:
    """p of Eq. 1 on the scale 0..100: 0.4 we + 0.3 ms + 0.1 (eb + cb + lp).

    Raises ValueError if a factor is outside 0..100.
    """
    factors = (work_experience, msceit, education, culture, leadership)
    for factor in factors:
        if not 0 <= factor <= 100:
            raise ValueError(f"{factor} is outside 0..100")
    return ALPHA_1 * work_experience + ALPHA_2 * msceit + ALPHA_3 * (education + culture + leadership)


@dataclass(frozen=True)
class Candidate:
    """One who can be placed. leads: true for a leader, who has no seat among the members."""

    key: str
    gender: str  # M or F
    p: float
    leads: bool = False
    leadership: float = 0.0


@dataclass(frozen=True)
class Staff:
    """The members and the leader of one group."""

    members: tuple[Candidate, ...]
    leader: Candidate

    @property
    def p(self) -> float:
        """Mean allocation score of the four."""
        return float(np.mean([person.p for person in (*self.members, self.leader)]))


@dataclass(frozen=True)
class Allocation:
    """Groups, those left in reserve, and how even the groups are: spread is the largest minus the smallest mean p.

    best_possible is a proven lower bound on the spread with these people; equal to spread when the solution is optimal.
    """

    groups: tuple[Staff, ...]
    reserve: tuple[Candidate, ...]
    spread: float
    best_possible: float

    @property
    def is_optimal(self) -> bool:
        return self.spread - self.best_possible < 1e-6


def groups_balance(candidates: Sequence[Candidate], *, num_groups: int) -> Allocation:
    """The most even groups of 2 men + 1 woman + leader that these people allow.

    Who takes part is settled first, the most able: leaders by leadership (those marked as leaders before others), then
    members by p within each gender; the rest is the reserve. Then the split with the least spread of mean p is solved for.
    Raises ValueError naming what is missing when the people do not suffice.
    """
    leaders, men, women = _chosen(candidates, num_groups)
    taken = {person.key for person in (*leaders, *men, *women)}
    reserve = tuple(person for person in candidates if person.key not in taken)
    if _num_allocations(num_groups) <= EXHAUSTIVE_UP_TO:
        groups, spread, bound = _solved_exhaustively(leaders, men, women)
    else:
        groups, spread, bound = _solved_by_milp(leaders, men, women)
    return Allocation(groups, reserve, spread, bound)


def _chosen(candidates: Sequence[Candidate], num_groups: int) -> tuple[list[Candidate], list[Candidate], list[Candidate]]:
    ranked = sorted(candidates, key=lambda person: (-person.p, person.key))
    leaders = _leaders(ranked, num_groups)
    members = [person for person in ranked if person not in leaders and not person.leads]
    men = [person for person in members if person.gender == "M"][: MEN * num_groups]
    women = [person for person in members if person.gender == "F"][: WOMEN * num_groups]
    short = [
        f"{needed - len(found)} more {what}"
        for what, found, needed in (
            ("leaders", leaders, num_groups),
            ("men", men, MEN * num_groups),
            ("women", women, WOMEN * num_groups),
        )
        if len(found) < needed
    ]
    if num_groups < 1 or short:
        raise ValueError(f"{num_groups} groups of {MEN} men, {WOMEN} woman and a leader need {', '.join(short) or 'at least one group'}")
    return leaders, men, women


def _leaders(ranked: Sequence[Candidate], num_groups: int) -> list[Candidate]:
    """Those marked as leaders first; then the best in leadership among members whom the groups can spare."""
    chosen = [person for person in ranked if person.leads][:num_groups]
    spare = {
        "M": sum(not person.leads and person.gender == "M" for person in ranked) - MEN * num_groups,
        "F": sum(not person.leads and person.gender == "F" for person in ranked) - WOMEN * num_groups,
    }
    for person in sorted((p for p in ranked if not p.leads), key=lambda p: (-p.leadership, -p.p, p.key)):
        if len(chosen) < num_groups and spare.get(person.gender, 0) > 0:
            chosen.append(person)
            spare[person.gender] -= 1
    return chosen


def _num_allocations(num_groups: int) -> int:
    """Ways to fill the groups: pairs of men, times women, times leaders; the order of the groups does not count."""
    return math.factorial(MEN * num_groups) // math.factorial(MEN) ** num_groups * math.factorial(num_groups)


def _pairings(men: Sequence[Candidate]) -> Iterator[list[tuple[Candidate, Candidate]]]:
    """Every way to split the men into unordered pairs."""
    if not men:
        yield []
        return
    first, rest = men[0], men[1:]
    for index, second in enumerate(rest):
        for others in _pairings([*rest[:index], *rest[index + 1 :]]):
            yield [(first, second), *others]


def _solved_exhaustively(leaders: list[Candidate], men: list[Candidate], women: list[Candidate]) -> tuple[tuple[Staff, ...], float, float]:
    best: tuple[float, float] = (math.inf, math.inf)
    found: tuple[Staff, ...] = ()
    women_p, leaders_p = np.array([w.p for w in women]), np.array([leader.p for leader in leaders])
    orders = list(itertools.permutations(range(len(leaders))))
    for pairs in _pairings(men):
        pair_p = np.array([a.p + b.p for a, b in pairs])
        for women_order in orders:
            means = (pair_p + women_p[list(women_order)] + leaders_p[np.array(orders)]) / (MEN + WOMEN + 1)
            spreads = means.max(axis=1) - means.min(axis=1)
            at = int(spreads.argmin())
            key = (round(float(spreads[at]), 9), round(float(means[at].var()), 9))  # ties: the smaller variance
            if key < best:
                best = key
                found = tuple(
                    Staff((*pair, women[w]), leaders[leader]) for pair, w, leader in zip(pairs, women_order, orders[at], strict=True)
                )
    return found, _spread(found), _spread(found)


def _spread(groups: Sequence[Staff]) -> float:
    scores = [staff.p for staff in groups]
    return max(scores) - min(scores)


def _solved_by_milp(leaders: list[Candidate], men: list[Candidate], women: list[Candidate]) -> tuple[tuple[Staff, ...], float, float]:
    """Minimise U − L over x[person, group] ∈ {0, 1}, where L ≤ mean p of each group ≤ U."""
    people, num_groups = [*men, *women, *leaders], len(leaders)
    num_x = len(people) * num_groups
    size = MEN + WOMEN + 1
    rows, low, high = [], [], []

    def add(row: np.ndarray, least: float, most: float) -> None:
        rows.append(row)
        low.append(least)
        high.append(most)

    grid = np.arange(num_x).reshape(len(people), num_groups)
    for person in range(len(people)):
        add(_indicator(num_x, grid[person]), 1, 1)
    for group in range(num_groups):
        start = 0
        for part, seats in ((men, MEN), (women, WOMEN), (leaders, 1)):
            add(_indicator(num_x, grid[start : start + len(part), group]), seats, seats)
            start += len(part)
        means = np.zeros(num_x + 2)
        means[grid[:, group]] = [person.p / size for person in people]
        add(means - np.eye(num_x + 2)[num_x], -np.inf, 0)  # mean − U ≤ 0
        add(means - np.eye(num_x + 2)[num_x + 1], 0, np.inf)  # mean − L ≥ 0
    for leader in range(num_groups):  # the groups have no order: leader i stays in group i
        add(_indicator(num_x, grid[len(men) + len(women) + leader, leader : leader + 1]), 1, 1)
    solution = milp(
        np.concatenate([np.zeros(num_x), [1, -1]]),
        constraints=LinearConstraint(np.array(rows), low, high),
        integrality=np.concatenate([np.ones(num_x), [0, 0]]),
        bounds=(0, np.concatenate([np.ones(num_x), [100, 100]])),
        options={"time_limit": SOLVER_S, "mip_rel_gap": 0.0},
    )
    if solution.x is None:
        raise ValueError(f"the solver found no allocation in {SOLVER_S} s: {solution.message}")
    placed = solution.x[:num_x].reshape(len(people), num_groups).round().astype(bool)
    groups = tuple(
        Staff(tuple(p for p, here in zip(people[: len(men) + len(women)], placed[:, g], strict=False) if here), leaders[g])
        for g in range(num_groups)
    )
    spread = _spread(groups)
    return groups, spread, spread if solution.status == 0 else min(spread, max(0.0, float(solution.mip_dual_bound)))


def _indicator(num_x: int, at: np.ndarray) -> np.ndarray:
    row = np.zeros(num_x + 2)
    row[at] = 1
    return row
