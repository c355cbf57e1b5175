"""The whole training step of AV-CANet on a GPU: samples a second, share of the GPU's peak (MFU) and peak memory, from eager fp32 to compiled bf16.

The step is the engine's own: the batches' way to the GPU, forward, loss, backward, optimiser. MFU counts three forward passes of floating-point operations to
a sample, recomputed ones not. Without a GPU nothing is measured, and the answer says so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.bench_nets import count_flops
from training.engine.data import Batch
from training.engine.processes import Processes
from training.engine.recipes import RECIPES, Recipe, overridden
from training.engine.runs import build
from training.engine.stopping import StopSignal
from training.engine.train import Run

WARM_UP, STEPS = 3, 10
RUNGS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "eager fp32": ("avcanet", {"precision": "fp32", "fused_attention": "off"}),
    "tf32": ("avcanet", {"precision": "tf32", "fused_attention": "off"}),
    "bf16": ("avcanet", {"precision": "bf16"}),
    "compiled bf16": ("avcanet", {"precision": "bf16", "compile": True}),
    "compiled bf16, 16 x 2": ("avcanet_16x2", {"precision": "bf16", "compile": True}),
    "compiled bf16, 32 x 1": ("avcanet_32x1", {"precision": "bf16", "compile": True}),
}
# Dense operations a second as NVIDIA states them, by a word of the GPU's name.
PEAKS = {
    "H200": {"fp32": 67e12, "tf32": 494e12, "bf16": 989e12},
    "H100": {"fp32": 67e12, "tf32": 494e12, "bf16": 989e12},
    "A100": {"fp32": 19.5e12, "tf32": 156e12, "bf16": 312e12},
}
LIMITS = {"times_eager_fp32": 3.0, "mfu": 0.30}  # of the best rung


def measure(*, peers: bool = False) -> dict[str, Any]:
    if not torch.cuda.is_available():
        return {"gpu": None, "said": "torch sees no GPU here: samples a second, MFU and memory of the step were not measured"}
    rungs = {name: rung(overridden(RECIPES[recipe](), changes), torch.device("cuda")) for name, (recipe, changes) in RUNGS.items()}
    slowest = rungs["eager fp32"]["samples_per_s"]
    for figures in rungs.values():
        figures["times_eager_fp32"] = round(figures["samples_per_s"] / slowest, 2)
    return {"gpu": torch.cuda.get_device_name(), **rungs, "limits": LIMITS}


def rung(recipe: Recipe, device: torch.device, *, warm_up: int = WARM_UP, steps: int = STEPS) -> dict[str, Any]:
    """Figures of the recipe's step on made-up clips."""
    run = Run(recipe, Path(), {}, Processes(), device, StopSignal())
    run.progress.confusion = torch.zeros(recipe.num_classes, recipe.num_classes, dtype=torch.int64).tolist()
    run.model.train()
    group = [made_up(recipe)] * recipe.accumulate
    for _ in range(warm_up):
        run._step(group, STEPS)
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    for _ in range(steps):
        run._step(group, STEPS)  # it asks for the loss, and so waits for the GPU
    rate = steps * recipe.accumulate * recipe.batch_size / (time.perf_counter() - began)
    peak = next((p for name, p in PEAKS.items() if on_gpu and name in torch.cuda.get_device_name()), {}).get(recipe.precision)
    return {
        "samples_per_s": round(rate, 2),
        "mfu": round(rate * flops_of_a_sample(recipe) / peak, 3) if peak else None,
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if on_gpu else None,
    }


def made_up(recipe: Recipe) -> Batch:
    size, side = recipe.batch_size, recipe.crop
    video = torch.randint(0, 256, (size, recipe.snippets, 3, recipe.frames, side, side), dtype=torch.uint8)
    audio = torch.randn(size, recipe.snippets, 1, recipe.chunk_frames, recipe.num_mfcc)
    numbers = torch.arange(size)
    batch = Batch(video, audio, numbers % recipe.num_classes, numbers, torch.ones(size, dtype=torch.bool))
    return batch.pin_memory() if torch.cuda.is_available() else batch


def flops_of_a_sample(recipe: Recipe) -> int:
    """Forward, and twice as much backward."""
    with torch.device("meta"):
        net = build(recipe)
    video = (recipe.snippets, 3, recipe.frames, recipe.crop, recipe.crop)
    return 3 * count_flops(net, video, (recipe.snippets, 1, recipe.chunk_frames, recipe.num_mfcc))
