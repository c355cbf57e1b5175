"""A run's network for use elsewhere: python -m training.engine.export --run RUN --out DIR [--format torch|onnx|both].

Writes model.pt2 (torch.export) and model.onnx, both with a free batch size, and model.json: input shapes, class names, and how
far each file's logits are from the network's on a random input. Further than 1e-4 of the largest logit is an error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from training.engine import runs
from training.engine.console import tells_in_one_line
from training.engine.recipes import Recipe

TOLERANCE = 1e-4
MOST_CLIPS = 64
OUTPUTS = ("logits", "video_logits", "audio_logits")


class Logits(nn.Module):
    """The network with its opinions as a plain tuple; a branch that it lacks is left out."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        opinions = self.net(*self._placed(inputs))
        return tuple(logits for logits in (opinions.logits, opinions.video_logits, opinions.audio_logits) if logits is not None)

    def _placed(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor | None, Tensor | None]:
        if len(inputs) == 2:
            return inputs[0], inputs[1]
        return (inputs[0], None) if inputs[0].ndim == 6 else (None, inputs[0])


def example_inputs(recipe: Recipe, *, num_clips: int) -> dict[str, Tensor]:
    """Random inputs of the recipe's shapes, by name."""
    generator = torch.Generator().manual_seed(recipe.seed)
    shapes = {
        "video": (num_clips, recipe.snippets, 3, recipe.frames, recipe.crop, recipe.crop),
        "audio": (num_clips, recipe.snippets, 1, recipe.chunk_frames, recipe.num_mfcc),
    }
    read = ("video", "audio") if recipe.modalities == "both" else (recipe.modalities,)
    return {name: torch.randn(shapes[name], generator=generator) for name in read}


def export(run: Path, out: Path, *, formats: Sequence[str] = ("torch", "onnx"), weights: str = "best") -> dict[str, Any]:
    """What model.json says. Raises ValueError if a package is missing or a file does not compute the same."""
    recipe, net = runs.load_net(run, weights)
    if "onnx" in formats and (absent := [name for name in ("onnx", "onnxscript", "onnxruntime") if not find_spec(name)]):
        raise ValueError(f"the ONNX format needs {', '.join(absent)}; pip install {' '.join(absent)}, or choose --format torch")
    out.mkdir(parents=True, exist_ok=True)
    model, given = Logits(net).eval(), example_inputs(recipe, num_clips=2)
    batch = torch.export.Dim("batch", min=1, max=MOST_CLIPS)
    # The plain attention kernel: the layouts that the fused ones answer in do not survive the way to ONNX.
    with sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        program = torch.export.export(model, tuple(given.values()), dynamic_shapes=(tuple({0: batch} for _ in given),))
        names = [name for name, _ in zip(OUTPUTS, model(*given.values()), strict=False)]
        made: dict[str, Callable[[dict[str, Tensor]], np.ndarray]] = {}
        if "torch" in formats:
            torch.export.save(program, out / "model.pt2")
            made["model.pt2"] = _torch_reader(out / "model.pt2")
        if "onnx" in formats:
            torch.onnx.export(program, dynamo=True, input_names=list(given), output_names=names, verbose=False).save(out / "model.onnx")  # type: ignore[union-attr]  # only without dynamo is there no program
            made["model.onnx"] = _onnx_reader(out / "model.onnx")
        differences = {file: _difference(model, read, recipe) for file, read in made.items()}
    facts = {
        "network": recipe.network,
        "recipe": recipe.name,
        "classes": list(recipe.classes),
        "inputs": {name: ["batch", *value.shape[1:]] for name, value in given.items()},
        "outputs": names,
        "pixel_norm": recipe.pixel_norm,
        "relative_difference": differences,
    }
    runs.write_json(out / "model.json", facts)
    if wrong := {file: d for file, d in differences.items() if d > TOLERANCE}:
        raise ValueError(f"{out}: the exported network computes something else: {wrong}, more than {TOLERANCE:g}; do not use it")
    return facts


def _difference(model: nn.Module, read: Callable[[dict[str, Tensor]], np.ndarray], recipe: Recipe) -> float:
    """Largest difference of the logits over the largest logit, at a batch size that the export did not see."""
    given = example_inputs(recipe, num_clips=3)
    expected = model(*given.values())[0].numpy()
    return float(np.abs(read(given) - expected).max() / np.abs(expected).max())


def _torch_reader(path: Path) -> Callable[[dict[str, Tensor]], np.ndarray]:
    module = torch.export.load(path).module()
    return lambda given: module(*given.values())[0].detach().numpy()


def _onnx_reader(path: Path) -> Callable[[dict[str, Tensor]], np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda given: session.run(["logits"], {name: value.numpy() for name, value in given.items()})[0]


@tells_in_one_line()
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.engine.export", description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", default="best", choices=("best", "final", "best_on_test"))
    parser.add_argument("--format", default="both", choices=("torch", "onnx", "both"))
    options = parser.parse_args(arguments)
    formats = ("torch", "onnx") if options.format == "both" else (options.format,)
    facts = export(options.run, options.out, formats=formats, weights=options.weights)
    for file, difference in facts["relative_difference"].items():
        print(f"{options.out / file}: relative difference {difference:.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
