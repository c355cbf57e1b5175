"""Each coefficient against an independent library or a published example, at sizes that all differ."""

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_kappa

from qa.rules import agreement as rule

NUM_SAMPLES, NUM_RATERS, NUM_CATEGORIES = 7, 3, 6
_ = -1
#: Gwet, Handbook of Inter-Rater Reliability: 12 subjects, 4 raters, 5 categories, with missing ratings.
GWET = np.array(
    [[1, 1, 0, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4], [4, 4, 4, 4], [1, 1, 2, 1], [2, 2, 2, 2],
     [0, 5, 5, 5], [0, 0, 1, 1], [0, 0, 3, 0]]
) - 1  # fmt: skip


@pytest.fixture
def ratings():
    rng = np.random.default_rng(11)
    truth = rng.integers(NUM_CATEGORIES, size=(NUM_SAMPLES, 1))
    return np.where(rng.random((NUM_SAMPLES, NUM_RATERS)) < 0.6, truth, rng.integers(NUM_CATEGORIES, size=(NUM_SAMPLES, NUM_RATERS)))


def table(ratings, num_categories=NUM_CATEGORIES):
    return rule.patterns(ratings, num_categories=num_categories)


def test_fleiss_equals_statsmodels(ratings):
    counts, _categories = aggregate_raters(ratings, n_cat=NUM_CATEGORIES)
    assert rule.fleiss_kappa(table(ratings)) == pytest.approx(statsmodels_kappa(counts))


def test_krippendorff_equals_the_reference_implementation_with_missing_votes():
    reference = krippendorff.alpha(np.where(GWET.T < 0, np.nan, GWET.T), level_of_measurement="nominal")
    assert rule.krippendorff_alpha(table(GWET, 5)) == pytest.approx(reference)


def test_gwets_own_example():
    assert rule.gwet_ac1(table(GWET, 5)) == pytest.approx(0.77544, abs=1e-5)
    assert rule.percent_agreement(table(GWET, 5)) == pytest.approx(0.81818, abs=1e-5)


def test_perfect_agreement_is_exactly_one():
    ratings = np.repeat(np.arange(5)[:, None], NUM_RATERS, axis=1)
    assert {name: coefficient(table(ratings)) for name, coefficient in rule.COEFFICIENTS.items()} == dict.fromkeys(rule.COEFFICIENTS, 1.0)


@pytest.mark.parametrize("coefficient", [rule.fleiss_kappa, rule.krippendorff_alpha])
def test_one_category_only_is_an_error_that_says_so(coefficient):
    with pytest.raises(ValueError, match="one category"):
        coefficient(table(np.full((4, 3), 2)))


def test_an_estimate_says_why_it_is_undefined():
    found = rule.estimate(rule.fleiss_kappa, table(np.full((4, 3), 2)), rng=np.random.default_rng(0))
    assert found.value is None
    assert "one category" in found.why


def test_fleiss_refuses_unequal_numbers_of_votes():
    with pytest.raises(ValueError, match="different numbers of votes"):
        rule.fleiss_kappa(table(GWET, 5))
    complete = table(GWET, 5).complete(4)
    assert complete.num_samples == 8


def test_no_pair_of_votes_is_an_error():
    with pytest.raises(ValueError, match="no sample"):
        rule.krippendorff_alpha(table(np.array([[0, -1], [-1, 3]])))


def test_codes_outside_the_categories_are_refused():
    with pytest.raises(ValueError, match="ratings must be"):
        table(np.array([[0, 6]]))


def test_per_emotion_kappa_equals_the_two_category_kappa_of_statsmodels(ratings):
    counts, _categories = aggregate_raters((ratings == 2).astype(int), n_cat=2)
    assert rule.fleiss_kappa(table(ratings).against(2)) == pytest.approx(statsmodels_kappa(counts))


def test_cohen_equals_scikit_learn_on_the_common_samples():
    rng = np.random.default_rng(2)
    first, second = rng.integers(5, size=41), rng.integers(5, size=41)
    first[:6], second[4:9] = -1, -1
    both = (first >= 0) & (second >= 0)
    assert rule.cohen_kappa(first, second, num_categories=5) == pytest.approx(cohen_kappa_score(first[both], second[both]))


def test_cohen_without_common_samples_is_an_error():
    with pytest.raises(ValueError, match="no sample in common"):
        rule.cohen_kappa(np.array([1, -1]), np.array([-1, 1]), num_categories=3)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(8)
    confusion, covered = 0.7, 0
    big = np.random.default_rng(1).integers(4, size=(200_000, 1))
    noise = np.random.default_rng(2)
    everyone = np.where(noise.random((200_000, 3)) < confusion, big, noise.integers(4, size=(200_000, 3)))
    truth = rule.fleiss_kappa(table(everyone, 4))
    for i in range(60):
        found = rule.estimate(rule.fleiss_kappa, table(everyone[i * 300 : i * 300 + 300], 4), rng=rng, num_resamples=300)
        covered += found.low <= truth <= found.high
    assert covered >= 52  # 57 expected


@given(hnp.arrays(np.int64, st.tuples(st.integers(2, 30), st.integers(2, 5)), elements=st.integers(-1, 4)))
@settings(max_examples=60, deadline=None)
def test_patterns_hold_every_vote(ratings):
    found = rule.patterns(ratings, num_categories=5)
    assert (found.counts * found.samples[:, None]).sum() == (ratings >= 0).sum()
    assert found.num_samples == (ratings >= 0).any(axis=1).sum()
    assert len(np.unique(found.counts, axis=0)) == len(found.counts)


def test_many_categories_count_the_same_as_few():
    ratings = np.random.default_rng(0).integers(4, size=(50, 3))
    narrow, wide = table(ratings, 4), table(ratings, 62)
    assert rule.fleiss_kappa(narrow) == pytest.approx(rule.fleiss_kappa(wide))


def test_calibration_by_hand():
    found = rule.calibration(np.array([0.9, 0.9, 0.5, np.nan]), np.array([True, False, True, True]), num_bins=5)
    assert found.votes.tolist() == [0, 0, 1, 0, 2]
    assert found.agreed[4] == 0.5
    assert found.mean_confidence == pytest.approx(2.3 / 3)
    assert found.expected_error == pytest.approx((0.5 * 1 + 0.4 * 2) / 3)


def test_calibration_without_confidence_is_an_error():
    with pytest.raises(ValueError, match="no vote carries"):
        rule.calibration(np.array([np.nan]), np.array([True]))
