"""The rules against the paper's own numbers and tables of cases."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.models import Emotion, Rung
from annotation.rules import sentiment, staffing, taxonomy
from annotation.rules.qualification import must_pause, score
from annotation.rules.staffing import Candidate, allocation_score, groups_balance
from annotation.rules.voting import LADDER, Ask, Decided, decide

E, F, N, R, S, T = taxonomy.EMOTIONS


# --- the table ---------------------------------------------------------------------------------------------------


def test_there_are_62_adjectives_in_six_emotions_and_two_languages() -> None:
    table = taxonomy.ADJECTIVES
    assert len(table) == 62
    assert len({a.key for a in table}) == len({a.en for a in table}) == len({a.zh_hans for a in table}) == 62
    assert Counter(a.emotion for a in table) == {E: 16, F: 9, N: 9, R: 10, S: 9, T: 9}
    assert Counter(a.source for a in table) == {"S": 11, "M": 19, "O": 32}
    assert all(re.fullmatch("[一-鿿]+", a.zh_hans) for a in table)


def test_the_emotions_are_those_of_the_database_in_the_order_of_the_class_ids() -> None:
    assert list(taxonomy.EMOTIONS) == Emotion.values
    assert list(LADDER) == Rung.values
    assert [taxonomy.POLARITY[emotion] for emotion in taxonomy.EMOTIONS] == [1, -1, 0, 1, -1, -1]


@pytest.mark.parametrize(("text", "emotion"), [("Sad", S), ("sadness", S), (" FEAR ", F), ("Excitation", E)])
def test_an_emotion_is_read_as_files_write_it(text: str, emotion: str) -> None:
    assert taxonomy.parse_emotion(text) == emotion


@pytest.mark.parametrize("text", ["", "Anger", "Sadnes", "0"])
def test_what_is_no_emotion_is_refused_with_the_six(text: str) -> None:
    with pytest.raises(ValueError, match="Excitation, Fear, Neutral, Relaxation, Sadness, Tension"):
        taxonomy.parse_emotion(text)


def test_an_adjective_belongs_to_a_version_of_the_table() -> None:
    assert taxonomy.adjective("Horrifying").emotion == F
    with pytest.raises(ValueError, match="no adjective table 2"):
        taxonomy.adjective("happy", version=2)
    with pytest.raises(ValueError, match="not among the 62"):
        taxonomy.adjective("blue")


def test_the_sentiment_test_has_four_scenes_per_emotion() -> None:
    assert Counter(scene.emotion for scene in sentiment.SCENES) == dict.fromkeys(taxonomy.EMOTIONS, 4)
    assert len(sentiment.BY_KEY) == 24


# --- the ladder --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("votes", "verdict"),
    [
        ([], Ask("member")),
        ([F], Ask("member")),
        ([F, F], Ask("member")),
        ([F, F, F], Decided(F, "member")),
        ([F, F, N], Decided(F, "member")),
        ([N, F, N], Decided(N, "member")),
        ([F, N, T], Ask("leader")),
        ([F, N, T, N], Decided(N, "leader")),
        ([F, N, T, S], Ask("exchange")),
        ([F, N, T, S, S], Decided(S, "exchange")),
        ([F, N, T, S, E], Ask("expert")),
        ([F, N, T, S, E, R], Decided(R, "expert")),
        ([F, N, T, S, E, F], Decided(F, "expert")),
        ([F, N, T, None], Ask("exchange")),
        ([F, N, T, None, None], Ask("expert")),
        ([F, N, T, None, T], Decided(T, "exchange")),
        ([F, N, T, None, None, E], Decided(E, "expert")),
        ([F, F, N, T, S, E], Decided(F, "member")),
    ],
)
def test_the_ladder(votes: list[str | None], verdict: Decided | Ask) -> None:
    assert decide(votes) == verdict


@pytest.mark.parametrize("votes", [[F, None, N], [F, N, T, S, E, None], [F, N, T, S, E, R, F]])
def test_votes_that_cannot_be_are_refused(votes: list[str | None]) -> None:
    with pytest.raises(ValueError, match="vote"):
        decide(votes)


def test_every_way_of_voting_ends_with_a_label_that_someone_gave() -> None:
    for votes in itertools.product(taxonomy.EMOTIONS, repeat=6):
        rungs = [decide(votes[:length]) for length in range(7)]
        decided = [(length, verdict) for length, verdict in enumerate(rungs) if isinstance(verdict, Decided)]
        first, verdict = decided[0]
        assert verdict.emotion in votes[:first]
        assert all(later == verdict for _, later in decided)  # later votes never change it
        asked = [verdict.rung for verdict in rungs[:first]]
        assert asked == ["member"] * 3 + list(LADDER[1 : first - 2])


# --- Eq. 1 and the groups ----------------------------------------------------------------------------------------


def test_the_coefficients_of_eq_1() -> None:
    assert allocation_score(100, 0, 0, 0, 0) == pytest.approx(40)
    assert allocation_score(0, 100, 0, 0, 0) == pytest.approx(30)
    for place in (2, 3, 4):
        assert allocation_score(*[100 if place == at else 0 for at in range(5)]) == pytest.approx(10)
    assert allocation_score(90, 80, 70, 60, 50) == pytest.approx(0.4 * 90 + 0.3 * 80 + 0.1 * (70 + 60 + 50))


@pytest.mark.parametrize("wrong", [-1, 100.5, float("nan")])
def test_a_factor_outside_the_scale_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        allocation_score(50, 50, wrong, 50, 50)


def crowd(seed: int, *, men: int, women: int, leaders: int) -> list[Candidate]:
    rng = np.random.default_rng(seed)
    people = [Candidate(f"m{n}", "M", rng.uniform(40, 95), leadership=rng.uniform(0, 100)) for n in range(men)]
    people += [Candidate(f"f{n}", "F", rng.uniform(40, 95), leadership=rng.uniform(0, 100)) for n in range(women)]
    return people + [Candidate(f"l{n}", "F", rng.uniform(40, 95), leads=True) for n in range(leaders)]


def brute_force(people: list[Candidate], num_groups: int) -> float:
    """The least spread over every split, written without any of the solver's code."""
    men, women, leaders = ([p.p for p in people if p.key[0] == letter] for letter in "mfl")
    best = float("inf")
    for order in itertools.permutations(men):
        for women_order in itertools.permutations(women):
            for leaders_order in itertools.permutations(leaders):
                means = [(order[2 * g] + order[2 * g + 1] + women_order[g] + leaders_order[g]) / 4 for g in range(num_groups)]
                best = min(best, max(means) - min(means))
    return best


