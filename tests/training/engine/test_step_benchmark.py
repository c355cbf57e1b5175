"""The benchmark of the whole step: what it counts on, and what it says without a GPU."""

import pytest
import torch

from benchmarks import bench_step
from training.engine.recipes import RECIPES, overridden


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_rung_takes_the_engines_own_steps(tiny, precision):
    figures = bench_step.rung(overridden(tiny, {"precision": precision}), torch.device("cpu"), warm_up=1, steps=1)
    assert figures["samples_per_s"] > 0
    assert (figures["mfu"], figures["peak_gib"]) == (None, None)  # a processor has no stated peak


def test_a_sample_costs_three_forward_passes():
    # docs/networks.md: 202.3 GFLOPs forward
    assert bench_step.flops_of_a_sample(RECIPES["avcanet"]()) / 1e9 == pytest.approx(3 * 202.3, rel=1e-3)


def test_without_a_gpu_it_says_so_and_measures_nothing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no GPU here" in bench_step.measure()["said"]


def test_every_rung_is_a_recipe():
    for recipe, changes in bench_step.RUNGS.values():
        chosen = overridden(RECIPES[recipe](), changes)
        assert chosen.batch_size * chosen.accumulate == 32
