"""The labelling protocol of Sec. III-D tried on simulated annotators, beside other ways to spend the same votes.

Design before hiring: given how able annotators are, how they confuse emotions and how hard the clips are, what does the ladder
(three members, the leader, another group's leader, the expert) cost and how right is it? Everything is arrays over samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from qa.rules.agreement import fleiss_kappa, patterns
from qa.rules.truth import dawid_skene_posterior

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
NUM_MEMBERS = 3
RUNGS = ("member", "leader", "exchange", "expert")
#: The class mix of Tab. II, in class order.
CLASS_MIX = (11739, 954, 8795, 2214, 2090, 2204)
ROLES = ("member", "leader", "expert")
GUESSED = 0.5  # of the answers to a hard clip


@dataclass(frozen=True)
class Crew:
    """Simulated annotators: confusion (num_people, K, K), row = true emotion; groups as rows of people, and whose rows they are."""

    confusion: Floats
    members: Ints  # (num_groups, 3)
    leaders: Ints  # (num_groups,)
    expert: int


@dataclass(frozen=True)
class Settings:
    """How the simulated world is; abilities are mean chances to say the true emotion of an easy clip."""

    num_groups: int = 3
    member_ability: float = 0.72
    leader_ability: float = 0.80
    expert_ability: float = 0.90
    spread: float = 0.06  # standard deviation of ability between people
    confusion: float = 1.5  # Dirichlet's concentration of errors: below 1 a person confuses with one emotion, far above with all alike
    hard_share: float = 0.25  # clips on which half of everybody's answers are guesses
    class_mix: tuple[float, ...] = CLASS_MIX


@dataclass(frozen=True)
class Outcome:
    """One protocol's result: the label per sample and the votes it took."""

    labels: Ints
    votes: Ints

    def accuracy(self, truth: Ints) -> float:
        return float((self.labels == truth).mean())


@dataclass(frozen=True)
class Simulation:
    """accuracy and mean votes per protocol, the ladder's share decided at each rung, and Fleiss' κ of the three members."""

    num_samples: int
    rows: list[dict[str, float | str]]
    decided_at: dict[str, float]
    kappa: float


def crew_drawn(settings: Settings, *, rng: np.random.Generator, measured: Mapping[str, Floats] | None = None) -> Crew:
    """People with their own ability and their own habits of confusing emotions.

    measured: role of ROLES → (num_people, K, K) confusions of people who worked here; a role named there is filled with them in turn.
    Raises ValueError when an ability is not between 0 and 1 or there are fewer than two groups (leaders exchange samples).
    """
    _check(settings)
    num_members = settings.num_groups * NUM_MEMBERS
    mean = np.repeat([settings.member_ability, settings.leader_ability, settings.expert_ability], [num_members, settings.num_groups, 1])
    ability = np.clip(rng.normal(mean, settings.spread), 0.05, 0.99)
    num_categories = len(settings.class_mix)
    errors = rng.dirichlet(np.full(num_categories - 1, settings.confusion), size=(len(ability), num_categories))
    confusion = np.zeros((len(ability), num_categories, num_categories))
    off = ~np.eye(num_categories, dtype=bool)
    confusion[:, off] = (errors * (1 - ability)[:, None, None]).reshape(len(ability), -1)
    confusion[:, ~off] = ability[:, None]
    members, leaders = np.arange(num_members), num_members + np.arange(settings.num_groups)
    for role, seats in zip(ROLES, (members, leaders, np.array([len(ability) - 1])), strict=True):
        known = (measured or {}).get(role, np.empty(0))
        if len(known):
            confusion[seats] = _on_easy_clips(known, settings.hard_share)[np.resize(rng.permutation(len(known)), len(seats))]
    return Crew(confusion, members.reshape(settings.num_groups, NUM_MEMBERS), leaders, len(ability) - 1)


def _check(settings: Settings) -> None:
    for name in ("member_ability", "leader_ability", "expert_ability"):
        if not 0 < getattr(settings, name) < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {getattr(settings, name)}")
    if settings.num_groups < 2:
        raise ValueError("two groups or more are needed: an undecided sample goes to another group's leader")
    if not (0 <= settings.spread < inf and 0 < settings.confusion < inf and 0 <= settings.hard_share <= 1):  # nor are they NaN
        raise ValueError("spread must be 0 or more, confusion above 0 and hard_share between 0 and 1")


def _on_easy_clips(confusion: Floats, hard_share: float) -> Floats:
    """What people measured on easy and hard clips together do on easy ones, so that the simulation's hard clips are not counted twice."""
    guessed = hard_share * GUESSED
    easy = np.clip((confusion - guessed / confusion.shape[-1]) / (1 - guessed), 1e-6, None)
    return easy / easy.sum(axis=-1, keepdims=True)


