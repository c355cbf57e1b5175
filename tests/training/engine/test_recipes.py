"""Recipes: frozen, printable, changeable by name, loaded without torch."""

import subprocess
import sys
from dataclasses import FrozenInstanceError, fields

import pytest

from training.engine.recipes import RECIPES, Recipe, from_dict, overridden
from training.nets import NETS

OWN = ("avcanet", "paper", "released_code", "aligned_audio", "small", "debug")


def test_the_papers_numbers():
    recipe = RECIPES["avcanet"]()
    assert (recipe.lr, recipe.weight_decay, recipe.betas) == (1.5e-4, 2e-2, (0.9, 0.999))
    assert (recipe.epochs, recipe.batch_size, recipe.accumulate, recipe.seed) == (30, 8, 4, 1)
    assert (recipe.snippets, recipe.frames, recipe.crop, recipe.num_mfcc) == (16, 8, 112, 32)
    assert recipe.snippets * recipe.chunk_frames == 4096
    assert (recipe.gamma, recipe.loss_weights) == ((0.7, 0.7, 0.7), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(("name", "batch_size"), [("avcanet_16x2", 16), ("avcanet_32x1", 32)])
def test_a_preset_of_bigger_batches_steps_on_as_many_samples(name, batch_size):
    plain, bigger = RECIPES["avcanet"](), RECIPES[name]()
    assert bigger.batch_size * bigger.accumulate == plain.batch_size * plain.accumulate
    changed = {"name": name, "batch_size": batch_size, "accumulate": bigger.accumulate}
    assert bigger.as_dict() == {**plain.as_dict(), **changed}


def test_every_recipe_names_itself_and_its_network_exists():
    for name, make in RECIPES.items():
        assert make().name == name
        assert make().network in NETS


@pytest.mark.parametrize("name", OWN)
def test_a_recipe_survives_its_json(name):
    recipe = RECIPES[name]()
    assert from_dict(recipe.as_dict()).as_dict() == recipe.as_dict()


def test_every_field_says_what_it_is():
    assert [f.name for f in fields(Recipe) if not f.metadata.get("help")] == []


def test_importing_recipes_loads_no_torch():
    code = "import sys, training.engine.recipes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_recipe_is_frozen():
    with pytest.raises(FrozenInstanceError):
        RECIPES["debug"]().epochs = 9


def test_fields_are_set_from_text_in_their_own_type():
    text = {
        "epochs": "3",
        "lr": "0.01",
        "flush_last_group": "false",
        "gamma": "0.1, 0.2,0.3",
        "net_options": '{"levels": 3}',
        "select_by": "uar",
    }
    recipe = overridden(RECIPES["debug"](), text)
    assert (recipe.epochs, recipe.lr, recipe.flush_last_group, recipe.gamma, recipe.select_by) == (3, 0.01, False, (0.1, 0.2, 0.3), "uar")
    assert recipe.net_options == {**RECIPES["debug"]().net_options, "levels": 3}


def test_the_options_of_one_network_are_not_given_to_another():
    assert overridden(RECIPES["debug"](), {"network": "audio_branch", "net_options": '{"width": 8}'}).net_options == {"width": 8}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epoch": "3"}, "unknown recipe field 'epoch'"),
        ({"name": "other"}, "unknown recipe field"),
        ({"epochs": "many"}, "epochs: cannot read 'many'"),
        ({"epochs": "0"}, "epochs is 0"),
        ({"compile": "maybe"}, "true or false"),
        ({"augment": "mixup"}, "choose one of paper, vaanet, none"),
        ({"gamma": "0.7,0.7"}, "gamma needs 3 numbers"),
        ({"betas": "0.9"}, "betas needs 2 numbers"),
        ({"log_every": "0"}, "log_every is 0; it must be at least 1"),
        ({"workers": "-1"}, "workers is -1; it must be at least 0"),
        ({"lr": "nan"}, "lr is nan"),
        ({"warmup": "2"}, "warmup is 2"),
        ({"classes": "a,b"}, "2 classes but 6 polarities"),
        ({"val_fraction": "1.0"}, "val_fraction"),
    ],
)
def test_a_bad_change_is_refused_with_its_field(changes, said):
    with pytest.raises(ValueError, match=said):
        overridden(RECIPES["debug"](), changes)
