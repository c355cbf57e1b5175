"""Eq. 2 and Eq. 3 against the paper's own numbers and by hand; 9 sets, 7 samples, 3 raters, 6 emotions."""

import numpy as np
import pytest

from qa.rules import consistency as rule

NUM_SETS, SET_SIZE, NUM_RATERS, NUM_CATEGORIES = 9, 7, 3, 6
EMOTIONS = ("Excitation", "Fear", "Neutral", "Relaxation", "Sadness", "Tension")
SET_LABELS = np.array([EMOTIONS.index(name) for name in rule.STAGE_SETS])
WEIGHTS = rule.set_weights(rule.STAGE_SETS)


@pytest.fixture
def stage():
    """Nine full sets and votes that repeat the label two times in three."""
    rng = np.random.default_rng(5)
    previous = np.repeat(SET_LABELS[:, None], SET_SIZE, axis=1)
    guesses = rng.integers(NUM_CATEGORIES, size=(NUM_SETS, SET_SIZE, NUM_RATERS))
    return np.where(rng.random(guesses.shape) < 0.66, previous[:, :, None], guesses), previous


def test_weights_are_the_papers_and_sum_to_the_number_of_emotions():
    assert WEIGHTS.tolist() == pytest.approx([1 / 3] * 3 + [1 / 2] * 2 + [1] * 4)
    assert WEIGHTS.sum() == pytest.approx(6)


def test_intra_group_is_one_when_all_agree_and_zero_when_none_does(stage):
    _, previous = stage
    same = np.repeat(previous[:, :, None], NUM_RATERS, axis=2)
    assert rule.intra_group(same, previous) == 1
    assert rule.intra_group((same + 1) % NUM_CATEGORIES, previous) == 0


def test_intra_group_counts_votes_not_samples():
    current = np.array([[[2, 2, 0], [1, 1, 1]]])  # 2 of 3, then 0 of 3
    assert rule.intra_group(current, np.array([[2, 2]])) == pytest.approx((2 / 3 + 0) / 2)


def test_intra_group_equals_the_mean_of_the_members_weighted_ratios(stage):
    current, previous = stage
    ratios, _ = rule.consistency_ratios(current, previous, num_categories=NUM_CATEGORIES)
    ex, fr, nu, re, sd, tn = ratios.T
    assert rule.intra_group(current, previous) == pytest.approx(np.mean((3 * nu + 2 * ex + sd + re + tn + fr) / 9))


def test_a_short_set_weighs_as_much_as_a_full_one():
    current = np.array([[[0, 0, 0], [0, 0, 0]], [[1, 1, 1], [-1, -1, -1]]])
    previous = np.array([[0, 0], [2, -1]])
    assert rule.intra_group(current, previous) == pytest.approx(0.5)


@pytest.mark.parametrize(("consistent", "undecided", "score"), [(100, 0, 70), (0, 0, 30), (0, 100, 0), (50, 20, 0.7 * 50 + 0.3 * 30)])
def test_inter_group_has_the_papers_extremes(consistent, undecided, score):
    full = np.full(9, 100)
    assert rule.inter_group(np.full(9, consistent), np.full(9, undecided), full, WEIGHTS) == pytest.approx(score)


def test_inter_group_weighs_emotions_equally_whatever_their_number_of_sets():
    consistent = np.array([100, 100, 100, 0, 0, 0, 0, 0, 0])  # Neutral only
    score = rule.inter_group(consistent, np.zeros(9), np.full(9, 100), WEIGHTS)
    assert score == pytest.approx((70 + 5 * 30) / 6)


def test_counts_are_taken_per_hundred():
    assert rule.inter_group([7], [1], [10], [1.0]) == pytest.approx(rule.inter_group([70], [10], [100], [1.0]))


def test_inter_group_refuses_more_answers_than_samples():
    with pytest.raises(ValueError, match="set 1: 60 consistent"):
        rule.inter_group(np.array([5, 60]), np.array([5, 50]), np.array([10, 100]), np.array([1.0, 1.0]))


