import numpy as np
import pytest

from annotation.rules.voting import Decided, decide
from qa.rules import protocol as rule
from qa.rules import truth

EMOTIONS = ("Excitation", "Fear", "Neutral", "Relaxation", "Sadness", "Tension")


def test_the_array_ladder_decides_as_the_voting_rule_does():
    rng, settings = np.random.default_rng(3), rule.Settings(member_ability=0.4, hard_share=0.5)
    crew = rule.crew_drawn(settings, rng=rng)
    world = rule.world_drawn(4000, settings, rng=rng)
    outcome, rung, members = rule.ladder(world, crew, rng=rng)
    assert set(rung.tolist()) == {0, 1, 2, 3}
    for i in np.flatnonzero(rung == 0):
        assert decide([EMOTIONS[vote] for vote in members[i]]) == Decided(EMOTIONS[outcome.labels[i]], "member")
    for i in np.flatnonzero(rung > 0):
        assert not isinstance(decide([EMOTIONS[vote] for vote in members[i]]), Decided)
    assert (outcome.votes == rung + 3).all()


@pytest.mark.parametrize(
    ("votes", "label"), [([1, 1, 2], 1), ([1, 2, 3], -1), ([1, 2, 3, 2], 2), ([1, 2, 3, 4], -1), ([1, 2, 3, 4, 1], 1), ([1, 2, 1, 2], -1)]
)
def test_plurality(votes, label):
    assert rule.plurality(np.array([votes])).tolist() == [label]


def test_people_who_are_always_right_need_three_votes():
    settings = rule.Settings(member_ability=0.989, leader_ability=0.989, expert_ability=0.989, spread=0, hard_share=0)
    found = rule.simulate(2000, settings, rng=np.random.default_rng(0))
    assert found.rows[0]["accuracy"] > 0.99
    assert found.decided_at["member"] > 0.99
    assert found.kappa > 0.9


def test_protocols_are_compared_at_equal_votes():
    found = rule.simulate(5000, rule.Settings(), rng=np.random.default_rng(1))
    votes = {row["protocol"]: row["votes"] for row in found.rows}
    assert votes["Dawid–Skene at equal votes"] == pytest.approx(votes["ladder"], abs=1e-3)
    assert votes["adaptive stopping at equal votes"] == pytest.approx(votes["ladder"], abs=0.05)
    assert sum(found.decided_at.values()) == pytest.approx(1)
    assert found == rule.simulate(5000, rule.Settings(), rng=np.random.default_rng(1))


@pytest.mark.parametrize("wrong", [{"member_ability": 1.2}, {"num_groups": 1}, {"hard_share": 1.5}, {"confusion": 0}, {"spread": -1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must lie between|two groups|confusion above 0"):
        rule.crew_drawn(rule.Settings(**wrong), rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def votes():
    rng = np.random.default_rng(0)
    labels = rng.integers(6, size=700)
    said = np.where(rng.random((700, 3)) < 0.7, labels[:, None], rng.integers(6, size=(700, 3)))
    said[:, 2] = np.where(rng.random(700) < 0.3, rng.integers(6, size=700), said[:, 2])
    return labels, rng.integers(9, size=(700, 3)), said


def test_our_dawid_skene_is_crowd_kits(votes):
    labels, people, said = votes
    samples = np.repeat(np.arange(700), 3)
    theirs = truth.second_opinion(samples, people.ravel(), said.ravel(), num_categories=6).posterior
    ours = truth.dawid_skene_posterior(said, people, num_categories=6, num_iterations=50)
    assert (theirs.argmax(axis=1) == ours.argmax(axis=1)).mean() > 0.98
    assert np.abs(theirs - ours).mean() < 0.01
    assert (ours.argmax(axis=1) == labels).mean() > 0.8


@pytest.mark.parametrize("model", truth.MODELS)
def test_every_model_answers_each_sample_and_rater(model, votes):
    labels, people, said = votes
    chosen = said < 4  # two categories never occur: their columns must still be there
    samples = np.repeat(np.arange(700)[:, None], 3, axis=1)[chosen]
    found = truth.second_opinion(samples, people[chosen], said[chosen], num_categories=6, model=model)
    assert found.posterior.shape == (len(np.unique(samples)), 6)
    assert found.posterior.sum(axis=1) == pytest.approx(1)
    assert len(found.abilities) == 9
    assert (found.posterior.argmax(axis=1) == labels[found.samples]).mean() > 0.6


def test_no_votes_and_unknown_models_are_errors():
    empty = np.array([], dtype=int)
    with pytest.raises(ValueError, match="no vote"):
        truth.second_opinion(empty, empty, empty, num_categories=6)
    with pytest.raises(ValueError, match="unknown model"):
        truth.second_opinion(empty + 1, empty, np.array([1]), num_categories=6, model="oracle")


def test_doubtful_labels_come_most_doubtful_first():
    posterior = np.array([[0.9, 0.1], [0.4, 0.6], [0.1, 0.9], [0.6, 0.4]])
    assert truth.doubtful(np.zeros(4, dtype=int), posterior, limit=5).tolist() == [2, 1]


def test_confusions_are_those_of_the_people(votes):
    labels, people, said = votes
    samples = np.repeat(np.arange(700), 3)
    opinion = truth.Opinion(np.arange(700), np.eye(6)[labels], np.unique(people), np.zeros(9))
    raters, found = truth.confusions(opinion, samples, people.ravel(), said.ravel())
    assert found.shape == (9, 6, 6)
    assert found.sum(axis=2) == pytest.approx(1)
    flat, truly = people.ravel(), labels[samples]
    for person in raters.tolist():
        for label in range(6):
            theirs = said.ravel()[(flat == person) & (truly == label)]
            share = np.bincount(theirs, minlength=6) / len(theirs)
            assert np.abs(found[person, label] - share).max() < truth.PRIOR_VOTES / len(theirs)


def test_measured_people_take_the_seats_of_their_role_and_err_as_measured():
    rng, settings = np.random.default_rng(0), rule.Settings(hard_share=0.4, num_groups=4)
    known = np.stack([np.full((6, 6), (1 - right) / 5) + np.eye(6) * (right - (1 - right) / 5) for right in (0.5, 0.7, 0.6, 0.4)])
    crew = rule.crew_drawn(settings, rng=rng, measured={"leader": known})
    world = rule.world_drawn(120_000, settings, rng=rng)
    heard = sorted(
        float((rule.votes_drawn(np.full(120_000, leader), world, crew, rng=rng) == world.truth).mean()) for leader in crew.leaders
    )
    assert heard == pytest.approx([0.4, 0.5, 0.6, 0.7], abs=0.01), "hard clips are in what was measured already"
    same = rule.crew_drawn(settings, rng=np.random.default_rng(0))
    assert (crew.confusion[crew.members] == same.confusion[crew.members]).all()


def test_few_confusions_or_many_are_a_setting():
    errors = {}
    for confusion in (0.1, 100.0):
        crew = rule.crew_drawn(rule.Settings(confusion=confusion), rng=np.random.default_rng(2))
        shares = crew.confusion[~np.broadcast_to(np.eye(6, dtype=bool), crew.confusion.shape)].reshape(-1, 5)
        errors[confusion] = float((shares.max(axis=1) / shares.sum(axis=1)).mean())
    assert errors[0.1] > 0.7 > 0.3 > errors[100.0]