@dataclass(frozen=True)
class World:
    """The samples: what each truly shows, whether it is hard, and which group labels it."""

    truth: Ints
    is_hard: NDArray[np.bool_]
    group: Ints


def world_drawn(num_samples: int, settings: Settings, *, rng: np.random.Generator) -> World:
    mix = np.asarray(settings.class_mix, dtype=float)
    if num_samples < 1 or (mix < 0).any() or mix.sum() == 0:
        raise ValueError("one sample or more and a class mix of non-negative numbers are needed")
    return World(
        rng.choice(len(mix), size=num_samples, p=mix / mix.sum()),
        rng.random(num_samples) < settings.hard_share,
        np.arange(num_samples) % settings.num_groups,
    )


def votes_drawn(people: Ints, world: World, crew: Crew, *, rng: np.random.Generator, chosen: Ints | None = None) -> Ints:
    """What each of `people` (one per chosen sample) says; on hard clips half of the confidence in the truth is lost to guessing."""
    truth, is_hard = (world.truth, world.is_hard) if chosen is None else (world.truth[chosen], world.is_hard[chosen])
    num_categories = crew.confusion.shape[1]
    said = (rng.random(len(people))[:, None] > crew.confusion[people, truth].cumsum(axis=1)[:, :-1]).sum(axis=1)
    guesses = is_hard & (rng.random(len(people)) < GUESSED)
    return np.where(guesses, rng.integers(num_categories, size=len(people)), said)


def ladder(world: World, crew: Crew, *, rng: np.random.Generator) -> tuple[Outcome, Ints, Ints]:
    """The paper's protocol: the outcome, the rung that decided (index in RUNGS), and the members' votes (num_samples, 3)."""
    votes = np.stack([votes_drawn(crew.members[world.group, i], world, crew, rng=rng) for i in range(NUM_MEMBERS)], axis=1)
    members = votes
    labels, rung = plurality(votes), np.zeros(len(votes), dtype=np.int64)
    spent = np.full(len(votes), NUM_MEMBERS)
    num_groups = len(crew.leaders)
    for step, offset in ((1, 0), (2, 1)):
        open_samples = np.flatnonzero(labels < 0)
        people = crew.leaders[(world.group[open_samples] + offset) % num_groups]
        said = votes_drawn(people, world, crew, rng=rng, chosen=open_samples)
        column = np.full((len(votes), 1), -1)
        column[open_samples, 0] = said
        votes = np.concatenate([votes, column], axis=1)
        labels[open_samples] = plurality(votes[open_samples])
        rung[open_samples], spent[open_samples] = step, spent[open_samples] + 1
    open_samples = np.flatnonzero(labels < 0)
    labels[open_samples] = votes_drawn(np.full(len(open_samples), crew.expert), world, crew, rng=rng, chosen=open_samples)
    rung[open_samples], spent[open_samples] = 3, spent[open_samples] + 1
    return Outcome(labels, spent), rung, members


def plurality(votes: Ints) -> Ints:
    """The emotion that two or more said, unless two emotions tie for most; −1 where undecided. votes: (num_samples, num_votes)."""
    agreeing = (votes[:, :, None] == votes[:, None, :]).sum(axis=2)
    agreeing = np.where(votes < 0, 0, agreeing)
    most = agreeing.max(axis=1)
    leading = np.where(agreeing == most[:, None], votes, -1)
    winner = leading.max(axis=1)
    is_tie = ((leading >= 0) & (leading != winner[:, None])).any(axis=1)
    return np.where((most >= 2) & ~is_tie, winner, -1)


def majority_of(num_votes: int, world: World, crew: Crew, *, rng: np.random.Generator) -> tuple[Outcome, Ints, Ints]:
    """Plain majority of random members, ties broken at random; also the votes and who cast them, both (num_samples, num_votes)."""
    people = _different_members(num_votes, world, crew, rng=rng)
    votes = np.stack([votes_drawn(people[:, i], world, crew, rng=rng) for i in range(num_votes)], axis=1)
    return Outcome(_most_frequent(votes, crew.confusion.shape[1], rng=rng), np.full(len(votes), num_votes)), votes, people