@pytest.mark.parametrize("seed", range(5))
def test_two_groups_are_as_even_as_any_split_can_be(seed: int) -> None:
    people = crowd(seed, men=4, women=2, leaders=2)
    found = groups_balance(people, num_groups=2)
    assert found.spread == pytest.approx(brute_force(people, 2))
    assert found.is_optimal


@pytest.mark.parametrize("seed", range(3))
def test_the_integer_solver_agrees_with_looking_at_every_split(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    people = crowd(seed, men=6, women=3, leaders=3)
    every = groups_balance(people, num_groups=3)
    monkeypatch.setattr(staffing, "EXHAUSTIVE_UP_TO", 0)
    solved = groups_balance(people, num_groups=3)
    assert solved.spread == pytest.approx(every.spread, abs=1e-6)
    assert solved.is_optimal


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(0, 3), st.integers(0, 3))
def test_every_group_has_two_men_one_woman_and_a_leader(seed: int, num_groups: int, more_men: int, missing_leaders: int) -> None:
    lacking = min(missing_leaders, num_groups)
    people = crowd(seed, men=2 * num_groups + more_men + lacking, women=num_groups, leaders=num_groups - lacking)
    found = groups_balance(people, num_groups=num_groups)
    placed = [person.key for staff in found.groups for person in (*staff.members, staff.leader)]
    assert len(placed) == len(set(placed)) == 4 * num_groups
    assert {*placed, *(person.key for person in found.reserve)} == {person.key for person in people}
    for staff in found.groups:
        assert sorted(person.gender for person in staff.members) == ["F", "M", "M"]
        assert not any(person.leads for person in staff.members)
    assert found.spread >= found.best_possible - 1e-9


def test_too_few_people_are_named() -> None:
    with pytest.raises(ValueError, match="1 more leaders, 2 more men"):
        groups_balance(crowd(0, men=4, women=3, leaders=2), num_groups=3)


# --- qualification -----------------------------------------------------------------------------------------------


def test_ninety_percent_passes_and_less_does_not() -> None:
    keys = [[F]] * 20
    assert score([F] * 18 + [N] * 2, keys).passed
    assert score([F] * 18 + [N] * 2, keys).score == 90
    assert not score([F] * 17 + [N] * 3, keys).passed
    assert score([N], [[F, N]]).score == 100


def test_hints_name_at_most_three_confusions_each_seen_three_times() -> None:
    accepted = [[F]] * 4 + [[S]] * 3 + [[R]] * 3 + [[T]] * 3 + [[N]] * 2
    answers = [T] * 4 + [N] * 3 + [E] * 3 + [F] * 3 + [R] * 2
    result = score(answers, accepted)
    assert result.hints == ((F, T), (R, E), (S, N))
    assert result.score == 0
    assert score([R, R], [[N], [N]]).hints == ()


def test_answers_and_items_must_match() -> None:
    for answers, keys in [([F], [[F], [N]]), ([], [])]:
        with pytest.raises(ValueError, match="items"):
            score(answers, keys)


@pytest.mark.parametrize(("right", "seen", "pause"), [(0, 9, False), (5, 10, True), (6, 10, False), (0, 10, True), (12, 21, True)])
def test_a_pause_needs_enough_gold_items_and_too_few_right(right: int, seen: int, pause: bool) -> None:
    assert must_pause(right, seen, least_seen=10, pause_below=60) is pause
