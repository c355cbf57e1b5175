"""Models of annotators and items against crowd-kit: who is able, what is hard; 61 samples, 5 raters, 4 emotions."""

import warnings

import numpy as np
import pytest

from qa.rules import truth


@pytest.fixture
def answered():
    """61 samples of 4 emotions by 5 raters of whom two are poor: (samples, raters, votes, truth)."""
    rng = np.random.default_rng(3)
    right = np.array([0.95, 0.9, 0.85, 0.4, 0.3])
    answers = rng.integers(4, size=61)
    samples, raters = np.repeat(np.arange(61) * 2, 5), np.tile(np.arange(5), 61) + 10
    votes = np.where(rng.random(305) < np.tile(right, 61), np.repeat(answers, 5), rng.integers(4, size=305))
    return samples, raters, votes, answers


def test_glad_is_what_crowd_kit_has(answered):
    import pandas as pd
    from crowdkit.aggregation import GLAD

    samples, raters, votes, answers = answered
    ours = truth.second_opinion(samples, raters, votes, num_categories=4, model="glad")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = GLAD(n_iter=12, m_step_max_iter=12).fit(pd.DataFrame({"task": samples, "worker": raters, "label": votes}))
    table = theirs.probas_.reindex(index=ours.samples, columns=range(4))
    assert np.abs(table.to_numpy() - ours.posterior).max() < 0.1
    assert np.corrcoef(theirs.alphas_.reindex(ours.raters), ours.abilities)[0, 1] > 0.98
    assert np.corrcoef(theirs.betas_.reindex(ours.samples), -np.log(ours.difficulty))[0, 1] > 0.95
    assert (ours.posterior.argmax(axis=1) == answers).mean() > 0.9


def test_glad_finds_the_able_and_the_hard(answered):
    samples, raters, votes, answers = answered
    found = truth.second_opinion(samples, raters, votes, num_categories=4, model="glad")
    assert found.abilities[:3].min() > found.abilities[3:].max()
    agreed = np.array([(votes[samples == sample] == answer).sum() for sample, answer in zip(np.unique(samples), answers, strict=True)])
    assert found.difficulty[agreed == 5].mean() < found.difficulty[agreed <= 2].mean()


@pytest.mark.parametrize("model", truth.MODELS)
def test_abilities_belong_to_their_people_whoever_voted_first(answered, model):
    samples, raters, votes, _ = answered
    renamed = np.array([17, 13, 11, 5, 3])[raters - 10]  # the able now come first in the votes and last by number
    found = truth.second_opinion(samples, renamed, votes, num_categories=4, model=model)
    assert found.raters.tolist() == [3, 5, 11, 13, 17]
    assert found.abilities[2:].min() > found.abilities[:2].max()
