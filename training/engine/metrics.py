"""ACC, WA-F1, UAR and what goes with them, from plain arrays (Sec. V-A).

confusion_KK[y, p] counts samples of class y predicted as p. A class without samples takes no part in UAR.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def confusion(target: Ints, predicted: Ints, num_classes: int) -> Ints:
    """Counts, shape (K, K): rows are labels, columns predictions."""
    cells = np.bincount(np.asarray(target) * num_classes + np.asarray(predicted), minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def recalls(confusion_KK: Ints) -> Floats:
    """Recall of each class, NaN where it has no sample: the paper's "ACC of each category"."""
    support = confusion_KK.sum(1)
    return np.where(support > 0, np.diag(confusion_KK) / np.maximum(support, 1), np.nan)


def accuracy(confusion_KK: Ints) -> float:
    return float(np.trace(confusion_KK) / confusion_KK.sum())


def weighted_f1(confusion_KK: Ints) -> float:
    """F1 of each class, averaged by its number of samples; 0 for a class never right."""
    support, predicted = confusion_KK.sum(1), confusion_KK.sum(0)
    f1 = 2 * np.diag(confusion_KK) / np.maximum(support + predicted, 1)
    return float((f1 * support).sum() / support.sum())


def unweighted_recall(confusion_KK: Ints) -> float:
    return float(np.nanmean(recalls(confusion_KK)))


def calibration_error(probabilities: Floats, target: Ints, *, bins: int = 15) -> float:
    """Expected calibration error: how far confidence is from accuracy, over equal bins of confidence."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == target
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(confidence[place == b].mean() - right[place == b].mean()) * (place == b).sum() for b in np.unique(place)]
    return float(sum(gaps) / len(target))


def summary(probabilities: Floats, target: Ints, classes: Sequence[str]) -> dict[str, Any]:
    """Everything result.json says of one opinion."""
    matrix = confusion(target, probabilities.argmax(1), len(classes))
    by_class = dict(zip(classes, (None if np.isnan(r) else float(r) for r in recalls(matrix)), strict=True))
    return {
        "acc": accuracy(matrix),
        "wa_f1": weighted_f1(matrix),
        "uar": unweighted_recall(matrix),
        "per_class_recall": by_class,
        "per_class_count": dict(zip(classes, matrix.sum(1).tolist(), strict=True)),
        "classes": list(classes),
        "confusion": matrix.tolist(),
        "calibration_error": calibration_error(probabilities, target),
        "majority_acc": float(matrix.sum(1).max() / matrix.sum()),
        "num_samples": len(target),
    }


def bootstrap(target: Ints, predicted: Ints, num_classes: int, rng: np.random.Generator, *, draws: int = 2000) -> dict[str, list[float]]:
    """95 % intervals of ACC, WA-F1 and UAR by drawing test samples with replacement."""
    target, predicted = np.asarray(target), np.asarray(predicted)
    scores = np.empty((draws, 3))
    for draw in range(draws):
        chosen = rng.integers(0, len(target), len(target))
        matrix = confusion(target[chosen], predicted[chosen], num_classes)
        scores[draw] = accuracy(matrix), weighted_f1(matrix), unweighted_recall(matrix)
    low, high = np.quantile(scores, (0.025, 0.975), axis=0)
    return {name: [float(low[i]), float(high[i])] for i, name in enumerate(("acc", "wa_f1", "uar"))}
