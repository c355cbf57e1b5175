"""What a run is worth when a modality is missing: python -m training.engine.robustness --run RUN --release DIR.

Scores the test part three times: as it is, without sound (silence, as of a clip without a sound track) and without picture (black). Writes robustness.json
into the run folder: each score, and its difference from the whole clip by the paired bootstrap. The paper's problem is that the modalities disagree; this says
how far a network leans on each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.engine import metrics, runs
from training.engine.console import tells_in_one_line
from training.engine.data import ClipDataset
from training.engine.evaluate import of_one_run
from training.engine.opinions import opinions_on
from training.engine.recipes import overridden
from training.engine.releases import samples_of
from training.engine.significance import SCORES, paired_bootstrap
from training.engine.usable import usable_samples

WITHOUT = {"whole": (), "no_sound": ("audio",), "no_picture": ("video",)}


class Without(ClipDataset):
    """The clips with some modalities blanked."""

    blanked: tuple[str, ...] = ()

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        item = super().__getitem__(key)
        for kind in self.blanked:
            if kind in item:
                item[kind] = torch.zeros_like(item[kind])
        return item


def robustness(run: Path, release: Path, *, weights: str = "best", changes: dict[str, str] | None = None) -> dict[str, Any]:
    """Scores by what is missing, in shares of one, with p and 95 % interval of the difference from the whole clip."""
    recipe, net = runs.load_net(run, weights)
    recipe = overridden(recipe, changes or {})
    device = runs.device_of(recipe)
    part = usable_samples(samples_of(release, "test", recipe.classes), release, recipe)
    dataset = Without(part.samples, recipe, folder=part.folder, entries=part.entries, random=False)
    predicted, labels = {}, np.array([])
    for name, dataset.blanked in WITHOUT.items():
        answers = opinions_on(net.to(device), dataset, recipe, device)
        predicted[name], labels = answers.probabilities.argmax(1), answers.labels
    result = {name: compared(labels, own, predicted["whole"], recipe.num_classes) for name, own in predicted.items()}
    runs.write_json(run / "robustness.json", result)
    return result


def compared(labels: metrics.Ints, own: metrics.Ints, whole: metrics.Ints, num_classes: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    matrix = metrics.confusion(labels, own, num_classes)
    for score, of in SCORES.items():
        rng = np.random.default_rng(0)
        gap = paired_bootstrap(labels, own[None], whole[None], num_classes, score=score, rng=rng, draws=1000)
        found[score] = {"value": of(matrix), "difference": gap.value, "low": gap.low, "high": gap.high, "p": gap.p}
    return found


@tells_in_one_line()
def main(arguments: Sequence[str] | None = None) -> int:
    print(json.dumps(of_one_run(robustness, __doc__, arguments), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
