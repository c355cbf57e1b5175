import numpy as np
import pytest
from statsmodels.stats.weightstats import DescrStatsW

from qa.rules import mos as rule


@pytest.mark.parametrize(("population", "size"), [(1_000_000_000, 385), (27_996, 379), (1_101, 285), (1, 1)])
def test_sample_sizes_of_the_textbook_table(population, size):
    assert rule.sample_size(population) == size  # Krejcie & Morgan's table at 5 % margin, 95 % confidence


def test_a_wider_margin_needs_fewer_samples():
    assert rule.sample_size(27_996, margin=0.1) < rule.sample_size(27_996, margin=0.05)


@pytest.mark.parametrize("wrong", [{"margin": 0}, {"confidence": 1}, {"proportion": 1.2}])
def test_numbers_outside_their_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        rule.sample_size(100, **wrong)


def test_shares_are_even_as_far_as_sizes_allow():
    assert rule.shared_out({"a": 3, "b": 100, "c": 100}, 43) == {"a": 3, "b": 20, "c": 20}
    assert sum(rule.shared_out({"a": 3, "b": 4}, 99).values()) == 7


def test_the_score_is_the_mean_of_sample_means_with_a_t_interval():
    ratings = np.array([[5, 4, 4, 5], [3, 3, np.nan, 2], [4, 5, 4, 4], [2, 1, 2, 3], [4, 4, 3, 4]])
    means = np.nanmean(ratings, axis=1)
    low, high = DescrStatsW(means).tconfint_mean(alpha=0.05)
    found = rule.opinion_score(ratings)
    assert (found.mean, found.low, found.high) == pytest.approx((means.mean(), low, high))
    assert (found.num_samples, found.num_ratings) == (5, 19)


def test_one_sample_has_no_interval():
    assert rule.opinion_score(np.array([[4.0, 5.0]])).low is None


def test_a_rating_outside_the_scale_is_refused():
    with pytest.raises(ValueError, match=r"1\.\.5"):
        rule.opinion_score(np.array([[6.0]]))


def test_no_rating_is_an_error():
    with pytest.raises(ValueError, match="no rating yet"):
        rule.opinion_score(np.full((3, 2), np.nan))


def test_bias_is_the_distance_to_the_others():
    ratings = np.array([[5, 3, 3], [4, 2, 2], [np.nan, 3, 3]], dtype=float)
    assert rule.rater_bias(ratings) == pytest.approx([2.0, -2 / 3, -2 / 3])
    assert np.isnan(rule.rater_bias(np.array([[4, np.nan]]))).all()
