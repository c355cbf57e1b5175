"""Scores a run on the test part: python -m training.engine.evaluate --run RUN --release DIR [--weights best|final|best_on_test].

Writes result.json, predictions.csv, figures/ and the model card README.md into the run folder, and prints the scores.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.engine import figures, metrics, runs
from training.engine.card import write_card
from training.engine.console import tells_in_one_line
from training.engine.data import ClipDataset
from training.engine.faster import set_precision
from training.engine.opinions import Answers, opinions_on
from training.engine.recipes import Recipe, changes_of, overridden
from training.engine.releases import Sample, manifest_hash, samples_of
from training.engine.usable import usable_samples

MOST_FOR_TSNE = 3000


def evaluate(run: Path, release: Path, *, weights: str = "best", changes: dict[str, str] | None = None) -> dict[str, Any]:
    """The scores of the run's network on the release's test part; everything is written into the run folder."""
    recipe, net = runs.load_net(run, weights)
    recipe = overridden(recipe, changes or {})
    set_precision(recipe)
    device = runs.device_of(recipe)
    part = usable_samples(samples_of(release, "test", recipe.classes), release, recipe)
    random = recipe.test_protocol == "random"
    dataset = ClipDataset(part.samples, recipe, folder=part.folder, entries=part.entries, random=random)
    answers = opinions_on(net.to(device), dataset, recipe, device)
    result = _result(answers, recipe) | {
        "weights": weights,
        "release": str(release.resolve()),
        "manifest_sha256": manifest_hash(release),
        "test_protocol": recipe.test_protocol,
    }
    _write_predictions(run / "predictions.csv", part.samples, answers, recipe)
    _draw(run / "figures", answers, result, recipe)
    runs.write_json(run / "result.json", result)
    write_card(run, recipe, result)
    return result


def _result(answers: Answers, recipe: Recipe) -> dict[str, Any]:
    result = metrics.summary(answers.probabilities, answers.labels, recipe.classes)
    rng = np.random.default_rng(recipe.seed)
    result["loss"] = answers.loss
    result["intervals_95"] = metrics.bootstrap(answers.labels, answers.probabilities.argmax(1), recipe.num_classes, rng)
    result["silent_clips"] = int((~answers.has_audio).sum()) if recipe.modalities != "video" else None
    for branch in ("video", "audio"):
        own = getattr(answers, f"{branch}_probabilities")
        if own is not None:
            matrix = metrics.confusion(answers.labels, own.argmax(1), recipe.num_classes)
            result[f"{branch}_branch"] = {
                "acc": metrics.accuracy(matrix),
                "wa_f1": metrics.weighted_f1(matrix),
                "uar": metrics.unweighted_recall(matrix),
            }
    return result


def _write_predictions(path: Path, samples: Sequence[Sample], answers: Answers, recipe: Recipe) -> None:
    """One line a clip: label, prediction, the branches' predictions, whether it has sound, six probabilities."""
    names = recipe.classes
    branches = [(b, p) for b in ("video", "audio") if (p := getattr(answers, f"{b}_probabilities")) is not None]
    header = ["file_name", "label", "prediction", *(f"{b}_prediction" for b, _ in branches), "has_audio", *(f"p_{name}" for name in names)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for i, sample in enumerate(samples):
            own = [names[p[i].argmax()] for _, p in branches]
            chances = [f"{p:.6f}" for p in answers.probabilities[i]]
            writer.writerow(
                [sample.name, names[sample.label], names[answers.probabilities[i].argmax()], *own, int(answers.has_audio[i]), *chances]
            )


def _draw(folder: Path, answers: Answers, result: dict[str, Any], recipe: Recipe) -> None:
    title = f"{recipe.name}: ACC {result['acc']:.1%}, UAR {result['uar']:.1%}"
    figures.confusion_figure(folder / "confusion.png", np.array(result["confusion"]), recipe.classes, title)
    for branch in ("video", "audio"):
        own = getattr(answers, f"{branch}_probabilities")
        if own is not None:
            matrix = metrics.confusion(answers.labels, own.argmax(1), recipe.num_classes)
            figures.confusion_figure(folder / f"confusion_{branch}.png", matrix, recipe.classes, f"{branch} branch alone")
    if answers.embedding is not None and len(answers.labels) >= 4:
        chosen = np.random.default_rng(recipe.seed).permutation(len(answers.labels))[:MOST_FOR_TSNE]
        figures.tsne_figure(folder / "tsne.png", answers.embedding[chosen], answers.labels[chosen], recipe.classes, seed=recipe.seed)


def of_one_run(compute: Callable[..., dict[str, Any]], about: str | None, arguments: Sequence[str] | None) -> dict[str, Any]:
    """What compute(run, release, weights=, changes=) finds for a command line about one finished run."""
    parser = argparse.ArgumentParser(prog=f"training.engine.{compute.__name__}", description=about)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--release", type=Path, required=True)
    parser.add_argument("--weights", default="best", choices=("best", "final", "best_on_test"))
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="e.g. device=cpu or store=DIR")
    options = parser.parse_args(arguments)
    return compute(options.run, options.release, weights=options.weights, changes=changes_of(options.set))


@tells_in_one_line()
def main(arguments: Sequence[str] | None = None) -> int:
    result = of_one_run(evaluate, __doc__, arguments)
    shown = ("acc", "wa_f1", "uar", "majority_acc", "intervals_95", "per_class_recall", "num_samples")
    print(json.dumps({key: result[key] for key in shown}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
