"""Weights learnt on one data set start a run on another: all but the classifier, whatever the network calls it (Tab. XI, XII)."""

from dataclasses import replace

import pytest
import torch

from training.engine import checkpoints, runs
from training.engine.recipes import RECIPES, Recipe
from training.engine.recipes.baselines import FIG7_HOSTS, FUSIONS, STRATEGIES, smoke
from training.nets import NETS

TRANSFERRED = sorted({name for name in RECIPES if name in NETS} | {f"{host}_lgf" for host in FIG7_HOSTS} | {f"fusion_{f}" for f in FUSIONS})
TRANSFERRED += [f"strategy_{name}" for name in STRATEGIES] + ["cten_sound"]


def with_classes(recipe: Recipe, count: int) -> Recipe:
    names = tuple(f"class {number}" for number in range(count))
    return replace(recipe, classes=names, polarity=("neutral",) * count)


def test_every_network_of_the_registry_is_among_them():
    assert {RECIPES[name]().network for name in TRANSFERRED} == set(NETS)


@pytest.mark.parametrize("count", [4, 6, 8])
@pytest.mark.parametrize("name", TRANSFERRED)
def test_weights_of_another_data_set_start_a_run_but_for_the_classifier(tmp_path, name, count):
    recipe = smoke(RECIPES[name]())
    source = runs.build(with_classes(recipe, count))
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.fill_(0.25)
    runs.save_weights(tmp_path / "source.safetensors", source)
    net = checkpoints.initialised(runs.build(recipe), replace(recipe, init_from=str(tmp_path / "source.safetensors")))
    own = {key for key, parameter in net.named_parameters() if not bool((parameter == 0.25).all())}
    assert own
    assert own <= set(checkpoints.classifier_keys(recipe))
    assert sum(net.get_parameter(key).numel() for key in own) < sum(p.numel() for p in net.parameters()) / 3


def test_weights_of_another_architecture_are_refused(tmp_path):
    runs.save_weights(tmp_path / "c3d.safetensors", runs.build(smoke(RECIPES["c3d"]())))
    recipe = replace(smoke(RECIPES["i3d"]()), init_from=str(tmp_path / "c3d.safetensors"))
    with pytest.raises(ValueError, match="does not fit I3D"):
        checkpoints.initialised(runs.build(recipe), recipe)
