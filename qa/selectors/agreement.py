"""Agreement between people, with themselves, and of confidence with the outcome; and where labels were decided."""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np
from django.db.models import Count
from numpy.typing import NDArray

from annotation.models import LABEL, Person, Sample, Vote
from annotation.rules.taxonomy import EMOTIONS
from qa.rules import agreement
from qa.selectors.votes import MEMBER, RUNGS, SampleFacts, VoteTable, label_data, vote_table

NUM_MEMBERS = 3
NUM_RESAMPLES = 1000
SEED = 20260504  # the same votes give the same interval


def agreement_numbers() -> dict[str, Any]:
    """Everything about agreement in the label round, JSON-ready, from one pass over its votes.

    Coefficients are over the three members' votes; a coefficient that is undefined has a `why` in place of its value.
    A slice's row is Fleiss' κ with its interval, and under `others` the other coefficients by name.
    """
    votes, facts = label_data()
    members = votes.where(votes.rung == MEMBER)
    samples, ratings = members.matrix()
    place = facts.place(samples)
    overall = agreement.patterns(ratings, num_categories=len(EMOTIONS))
    return {
        "num_samples": len(samples),
        "num_votes": len(votes),
        "overall": _coefficients(overall),
        "by_emotion": [{"emotion": name} | _slice(overall.against(code)) for code, name in enumerate(EMOTIONS)],
        "by_group": _sliced("group", facts.group[place], ratings),
        "by_platform": _sliced("platform", facts.platform[place], ratings),
        "by_month": _sliced("month", facts.month[place], ratings),
        "pairs": _pairs(members),
        "confidence": _confidence(votes, facts),
        "intra_annotator": intra_annotator(),
        "ladder": ladder_counts(),
    }


def _coefficients(table: agreement.Patterns) -> dict[str, Any]:
    rng = np.random.default_rng(SEED)
    found = {}
    for name, coefficient in agreement.COEFFICIENTS.items():
        chosen = table.complete(NUM_MEMBERS) if name == "fleiss_kappa" else table
        found[name] = asdict(agreement.estimate(coefficient, chosen, rng=rng, num_resamples=NUM_RESAMPLES))
    return found


def _slice(table: agreement.Patterns) -> dict[str, Any]:
    others = _coefficients(table)
    return others.pop("fleiss_kappa") | {"others": others}


def _sliced(name: str, values: NDArray[np.str_], ratings: NDArray[np.int8]) -> list[dict[str, Any]]:
    rows = []
    for value in sorted(set(values.tolist()) - {""}):
        table = agreement.patterns(ratings[values == value], num_categories=len(EMOTIONS))
        rows.append({name: value} | _slice(table))
    return rows


def _pairs(members: VoteTable) -> list[dict[str, Any]]:
    """Cohen's κ of every two people who share samples."""
    _, people, ratings = members.by_person()
    names = {person.pk: str(person) for person in Person.objects.filter(pk__in=people.tolist())}
    rows = []
    for first, second in combinations(range(len(people)), 2):
        shared = int(((ratings[:, first] >= 0) & (ratings[:, second] >= 0)).sum())
        if not shared:
            continue
        row: dict[str, Any] = {
            "first": names[int(people[first])],
            "second": names[int(people[second])],
            "num_samples": shared,
            "people": [int(people[first]), int(people[second])],
        }
        try:
            row |= {
                "value": agreement.cohen_kappa(ratings[:, first].astype(int), ratings[:, second].astype(int), num_categories=len(EMOTIONS))
            }
        except ValueError as error:
            row |= {"value": None, "why": str(error)}
        rows.append(row)
    return rows


def _confidence(votes: VoteTable, facts: SampleFacts) -> dict[str, Any]:
    """Calibration of members' stated confidence against the label that was decided."""
    labels = facts.label[facts.place(votes.sample)]
    chosen = (votes.rung == MEMBER) & (labels >= 0)
    try:
        found = agreement.calibration(votes.confidence[chosen], votes.emotion[chosen] == labels[chosen])
    except ValueError as error:
        return {"mean": None, "why": str(error)}
    bins = [
        {
            "from": round(float(low), 6),
            "to": round(float(high), 6),
            "votes": int(count),
            "confidence": _number(mean),
            "agreed": _number(share),
        }
        for low, high, count, mean, share in zip(
            found.edges[:-1], found.edges[1:], found.votes, found.confidence, found.agreed, strict=True
        )
    ]
    return {"mean": found.mean_confidence, "expected_error": found.expected_error, "bins": bins}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def intra_annotator() -> list[dict[str, Any]]:
    """Per person who was shown own samples again: how many, the share answered alike, and Cohen's κ between the two times."""
    again = vote_table(Vote.objects.filter(round__startswith="repeat", undone_at__isnull=True))
    if not len(again):
        return []
    first = vote_table(Vote.objects.filter(round=LABEL, undone_at__isnull=True, person__in=np.unique(again.person).tolist()))
    before = dict(zip(zip(first.person.tolist(), first.sample.tolist(), strict=True), first.emotion.tolist(), strict=True))
    answers: dict[int, list[tuple[int, int]]] = {}
    for person, sample, emotion in zip(again.person.tolist(), again.sample.tolist(), again.emotion.tolist(), strict=True):
        if (person, sample) in before:
            answers.setdefault(person, []).append((before[person, sample], emotion))
    names = {person.pk: str(person) for person in Person.objects.filter(pk__in=answers)}
    rows = []
    for pk, pairs in sorted(answers.items()):
        earlier, later = np.array(pairs).T
        row: dict[str, Any] = {"person": names[pk], "num_samples": len(pairs), "same": float((earlier == later).mean())}
        try:
            row["kappa"] = agreement.cohen_kappa(earlier, later, num_categories=len(EMOTIONS))
        except ValueError as error:
            row |= {"kappa": None, "why": str(error)}
        rows.append(row)
    return rows


def ladder_counts() -> list[dict[str, Any]]:
    """Per rung and emotion: how many labels were decided there."""
    decided = Sample.objects.filter(state=Sample.State.DECIDED).order_by().values_list("decided_rung", "label").annotate(Count("pk"))
    counts = {(rung, label): count for rung, label, count in decided}
    return [{"rung": rung, "emotion": emotion, "videos": counts.get((rung, emotion), 0)} for rung in RUNGS for emotion in EMOTIONS]
