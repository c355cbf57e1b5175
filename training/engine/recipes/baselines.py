"""Recipes of everything the paper compares AV-CANet with: baselines, fusion modules, fusion strategies, ablations, penalties, transfer.

A baseline's optimiser, rate and schedule are those its authors published; the epochs are the paper's 30 for all ("to guarantee fair comparisons"), so a
published schedule keeps its shape. Their loss is cross-entropy on their own logits. Tables VI, VIII, IX and Fig. 8 hold AV-CANet under cross-entropy
(their Vanilla, None, LGF and Mid-Concat rows agree to the digit only so); Table X adds the penalty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from training.engine.recipes.avcanet import DEBUG_NET
from training.engine.recipes.recipe import Recipe, fitted

PLAIN = (0.0, 0.0, 0.0)  # gamma: cross-entropy
OWN_LOGITS = (1.0, 0.0, 0.0)  # loss_weights: no opinion of a branch is trained
SOUND = {"modalities": "audio"}
PICTURES = {"modalities": "video"}

ADAM_AUDIO = {"optimiser": "adam", "lr": 1e-3, "weight_decay": 1e-5, "warmup": 1 / 12, "batch_size": 64, "accumulate": 1}
ADAM_VAANET = {
    "optimiser": "adam",
    "lr": 2e-4,
    "weight_decay": 0.0,
    "schedule": "constant",
    "warmup": 0.0,
    "batch_size": 32,
    "accumulate": 1,
}
SGD = {"optimiser": "sgd", "schedule": "steps", "warmup": 0.0, "accumulate": 1}

# network, recipe fields, network options; the fields that are not named are AV-CANet's.
BASELINES: dict[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "resnet34_audio": ("resnet34_audio", SOUND, {}),
    "cnn14": ("cnn14", {**SOUND, **ADAM_AUDIO}, {}),
    "ecapa_tdnn": ("ecapa_tdnn", {**SOUND, **ADAM_AUDIO}, {}),
    "res2net": ("res2net", {**SOUND, **ADAM_AUDIO}, {}),
    "campplus": ("campplus", {**SOUND, **ADAM_AUDIO}, {}),
    "video_swin_t": ("video_swin_t", {**PICTURES, "lr": 1e-3, "lr_scales": {"backbone.": 0.1}, "warmup": 2.5 / 30}, {}),
    "i3d": ("i3d", {**PICTURES, **SGD, "lr": 0.1, "weight_decay": 1e-7, "step_at": (0.5, 0.75)}, {}),
    "slowfast_r50": (
        "slowfast_r50",
        {**PICTURES, "optimiser": "sgd", "lr": 0.1, "weight_decay": 1e-4, "schedule": "cosine", "warmup": 0.17, "accumulate": 8},
        {},
    ),
    "cten": ("cten", {**PICTURES, **ADAM_VAANET, "loss_weights": (1 / 3, 1 / 3, 1 / 3), "pixel_norm": "vaanet"}, {"sound": False}),
    "cten_sound": ("cten", {**ADAM_VAANET, "loss_weights": (1 / 3, 1 / 3, 1 / 3), "pixel_norm": "vaanet"}, {}),
    "former_dfer": ("former_dfer", {**PICTURES, **SGD, "lr": 0.01, "weight_decay": 1e-4, "batch_size": 32, "step_at": (0.4, 0.8)}, {}),
    "timesformer": ("timesformer", {**PICTURES, **SGD, "lr": 5e-3, "weight_decay": 1e-4, "step_at": (11 / 15, 14 / 15)}, {}),
    "dfer_clip": (
        "dfer_clip",
        {**PICTURES, **SGD, "lr": 1e-2, "lr_scales": {"clip.": 1e-3, "context": 0.1}, "weight_decay": 1e-4, "step_at": (0.6, 0.8)},
        {},
    ),
    "c3d": ("c3d", {**PICTURES, **SGD, "lr": 1e-3, "weight_decay": 5e-4, "batch_size": 30, "step_at": (20 / 45, 40 / 45)}, {}),
    # PCCE: its penalty of 0.5 falls on positive and negative labels only.
    "vaanet": ("vaanet", {**ADAM_VAANET, "gamma": (0.5, 0.0, 0.5), "pixel_norm": "vaanet", "augment": "vaanet"}, {}),
    "ogm_ge": ("ogm_ge", {**SGD, "lr": 1e-3, "weight_decay": 1e-4, "batch_size": 64, "step_at": (0.7,)}, {}),
    "msaf": ("msaf", {"optimiser": "adam", "lr": 1e-3, "weight_decay": 0.0, "schedule": "constant", "batch_size": 4, "accumulate": 1}, {}),
    "mmcosine": ("mmcosine", {**SGD, "lr": 1e-3, "weight_decay": 1e-4, "batch_size": 64, "step_at": (0.7,)}, {}),
    "resnet3d50_resnet34": ("resnet3d50_resnet34", {}, {}),
    "convnext_cspdarknet53": ("convnext_cspdarknet53", {}, {}),
}
FIG7_HOSTS = ("vaanet", "ogm_ge", "msaf", "mmcosine", "resnet3d50_resnet34", "convnext_cspdarknet53")
FUSIONS = ("self_attention", "lgi_former", "hicmae")  # Vanilla and LGF are AV-CANet itself
STRATEGIES = ("gated", "multiply", "neural", "mid_concat", "sum")
PENALTIES = (0.3, 0.4, 0.5, 0.7)
LEVELS, MASKS = (1, 2, 3, 4), (1, 2, 4, 8, -1)  # -1: the whole clip

# Table VII: the folder of weights that each is looked for in (net_options model=DIR names another, url=U an endpoint).
LANGUAGE_MODELS = {
    "llava": "LLaVA-NeXT-Video-7B-hf",
    "qwen_vl": "Qwen2.5-VL-7B-Instruct",
    "internvl": "InternVL3-8B-hf",
    "video_llama": "VideoLLaMA3-7B",
}

OWN_BRANCHES = ("avcanet", "video_branch", "audio_branch")  # networks that take sizes in place of small=True


def baseline(name: str) -> Recipe:
    network, fields, options = BASELINES[name]
    settled = {"gamma": PLAIN, "loss_weights": OWN_LOGITS, **fields}
    return fitted(Recipe(name=name, network=network, net_options=dict(options), **settled))


def with_lgf(host: str) -> Recipe:
    """An audio-visual baseline whose own fusion is replaced by the LGF module (Fig. 7); each branch's opinion is trained too."""
    plain = baseline(host)
    options = {**plain.net_options, "fusion": "lgf"}
    return replace(plain, name=f"{host}_lgf", net_options=options, loss_weights=(1.0, 1.0, 1.0))


