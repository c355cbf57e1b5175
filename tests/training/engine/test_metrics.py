"""The scores against scikit-learn's, and the paper's own arithmetic."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from training.engine import metrics

NUM, CLASSES = 97, 6


def draws(seed=0):
    rng = np.random.default_rng(seed)
    target = rng.choice(CLASSES, NUM, p=[0.4, 0.05, 0.25, 0.1, 0.1, 0.1])
    probabilities = rng.dirichlet(np.ones(CLASSES), NUM) + np.eye(CLASSES)[target] * rng.random((NUM, 1))
    return target, probabilities / probabilities.sum(1, keepdims=True)


@pytest.mark.parametrize("seed", range(4))
def test_scores_equal_scikit_learns(seed):
    target, probabilities = draws(seed)
    predicted = probabilities.argmax(1)
    matrix = metrics.confusion(target, predicted, CLASSES)
    np.testing.assert_array_equal(matrix, sklearn_metrics.confusion_matrix(target, predicted, labels=range(CLASSES)))
    assert metrics.accuracy(matrix) == pytest.approx(sklearn_metrics.accuracy_score(target, predicted))
    assert metrics.weighted_f1(matrix) == pytest.approx(sklearn_metrics.f1_score(target, predicted, average="weighted"))
    assert metrics.unweighted_recall(matrix) == pytest.approx(sklearn_metrics.balanced_accuracy_score(target, predicted))


def test_a_class_never_predicted_counts_zero_and_one_never_seen_counts_not():
    matrix = metrics.confusion(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 2]), 4)
    assert metrics.unweighted_recall(matrix) == 0.5
    assert np.isnan(metrics.recalls(matrix)[2:]).all()
    assert metrics.weighted_f1(matrix) == pytest.approx(0.4)


def test_the_papers_uar_is_the_mean_of_its_recalls():
    support = np.array([2348, 191, 1759, 443, 418, 441])  # the test part of the whole data set, 5,600 clips
    right = np.array([1800, 95, 1200, 250, 230, 200])
    matrix = np.diag(right)
    matrix[:, 0] += support - right
    assert support.sum() == 5600
    assert metrics.unweighted_recall(matrix) == pytest.approx(np.mean([1, *(right / support)[1:]]))


def test_calibration_error_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.45, 0.55], [0.4, 0.6]])
    # Two bins are used: confidence 0.95 and half right; 0.55 wrong, 0.6 right are a bin each of 15.
    expected = (2 * abs(0.95 - 0.5) + abs(0.55 - 0) + abs(0.6 - 1)) / 4
    assert metrics.calibration_error(probabilities, np.array([0, 1, 0, 1])) == pytest.approx(expected)


def test_bootstrap_intervals_hold_the_score_and_shrink_with_more_samples():
    target, probabilities = draws()
    predicted = probabilities.argmax(1)
    few = metrics.bootstrap(target, predicted, CLASSES, np.random.default_rng(0), draws=400)
    many = metrics.bootstrap(np.tile(target, 9), np.tile(predicted, 9), CLASSES, np.random.default_rng(0), draws=400)
    low, high = few["acc"]
    assert low < (target == predicted).mean() < high
    assert (many["acc"][1] - many["acc"][0]) == pytest.approx((high - low) / 3, rel=0.25)


def test_summary_names_the_classes():
    target, probabilities = draws()
    result = metrics.summary(probabilities, target, list("abcdef"))
    assert sum(result["per_class_count"].values()) == result["num_samples"] == NUM
    assert result["majority_acc"] == max(result["per_class_count"].values()) / NUM