def adaptive(mean_votes: float, world: World, crew: Crew, *, rng: np.random.Generator) -> Outcome:
    """Ask members one after another until the posterior is sure enough; the threshold is set so that `mean_votes` are spent.

    The posterior uses each member's true confusion, as if it were known from the qualification test: an upper bound.
    """
    most = min(7, crew.members.size)
    people = _different_members(most, world, crew, rng=rng)
    log_posterior = np.log(np.bincount(world.truth, minlength=crew.confusion.shape[1]) / len(world.truth) + 1e-12)[None, :]
    beliefs, answers = [], []
    for i in range(most):
        said = votes_drawn(people[:, i], world, crew, rng=rng)
        log_posterior = log_posterior + np.log(crew.confusion[people[:, i], :, said] + 1e-12)
        shifted = np.exp(log_posterior - log_posterior.max(axis=1, keepdims=True))
        beliefs.append((shifted / shifted.sum(axis=1, keepdims=True)).max(axis=1))
        answers.append(log_posterior.argmax(axis=1))
    belief, answer = np.stack(beliefs, axis=1), np.stack(answers, axis=1)
    low, high = 0.0, 1.0
    for _ in range(30):  # bisection: votes spent rise with the threshold
        threshold = (low + high) / 2
        spent = _stopping(belief, threshold)
        low, high = (threshold, high) if spent.mean() < mean_votes else (low, threshold)
    spent = _stopping(belief, low)
    return Outcome(np.take_along_axis(answer, spent[:, None] - 1, axis=1)[:, 0], spent)


def simulate(num_samples: int, settings: Settings, *, rng: np.random.Generator, measured: Mapping[str, Floats] | None = None) -> Simulation:
    """The ladder beside majority of 3 and 5, Dawid–Skene on 3, 5 and as many votes as the ladder spent, and adaptive stopping."""
    crew, world = crew_drawn(settings, rng=rng, measured=measured), world_drawn(num_samples, settings, rng=rng)
    paper, rung, members = ladder(world, crew, rng=rng)
    outcomes = {"ladder": paper}
    for num_votes in (3, 5):
        outcome, votes, people = majority_of(num_votes, world, crew, rng=rng)
        outcomes[f"majority of {num_votes}"] = outcome
        outcomes[f"Dawid–Skene of {num_votes}"] = _dawid_skene(votes, people, len(settings.class_mix))
    spent = float(paper.votes.mean())
    outcomes["Dawid–Skene at equal votes"] = _dawid_skene_at(spent, votes, people, len(settings.class_mix), rng=rng)
    outcomes["adaptive stopping at equal votes"] = adaptive(spent, world, crew, rng=rng)
    rows = [_row(name, outcome, world) for name, outcome in outcomes.items()]
    decided_at = {name: float((rung == i).mean()) for i, name in enumerate(RUNGS)}
    kappa = fleiss_kappa(patterns(members, num_categories=len(settings.class_mix)))
    return Simulation(num_samples, rows, decided_at, float(kappa))


def _row(name: str, outcome: Outcome, world: World) -> dict[str, float | str]:
    """Accuracy with the 95 % interval that so many samples leave, and the votes spent per sample."""
    accuracy = outcome.accuracy(world.truth)
    margin = 1.96 * (accuracy * (1 - accuracy) / len(world.truth)) ** 0.5
    interval = {"low": max(0.0, accuracy - margin), "high": min(1.0, accuracy + margin)}
    return {"protocol": name, "accuracy": accuracy, **interval, "votes": float(outcome.votes.mean())}


def _dawid_skene(votes: Ints, people: Ints, num_categories: int) -> Outcome:
    posterior = dawid_skene_posterior(votes, people, num_categories=num_categories)
    return Outcome(posterior.argmax(axis=1), (votes >= 0).sum(axis=1))


def _dawid_skene_at(mean_votes: float, votes: Ints, people: Ints, num_categories: int, *, rng: np.random.Generator) -> Outcome:
    """Dawid–Skene on three votes each and a fourth or fifth for as many samples as the budget allows."""
    extra = rng.permutation(2 * len(votes)).reshape(len(votes), 2) < round((mean_votes - 3) * len(votes))
    kept = np.concatenate([np.ones((len(votes), 3), dtype=bool), extra], axis=1)
    return _dawid_skene(np.where(kept, votes, -1), people, num_categories)


def _different_members(count: int, world: World, crew: Crew, *, rng: np.random.Generator) -> Ints:
    everyone = crew.members.ravel()
    if count > len(everyone):
        raise ValueError(f"{count} votes per sample need {count} members, there are {len(everyone)}")
    order = np.argpartition(rng.random((len(world.truth), len(everyone))), count - 1, axis=1)[:, :count]
    return everyone[order]


def _most_frequent(votes: Ints, num_categories: int, *, rng: np.random.Generator) -> Ints:
    counts = (votes[:, :, None] == np.arange(num_categories)).sum(axis=1)
    return (counts + rng.random(counts.shape) * 0.5).argmax(axis=1)


def _stopping(belief: Floats, threshold: float) -> Ints:
    """After how many votes the belief first reaches the threshold; the last one if never."""
    reached = belief >= threshold
    return np.where(reached.any(axis=1), reached.argmax(axis=1), belief.shape[1] - 1) + 1