def test_an_empty_emotion_leaves_the_scale():
    sizes = np.array([10, 0, 0, 10, 10, 10, 10, 10, 0])
    weights = rule.set_weights(rule.STAGE_SETS, sizes)
    assert weights.sum() == pytest.approx(5)
    assert rule.inter_group(sizes, np.zeros(9), sizes, weights) == pytest.approx(70)


@pytest.mark.parametrize("function", [rule.intra_group, rule.set_counts])
def test_nothing_to_compare_is_an_error(function):
    with pytest.raises(ValueError, match="every set is empty"):
        function(np.full((2, 3, 3), -1), np.full((2, 3), -1))


def test_a_missing_vote_is_named(stage):
    current, previous = stage
    current[4, 6, 2] = -1
    with pytest.raises(ValueError, match="set 4, sample 6: rater 2"):
        rule.intra_group(current, previous)


def test_shapes_that_do_not_fit_are_refused(stage):
    current, previous = stage
    with pytest.raises(ValueError, match="num_sets, set_size, num_raters"):
        rule.intra_group(current, previous[:, :-1])


def test_three_different_answers_are_undecided():
    counts = rule.set_counts(np.array([[[0, 1, 2], [3, 3, 1], [4, 4, 4]]]), np.array([[0, 3, 5]]))
    assert (counts.consistent.tolist(), counts.undecided.tolist(), counts.sizes.tolist()) == ([1], [1], [3])


def test_ratios_leave_out_missing_and_excluded_votes():
    current, previous = np.array([[[0, -1], [0, 1]]]), np.array([[0, 0]])
    ratios, counts = rule.consistency_ratios(current, previous, num_categories=2, excluded=np.array([[[True, False], [False, False]]]))
    assert counts.tolist() == [[1, 0], [1, 0]]
    assert ratios[0, 0] == 1
    assert ratios[1, 0] == 0
    assert np.isnan(ratios[:, 1]).all()


@pytest.mark.parametrize(
    ("scores", "mean", "variance", "printed"),
    [((52.55, 48.78, 54.54), 51.957, 5.706, (51.96, 5.72)), ((55.53, 54.41, 55.79), 55.243, 0.358, (55.24, 0.36))],
)
def test_mean_and_population_variance_of_table_1(scores, mean, variance, printed):
    found = rule.mean_and_variance(np.array(scores))
    assert found == pytest.approx((mean, variance), abs=5e-4)
    assert found == pytest.approx(printed, abs=0.02)  # the paper rounds from unrounded scores


def test_bootstrap_surrounds_the_scores_and_repeats_with_its_seed(stage):
    current, previous = stage
    counts = rule.set_counts(current, previous)
    draws = [rule.bootstrap_scores(current, previous, WEIGHTS, rng=np.random.default_rng(3), num_resamples=800) for _ in range(2)]
    assert all(np.array_equal(first, second) for first, second in zip(*draws, strict=True))
    for value, resampled in zip(
        (rule.intra_group(current, previous), rule.inter_group(counts.consistent, counts.undecided, counts.sizes, WEIGHTS)),
        draws[0],
        strict=True,
    ):
        low, high = rule.interval(resampled)
        assert low < value < high
        assert resampled.mean() == pytest.approx(value, rel=0.03)


def test_who_labels_whose_sets_again():
    assert rule.reviewing(3, stage="sA") == rule.reviewing(3, stage="sB") == [2, 0, 1]  # A's sets go to C, B's to A, C's to B
    assert rule.reviewing(3, stage="sA", pairing="reverse_in_sB") == [2, 0, 1]
    assert rule.reviewing(3, stage="sB", pairing="reverse_in_sB") == [1, 2, 0]
    with pytest.raises(ValueError, match="unknown pairing 'round'"):
        rule.reviewing(3, stage="sA", pairing="round")
