"""The recipes of the baselines and ablations, and the optimisers that they ask for."""

import subprocess
import sys

import pytest
import torch

from training.engine.optimisers import learning_rate, optimiser_of, set_rate
from training.engine.paper_tables import TABLES
from training.engine.recipes import RECIPES, Recipe, baselines, from_dict, overridden
from training.nets import NETS

ROWS = sorted({row.recipe for table in TABLES.values() for row in table.rows})


def test_every_row_of_every_table_has_a_recipe():
    assert [row for row in ROWS if row not in RECIPES] == sorted(baselines.MLLM_RECIPES)


def test_every_network_has_a_recipe():
    assert set(NETS) == {make().network for make in RECIPES.values()}


@pytest.mark.parametrize("name", baselines.BASELINE_RECIPES)
def test_a_recipe_is_plain_data_and_its_network_accepts_it(name):
    recipe = RECIPES[name]()
    assert recipe.name == name
    assert from_dict(recipe.as_dict()).as_dict() == recipe.as_dict()
    with torch.device("meta"):
        net = NETS[recipe.network](num_classes=recipe.num_classes, **recipe.net_options)
    assert optimiser_of(net, recipe).param_groups


@pytest.mark.parametrize("name", [row for row in ROWS if row not in baselines.MLLM_RECIPES])
def test_the_smoke_size_of_a_row_answers_and_learns(name):
    recipe = baselines.smoke(RECIPES[name]())
    torch.manual_seed(0)
    net = NETS[recipe.network](num_classes=recipe.num_classes, **recipe.net_options)
    video = torch.randn(2, recipe.snippets, 3, recipe.frames, recipe.crop, recipe.crop)
    audio = torch.randn(2, recipe.snippets, 1, recipe.chunk_frames, recipe.num_mfcc)
    opinions = net(video if recipe.modalities != "audio" else None, audio if recipe.modalities != "video" else None)
    opinions.logits.sum().backward()
    assert opinions.logits.shape == (2, 6)
    assert sum(p.numel() for p in net.parameters()) < 1_000_000


@pytest.mark.parametrize("name", ["cten", "dfer_clip", "fusion_hicmae", "msaf", "ogm_ge", "timesformer", "vaanet"])
def test_a_network_follows_a_change_of_snippets_crop_and_chunks(name):
    recipe = overridden(RECIPES[name](), {"snippets": "2", "crop": "32", "chunk_frames": "64", "net_options": {"small": True}})
    net = NETS[recipe.network](num_classes=recipe.num_classes, **recipe.net_options).eval()
    opinions = net(torch.randn(1, 2, 3, 8, 32, 32), torch.randn(1, 2, 1, 64, 32))
    assert opinions.logits.shape == (1, 6)


def test_dfer_clip_is_told_the_release_s_own_classes():
    """Six classes need not be our six: anger is not to be described as excitement."""
    ekman = ("anger", "disgust", "fear", "joy", "sadness", "surprise")
    changes = {"classes": ekman, "polarity": ("negative",) * 6, "net_options": {"small": True}}
    prompts = {}
    for classes in (ekman, recipe_classes := RECIPES["dfer_clip"]().classes):
        recipe = overridden(RECIPES["dfer_clip"](), {**changes, "classes": classes})
        prompts[classes] = NETS["dfer_clip"](num_classes=6, **recipe.net_options).ids_KL
    assert not (prompts[ekman] == prompts[recipe_classes]).all(1).any()
    assert len(prompts[ekman].unique(dim=0)) == 6


def test_recipes_need_no_torch():
    program = "import sys, training.engine.recipes.baselines, training.engine.paper_tables; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_baselines_tables_row_is_trained_on_its_own_logits_with_plain_cross_entropy():
    recipe = RECIPES["convnext_cspdarknet53"]()
    assert recipe.gamma == (0.0, 0.0, 0.0)
    assert recipe.loss_weights == (1.0, 0.0, 0.0)
    assert RECIPES["convnext_cspdarknet53_lgf"]().loss_weights == (1.0, 1.0, 1.0)


def test_the_ablations_meet_where_the_paper_says_they_do():
    as_one = [RECIPES[name]() for name in ("fusion_lgf", "strategy_mid_concat", "levels_2")]
    with torch.device("meta"):
        sizes = {sum(p.numel() for p in NETS[r.network](**r.net_options).parameters()) for r in as_one}
    assert sizes == {69_237_568}


def test_the_paper_numbers_hold_together():
    """UAR is the mean of the six recalls in every row of Table IV but one, which the paper prints so."""
    off = set()
    for row in TABLES["IV"].rows:
        for values in row.values.values():
            if abs(sum(values[:6]) / 6 - values[8]) > 0.02:
                off.add(row.recipe)
    assert off == {"dfer_clip"}


def test_a_pretrained_part_learns_at_its_own_rate():
    recipe = RECIPES["dfer_clip"]()
    net = NETS["dfer_clip"](num_classes=6, small=True)
    optimiser = optimiser_of(net, recipe)
    set_rate(optimiser, 0.01)
    rate_of = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert rate_of[id(net.clip.visual_projection.weight)] == pytest.approx(1e-5)
    assert rate_of[id(net.context)] == pytest.approx(1e-3)
    assert rate_of[id(net.temporal.cls_token)] == pytest.approx(1e-2)
    assert len(rate_of) == sum(p.requires_grad for p in net.parameters())  # frozen ones take no part, none twice


def test_a_scale_for_no_parameter_is_refused():
    recipe = Recipe(name="r", network="ogm_ge", lr_scales={"backbon.": 0.1})
    with pytest.raises(ValueError, match=r"backbon\."):
        optimiser_of(NETS["ogm_ge"](small=True), recipe)


@pytest.mark.parametrize(("kind", "name"), [("SGD", "c3d"), ("Adam", "vaanet"), ("AdamW", "resnet34_audio")])
def test_a_recipe_gets_the_optimiser_its_authors_used(kind, name):
    recipe = RECIPES[name]()
    optimiser = optimiser_of(torch.nn.Linear(3, 2), recipe)
    assert type(optimiser).__name__ == kind
    assert optimiser.param_groups[0]["weight_decay"] == recipe.weight_decay


def test_a_schedule_of_steps_falls_by_the_factor_after_each_share():
    recipe = Recipe(name="r", schedule="steps", warmup=0.0, lr=1.0, step_at=(0.5, 0.8), step_factor=0.1)
    rates = [learning_rate(step, 10, recipe) for step in range(10)]
    assert rates == pytest.approx([1.0] * 5 + [0.1] * 3 + [0.01] * 2)