def ablation(name: str, **options: Any) -> Recipe:
    """AV-CANet under cross-entropy, with other options of the network."""
    return Recipe(name=name, net_options=options, gamma=PLAIN)


def penalised(gamma: float) -> Recipe:
    """AV-CANet with one penalty for all polarities (Table X)."""
    return Recipe(name=f"epce_{gamma}", gamma=(gamma, gamma, gamma))


def branch(kind: str) -> Recipe:
    """One branch of AV-CANet alone, under cross-entropy."""
    return Recipe(name=f"{kind}_branch", network=f"{kind}_branch", modalities=kind, gamma=PLAIN, loss_weights=OWN_LOGITS)


def fusion_module(name: str) -> Recipe:
    """AV-CANet's branches under another overall fusion module (Table VI)."""
    return fitted(Recipe(name=f"fusion_{name}", network="fusion_net", net_options={"fusion": name}, gamma=PLAIN))


def language_model(name: str) -> Recipe:
    """A row of Table VII; nothing is trained, training.engine.mllm asks it."""
    options = {"model": f"models/{LANGUAGE_MODELS[name]}", "language": "en", "frames": 8}
    return Recipe(name=name, network="mllm", net_options=options, gamma=PLAIN)


def smoke(recipe: Recipe) -> Recipe:
    """The same row at the smallest size that still runs every module: narrow, two small snippets, one epoch, on the processor."""
    sizes: Mapping[str, Any] = {"small": True}
    if recipe.network == "avcanet":
        sizes = DEBUG_NET
    elif recipe.network == "mllm":
        sizes = {"tiny": True}
    elif recipe.network in OWN_BRANCHES:
        branch = DEBUG_NET["video" if recipe.network == "video_branch" else "audio"]
        sizes = {"width": DEBUG_NET["width"], **(branch if isinstance(branch, Mapping) else {})}
    options = {**sizes, **recipe.net_options}
    small = replace(
        recipe,
        name=f"{recipe.name}_smoke",
        net_options=options,
        snippets=4,
        frames=8,
        crop=64,
        chunk_frames=64,
        epochs=1,
        batch_size=4,
        accumulate=1,
        val_fraction=0.0,
        workers=0,
        device="cpu",
        precision="fp32",
    )
    return fitted(small)


def _named(make: Callable[..., Recipe], *given: Any, **options: Any) -> Callable[[], Recipe]:
    return lambda: make(*given, **options)


BASELINE_RECIPES: dict[str, Callable[[], Recipe]] = {
    **{name: _named(baseline, name) for name in BASELINES},
    **{f"{host}_lgf": _named(with_lgf, host) for host in FIG7_HOSTS},
    # Table VI, IX
    "fusion_vanilla": _named(ablation, "fusion_vanilla", local=False, global_=False),
    **{f"fusion_{name}": _named(fusion_module, name) for name in FUSIONS},
    "fusion_lgf": _named(ablation, "fusion_lgf"),
    "only_lisf": _named(ablation, "only_lisf", global_=False),
    "only_glcf": _named(ablation, "only_glcf", local=False),
    # Table VIII
    **{f"strategy_{name}": _named(ablation, f"strategy_{name}", fusion=name) for name in STRATEGIES},
    # Fig. 8
    **{f"levels_{n}": _named(ablation, f"levels_{n}", levels=n) for n in LEVELS},
    **{f"mask_{'all' if d < 0 else d}": _named(ablation, f"mask_{'all' if d < 0 else d}", windows=[d, d]) for d in MASKS},
    # Table X
    **{f"epce_{g}": _named(penalised, g) for g in PENALTIES},
    # Beside the paper: what the annotators' disagreement is worth
    "labels_votes": lambda: Recipe(name="labels_votes", labels="votes"),
    "labels_posterior": lambda: Recipe(name="labels_posterior", labels="posterior"),
    "video_branch": _named(branch, "video"),
    "audio_branch": _named(branch, "audio"),
}
# Not among RECIPES: they cannot be trained.
MLLM_RECIPES: dict[str, Callable[[], Recipe]] = {name: _named(language_model, name) for name in LANGUAGE_MODELS}
