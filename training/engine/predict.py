"""What a run's network says of clips: python -m training.engine.predict --run RUN FILE|DIR … [--list FILE] [--out predictions.jsonl].

One JSON object a line: file, emotion, probabilities, the branches' opinions, whether the clip has sound.
A clip that cannot be used is a line on stderr, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import nn

from training.engine import clips, runs
from training.engine.console import tells_in_one_line
from training.engine.data import audio_of, pixels, snippets_of
from training.engine.recipes import Recipe
from training.engine.store import SourceClip

SUFFIXES = {
    *(".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".flv", ".3gp", ".ts", ".mpg", ".mpeg", ".wmv"),
    *(".opus", ".wav", ".mp3", ".m4a", ".ogg", ".aac", ".flac"),
}


class Predictor:
    """A run's network, ready for clips of any size."""

    def __init__(self, run: Path, *, weights: str = "best", device: str = "auto") -> None:
        recipe, net = runs.load_net(run, weights)
        self.recipe = replace(recipe, device=device)
        self.device = runs.device_of(self.recipe)
        self.net: nn.Module = net.to(self.device)

    @torch.inference_mode()
    def __call__(self, path: Path) -> dict[str, Any]:
        """Raises Unusable for a file that cannot be decoded."""
        video, audio, has_audio = read_clip(path, self.recipe)
        opinions = self.net(*(None if x is None else x[None].to(self.device) for x in (video, audio)))
        branches = {"video": opinions.video_logits, "audio": opinions.audio_logits}
        answer = self._named(opinions.logits)
        said = {branch: self._named(logits) for branch, logits in branches.items() if logits is not None}
        return {"file": str(path), "emotion": max(answer, key=answer.__getitem__), "probabilities": answer, **said, "has_audio": has_audio}

    def _named(self, logits: torch.Tensor) -> dict[str, float]:
        chances = logits[0].double().softmax(0).tolist()
        return {name: round(p, 6) for name, p in zip(self.recipe.classes, chances, strict=True)}


def read_clip(path: Path, recipe: Recipe) -> tuple[torch.Tensor | None, torch.Tensor | None, bool]:
    """(video, audio, has_audio) of one file as the network takes them, without the batch dimension."""
    clip = SourceClip(path, recipe)
    if recipe.modalities != "audio" and clip.num_frames == 0:
        raise clips.Unusable(path, "it holds no picture", "give a video, or use a run of the audio branch")
    video = None if recipe.modalities == "audio" else pixels(snippets_of(clip, recipe, None), recipe.pixel_norm)
    coefficients = None if recipe.modalities == "video" else clip.mfcc()
    audio = None if recipe.modalities == "video" else audio_of(coefficients, recipe)
    return video, audio, coefficients is not None


def files_under(paths: Sequence[Path]) -> Iterator[Path]:
    """The paths themselves, and the media files inside those that are folders, in order of name."""
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        else:
            yield path


@tells_in_one_line()
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.engine.predict", description=__doc__)
    parser.add_argument("paths", type=Path, nargs="*")
    parser.add_argument("--list", type=Path, help="a file with one path a line, beside those given")
    parser.add_argument("--out", type=Path, help="where the lines go; without it, to the screen")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--weights", default="best", choices=("best", "final", "best_on_test"))
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    options = parser.parse_args(arguments)
    paths = [*options.paths, *listed(options.list)]
    predictor = Predictor(options.run, weights=options.weights, device=options.device)
    if options.out is None:
        return predict_all(predictor, paths, sys.stdout)
    with options.out.open("w", encoding="utf-8") as out:
        return predict_all(predictor, paths, out)


def listed(path: Path | None) -> list[Path]:
    """The paths in a file. Raises ValueError if it cannot be read."""
    try:
        return [Path(line) for line in path.read_text(encoding="utf-8").split("\n") if line] if path else []
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ValueError(f"--list {path}: {why}; give a text file with one path a line") from error


def predict_all(predictor: Predictor, paths: Sequence[Path], out: TextIO) -> int:
    """The exit status: 1 if there is no clip, or one of them cannot be used."""
    failed = done = 0
    for path in files_under(paths):
        try:
            print(json.dumps(predictor(path), ensure_ascii=False), file=out, flush=True)
            done += 1
        except clips.Unusable as error:
            failed += 1
            print(error.of_no_release(), file=sys.stderr)
    if not done and not failed:
        named = ", ".join(map(str, paths))
        print(f"no media file under {named}" if paths else "no clip given; name files, folders, or a list with --list", file=sys.stderr)
    return 0 if done and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
