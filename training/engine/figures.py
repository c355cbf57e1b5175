"""The pictures of a run: confusion matrix (Fig. 9) and t-SNE of the embeddings (Fig. 10)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot
from numpy.typing import NDArray

COLOURS = ("#d1495b", "#5b4b8a", "#8d99ae", "#2a9d8f", "#3a6ea5", "#e07a1f", "#6a994e", "#bc6c25")


def confusion_figure(path: Path, confusion_KK: NDArray[np.int64], classes: Sequence[str], title: str) -> None:
    """Each row (label) in per cent, with its counts."""
    share = confusion_KK / np.maximum(confusion_KK.sum(1, keepdims=True), 1)
    figure, axes = pyplot.subplots(figsize=(5.6, 4.8), layout="constrained")
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(share.shape):
        colour = "white" if share[row, column] > 0.5 else "black"
        text = f"{share[row, column]:.0%}\n{confusion_KK[row, column]}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(classes)), classes, rotation=35, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="prediction", ylabel="label", title=title)
    figure.colorbar(picture, ax=axes, shrink=0.8)
    _save(figure, path)


def tsne_figure(path: Path, embedding: NDArray[Any], labels: NDArray[np.int64], classes: Sequence[str], *, seed: int) -> None:
    """The embeddings in the plane, coloured by label. Needs at least four samples.

    Writes nothing where the network gives every clip the same vector: there is nothing to place, and scikit-learn crashes on it.
    """
    from sklearn.manifold import TSNE

    if np.ptp(embedding, axis=0).max() == 0:
        return
    perplexity = min(30.0, (len(labels) - 1) / 3)
    place = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(embedding)
    figure, axes = pyplot.subplots(figsize=(5.6, 4.8), layout="constrained")
    for label, name in enumerate(classes):
        chosen = place[labels == label]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=14, color=COLOURS[label % len(COLOURS)], label=f"{name} ({len(chosen)})")
    axes.set(xticks=[], yticks=[], title="t-SNE of the embeddings before the classifier")
    axes.legend(fontsize=8)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=140)
    pyplot.close(figure)
