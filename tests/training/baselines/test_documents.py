"""docs/networks.md and the benchmark tell of every network what is so."""

import re
from pathlib import Path

import pytest
import torch

from benchmarks.bench_nets import PUBLISHED_M, count_flops
from training.nets import NETS

ROW = re.compile(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+|–) \| ([\d.]+) \|", re.MULTILINE)


@pytest.fixture(scope="module")
def rows():
    text = (Path(__file__).parents[3] / "docs" / "networks.md").read_text(encoding="utf-8")
    return {name: (float(ours), published, float(flops)) for name, ours, published, flops in ROW.findall(text)}


def test_every_network_has_its_row(rows):
    assert list(rows) == list(NETS)
    assert set(PUBLISHED_M) <= set(NETS)


@pytest.mark.parametrize("name", NETS)
def test_the_sizes_are_those_of_the_networks(rows, name):
    with torch.device("meta"):
        net = NETS[name](num_classes=6)
    ours, published, flops = rows[name]
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(ours, abs=0.006)
    assert published == "–" or float(published) == pytest.approx(PUBLISHED_M[name], abs=0.06)
    assert flops > 0


def test_flops_are_counted_without_computing():
    with torch.device("meta"):
        net = NETS["ogm_ge"](num_classes=6)
    assert count_flops(net) / 1e9 == pytest.approx(24.6, abs=0.1)
