"""What models of annotators and items make of the votes: abilities, difficulties, labels worth a second look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.models import Person, Sample
from annotation.rules.taxonomy import EMOTIONS
from qa.rules import truth
from qa.selectors.votes import SampleFacts, VoteTable, label_data, label_votes, vote_table

LEAST_VOTES = 30  # of a person whose confusion is to be measured


def second_opinion_numbers(*, model: str = "dawid_skene", limit: int = 50) -> dict[str, Any]:
    """One model's ability of each person, and the decided labels it believes least; with GLAD how hard each of these is."""
    votes, facts = label_data()
    if not len(votes):
        return {"model": model, "people": [], "labels": []}
    opinion = _fitted(votes, model)
    names, cast = _people(votes)
    people = [
        {"person": names[pk], "votes": cast[pk], "ability": ability}
        for pk, ability in zip(opinion.raters.tolist(), opinion.abilities.tolist(), strict=True)
    ]
    return {"model": model, "people": people, "labels": _doubtful(opinion, facts, limit)}


def second_look(*, model: str = "dawid_skene", limit: int = 50) -> list[dict[str, Any]]:
    """Decided labels that the model believes least, with what it believes instead; most doubtful first."""
    return second_opinion_numbers(model=model, limit=limit)["labels"]


@dataclass(frozen=True)
class Opinions:
    """The three models' fits to the same votes, by name; none without votes."""

    votes: VoteTable
    facts: SampleFacts
    fits: dict[str, truth.Opinion]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The label of every sample that the models answer, −1 while it is open."""
        return self.facts.label[self.facts.place(self.fits["glad"].samples)].astype(int)

    @property
    def difficulty(self) -> NDArray[np.float64]:
        found = self.fits["glad"].difficulty
        return np.zeros(len(self.fits["glad"].samples)) if found is None else found


def opinions_fitted() -> Opinions:
    votes, facts = label_data()
    return Opinions(votes, facts, {model: _fitted(votes, model) for model in truth.MODELS} if len(votes) else {})


def opinions_numbers(found: Opinions, *, limit: int = 50) -> dict[str, Any]:
    """All three models side by side: ability of each person, labels that any of them doubts, the hardest clips by GLAD.

    A label is listed by the mean of the three beliefs in it, least believed first.
    """
    if not found.fits:
        return {"people": [], "labels": [], "hardest": []}
    labels, hard, samples = found.labels, found.difficulty, found.fits["glad"].samples
    posteriors = [opinion.posterior for opinion in found.fits.values()]
    beliefs = np.stack([posterior[np.arange(len(samples)), labels] for posterior in posteriors])
    decided = np.flatnonzero(labels >= 0)
    doubted = decided[(beliefs[:, decided] < 0.5).any(axis=0)]

    def row(i: int) -> dict[str, Any]:
        instead = int(posteriors[int(beliefs[:, i].argmin())][i].argmax())  # what the model says that doubts the label most
        by_model = {model: round(float(beliefs[k, i]), 4) for k, model in enumerate(found.fits)}
        named = {"sample": int(samples[i]), "label": EMOTIONS[labels[i]], "instead": EMOTIONS[instead]}
        return named | by_model | {"difficulty": round(float(hard[i]), 4)}

    return {
        "people": _abilities(found, ""),
        "labels": with_videos([row(i) for i in doubted[np.argsort(beliefs.mean(axis=0)[doubted], kind="stable")][:limit].tolist()]),
        "num_doubted": len(doubted),
        "hardest": with_videos([row(i) for i in decided[np.argsort(-hard[decided], kind="stable")][:limit].tolist()]),
    }


def opinions_whole(found: Opinions) -> dict[str, list[dict[str, Any]]]:
    """What each model says of everybody and of every sample: people (ability), samples (posterior of each emotion, difficulty by GLAD)."""
    if not found.fits:
        return {"people": [], "samples": []}
    numbers = dict(Sample.objects.values_list("pk", "video__number"))
    beliefs = np.concatenate([opinion.posterior for opinion in found.fits.values()], axis=1).round(6).tolist()
    columns = [f"{model}_{emotion}" for model in found.fits for emotion in EMOTIONS]
    samples = [
        {"sample": pk, "video": numbers.get(pk), "label": EMOTIONS[label] if label >= 0 else None, "difficulty_glad": difficulty}
        | dict(zip(columns, row, strict=True))
        for pk, label, difficulty, row in zip(
            found.fits["glad"].samples.tolist(), found.labels.tolist(), found.difficulty.tolist(), beliefs, strict=True
        )
    ]
    return {"people": _abilities(found, "ability_"), "samples": samples}


def _abilities(found: Opinions, prefix: str) -> list[dict[str, Any]]:
    names, cast = _people(found.votes)
    return [
        {"person": names[pk], "votes": cast[pk]}
        | {f"{prefix}{model}": float(opinion.abilities[i]) for model, opinion in found.fits.items()}
        for i, pk in enumerate(found.fits["glad"].raters.tolist())
    ]


def measured_people() -> dict[str, NDArray[np.float64]]:
    """Role (member, leader, expert) → what its people say of each true emotion by Dawid–Skene, (num_people, true, said).

    Who cast few votes is left out. Leaders and experts are measured on what came to them: the clips that members disagree about.
    """
    votes = vote_table(label_votes())
    if not len(votes):
        return {}
    role = dict(Person.objects.values_list("pk", "role"))
    raters, cast = np.unique(votes.person, return_counts=True)
    votes = votes.where(np.isin(votes.person, raters[cast >= LEAST_VOTES]))
    if not len(votes):
        return {}
    opinion, found = _fitted(votes, "dawid_skene"), {}
    for name, wanted in (("member", Person.Role.ANNOTATOR), ("leader", Person.Role.LEADER), ("expert", Person.Role.EXPERT)):
        theirs = votes.where(np.array([role[pk] == wanted for pk in votes.person.tolist()]))
        if len(theirs):
            found[name] = truth.confusions(opinion, theirs.sample, theirs.person, theirs.emotion)[1]
    return found


def difficulties(votes: VoteTable) -> dict[int, float]:
    """Sample id → how hard GLAD finds it from these votes, 1/β; empty without votes."""
    if not len(votes):
        return {}
    opinion = _fitted(votes, "glad")
    hard = np.array([]) if opinion.difficulty is None else opinion.difficulty
    return dict(zip(opinion.samples.tolist(), hard.round(3).tolist(), strict=True))


def _fitted(votes: VoteTable, model: str) -> truth.Opinion:
    return truth.second_opinion(votes.sample, votes.person, votes.emotion, num_categories=len(EMOTIONS), model=model)


def _people(votes: VoteTable) -> tuple[dict[int, str], dict[int, int]]:
    """Names, and how many votes each cast."""
    people, counts = np.unique(votes.person, return_counts=True)
    names = {person.pk: str(person) for person in Person.objects.filter(pk__in=people.tolist())}
    return names, dict(zip(people.tolist(), counts.tolist(), strict=True))


def _doubtful(opinion: truth.Opinion, facts: SampleFacts, limit: int) -> list[dict[str, Any]]:
    labels = facts.label[facts.place(opinion.samples)].astype(int)
    decided = np.flatnonzero(labels >= 0)
    rows = []
    for place in truth.doubtful(labels[decided], opinion.posterior[decided], limit=limit).tolist():
        i = int(decided[place])
        instead = int(opinion.posterior[i].argmax())
        row = {
            "sample": int(opinion.samples[i]),
            "label": EMOTIONS[labels[i]],
            "belief": float(opinion.posterior[i, labels[i]]),
            "instead": EMOTIONS[instead],
            "instead_belief": float(opinion.posterior[i, instead]),
        }
        rows.append(row | ({} if opinion.difficulty is None else {"difficulty": float(opinion.difficulty[i])}))
    return with_videos(rows)


def with_videos(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the video's number, its group and the rung that decided it."""
    found = Sample.objects.filter(pk__in=[row["sample"] for row in rows]).values_list(
        "pk", "video__number", "group__letter", "decided_rung"
    )
    facts = {pk: rest for pk, *rest in found}
    return [row | dict(zip(("number", "group", "rung"), facts[row["sample"]], strict=True)) for row in rows]
