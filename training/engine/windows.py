"""What a run's network says of each stretch of clips: python -m training.engine.windows --run RUN --list FILE --out DIR.

A line of the list is NAME, a tab and a PATH; DIR/NAME.npy then holds (windows, K) probabilities, one row per stretch of about WINDOW_S
seconds. Each file is written whole or not at all. A clip that cannot be used is a line on stderr, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.engine import clips
from training.engine.console import tells_in_one_line
from training.engine.data import audio_of, frame_numbers, pixels, snippets_of
from training.engine.predict import Predictor
from training.engine.recipes import Recipe
from training.engine.store import SourceClip

WINDOW_S = 2.0
FEWEST, MOST = 5, 24  # the fewest that a change of feeling can be told from; the most that bound a clip's memory


class Stretch:
    """A part of a clip that answers as a clip."""

    def __init__(self, frames: dict[int, clips.Frame], first: int, num_frames: int, coefficients: NDArray[np.float32] | None) -> None:
        self._frames, self._first, self.num_frames, self._coefficients = frames, first, num_frames, coefficients

    def frames(self, indices: Sequence[int]) -> list[clips.Frame]:
        return [self._frames[self._first + i] for i in indices]

    def mfcc(self) -> NDArray[np.float32] | None:
        return self._coefficients


def stretches(path: Path, recipe: Recipe) -> list[Stretch]:
    """The clip in equal parts, its picture decoded once. Raises Unusable for one that holds too little."""
    clip = SourceClip(path, recipe)
    coefficients = None if recipe.modalities == "video" else clip.mfcc()
    count = int(np.clip(round(clips.duration_s(path) / WINDOW_S), FEWEST, MOST))
    edges = np.linspace(0, clip.num_frames, count + 1).astype(int)
    if recipe.modalities != "audio" and clip.num_frames < count:
        raise clips.Unusable(path, f"its {clip.num_frames} pictures are too few for {count} stretches", "leave it to people")
    wanted = sorted({int(a) + i for a, b in itertools.pairwise(edges) for i in _numbers(int(b - a), recipe)})
    frames = dict(zip(wanted, clip.frames(wanted), strict=True)) if wanted else {}
    parts = [None] * count if coefficients is None else np.array_split(coefficients, count)
    return [Stretch(frames, int(a), int(b - a), part) for (a, b), part in zip(itertools.pairwise(edges), parts, strict=True)]


def _numbers(num_frames: int, recipe: Recipe) -> list[int]:
    return [] if recipe.modalities == "audio" else frame_numbers(num_frames, recipe, None)


@torch.inference_mode()
def posteriors(predictor: Predictor, path: Path) -> NDArray[np.float64]:
    """(windows, K) probabilities in the order of time."""
    recipe, rows = predictor.recipe, []
    for part in stretches(path, recipe):
        video = None if recipe.modalities == "audio" else pixels(snippets_of(part, recipe, None), recipe.pixel_norm)
        audio = None if recipe.modalities == "video" else audio_of(part.mfcc(), recipe)
        opinions = predictor.net(*(None if x is None else x[None].to(predictor.device) for x in (video, audio)))
        rows.append(opinions.logits[0].double().softmax(0).cpu().numpy())
    return np.stack(rows)


def save(path: Path, rows: NDArray[np.float64]) -> None:
    """All of it or nothing."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, rows)
    part.replace(path)


def listed(path: Path) -> list[tuple[str, Path]]:
    """(name, path) of each line. Raises ValueError naming the line that is not of this kind."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        name, tab, clip = line.partition("\t")
        if not tab or not name or Path(name).name != name:
            raise ValueError(f"{path}:{number}: not NAME, a tab and a PATH")
        found.append((name, Path(clip)))
    return found


@tells_in_one_line()
def main(arguments: Sequence[str] | None = None) -> int:
    parser: Any = argparse.ArgumentParser(prog="training.engine.windows", description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--list", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", default="best", choices=("best", "final", "best_on_test"))
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    options = parser.parse_args(arguments)
    wanted = listed(options.list)
    predictor = Predictor(options.run, weights=options.weights, device=options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    return sum([not _written(predictor, path, options.out / f"{name}.npy") for name, path in wanted]) > 0


def _written(predictor: Predictor, clip: Path, target: Path) -> bool:
    try:
        save(target, posteriors(predictor, clip))
    except clips.Unusable as error:
        print(error, file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
