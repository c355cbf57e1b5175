"""A recipe: every number of a training run in one frozen, printable dataclass.

overridden(recipe, {"epochs": "3"}) changes fields by name, as `--set epochs=3` does.
Where the paper is silent the default is the recommended reading and the other readings are presets (docs/av-canet.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

EMOTIONS = ("Excitation", "Fear", "Neutral", "Relaxation", "Sadness", "Tension")
POLARITY = ("positive", "negative", "neutral", "positive", "negative", "negative")
POLARITIES = ("positive", "neutral", "negative")

CHOICES: dict[str, tuple[str, ...]] = {
    "modalities": ("both", "video", "audio"),
    "pixel_norm": ("imagenet", "vaanet"),
    "augment": ("paper", "vaanet", "none"),
    "test_protocol": ("centre", "random"),
    "audio_layout": ("tile", "zero", "head_tile", "aligned"),
    "audio_norm": ("none", "zscore"),
    "waveform_norm": ("int16", "peak"),
    "labels": ("majority", "votes", "posterior"),
    "optimiser": ("adamw", "adam", "sgd"),
    "schedule": ("cosine", "constant", "steps"),
    "select_by": ("acc", "wa_f1", "uar"),
    "precision": ("fp32", "tf32", "bf16"),
    "fused_attention": ("auto", "on", "off"),
    "device": ("auto", "cpu", "cuda"),
}


LEAST: dict[str, float] = {
    **dict.fromkeys(("snippets", "frames", "crop", "chunk_frames", "num_mfcc", "epochs", "batch_size", "accumulate", "log_every"), 1),
    **dict.fromkeys(("workers", "lr", "weight_decay", "clip_grad", "checkpoint_every_s"), 0),
}
SHARES = ("max_unusable", "warmup", "lr_floor")
NUMBERS_OF = {"gamma": "positive, neutral, negative", "loss_weights": "fused, visual, audio", "betas": "of the mean, of the square"}

# What of a network's options follows from the recipe: network → option → field.
FOLLOWS: dict[str, dict[str, str]] = {
    "cnn14": {"num_coefficients": "num_mfcc"},
    "ecapa_tdnn": {"num_coefficients": "num_mfcc"},
    "res2net": {"num_coefficients": "num_mfcc"},
    "campplus": {"num_coefficients": "num_mfcc"},
    "cten": {"num_snippets": "snippets"},
    "former_dfer": {"num_frames": "snippets"},
    "timesformer": {"image_size": "crop"},
    "dfer_clip": {"num_frames": "snippets", "classes": "classes"},
    "vaanet": {"num_snippets": "snippets"},
    "ogm_ge": {"num_snippets": "snippets"},
    "mmcosine": {"num_snippets": "snippets"},
    "msaf": {"num_snippets": "snippets", "chunk_frames": "chunk_frames"},
    "resnet3d50_resnet34": {"num_snippets": "snippets"},
    "convnext_cspdarknet53": {"num_snippets": "snippets"},
    "fusion_net": {"num_snippets": "snippets"},
}


def say(default: Any, text: str) -> Any:
    """A field with a default and one line that says what it is."""
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata={"help": text})
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    name: str = field(metadata={"help": "the name it is listed under"})
    network: str = say("avcanet", "a name in training.nets.NETS")
    net_options: Mapping[str, Any] = say({}, "keyword arguments of the network beside num_classes")
    classes: tuple[str, ...] = say(EMOTIONS, "class names, in class-id order")
    polarity: tuple[str, ...] = say(POLARITY, "positive, neutral or negative, one for each class")
    init_from: str = say("", "weights to start from: a safetensors file of this project; its classifier is left out (A24)")
    init_video: str = say("", "weights of the visual backbone (see training.engine.checkpoints); empty: from scratch")
    init_audio: str = say("", "weights of the audio backbone, an ImageNet ResNet; empty: from scratch")

    modalities: str = say("both", "both, or the one branch that the network reads")
    snippets: int = say(16, "equal segments a clip is cut into, one snippet from each")
    frames: int = say(8, "consecutive frames in a snippet")
    crop: int = say(112, "side of the square crop; the short side of a frame is scaled to it")
    pixel_norm: str = say("imagenet", "imagenet mean and deviation, or vaanet: x/255 - 100/255 (A6)")
    augment: str = say(
        "paper", "paper: flip and random crop; vaanet: corner crops, and at 0.3 one of flip, rotation, brightness; none (A7)"
    )
    test_protocol: str = say("centre", "centre crop and centre frames, or random ones as in training (A19)")
    audio_layout: str = say(
        "tile", "to snippets x chunk_frames: centre crop, else tile or zero-pad; head_tile; or aligned in time (A2, A3)"
    )
    audio_norm: str = say("none", "none, or zscore of each coefficient over the clip (A4)")
    waveform_norm: str = say("int16", "int16: samples / 32768; peak: divided by the loudest (A4)")
    chunk_frames: int = say(256, "MFCC frames in one snippet")
    num_mfcc: int = say(32, "MFCC coefficients")
    min_frames: int = say(16, "clips with fewer frames are refused (A23)")
    max_unusable: float = say(0.01, "largest share of clips that may be left out because they cannot be decoded or are too short")
    store: str = say("auto", "prepared proxies: auto (beside the release), off (decode the source each time), or a folder")

    gamma: tuple[float, ...] = say((0.7, 0.7, 0.7), "EP-CE penalty of positive, neutral, negative labels; zeros: cross-entropy")
    loss_weights: tuple[float, ...] = say((1.0, 1.0, 1.0), "weights of the fused, visual and audio losses (A16)")

    labels: str = say("majority", "what is learnt of a training clip: its label; the shares of its votes; or its Dawid-Skene posterior")

    epochs: int = say(30, "passes over the training part")
    batch_size: int = say(8, "samples in one forward pass, over all processes")
    accumulate: int = say(4, "batches to one optimiser step: the deferred update (A17)")
    flush_last_group: bool = say(True, "step on an incomplete last group of an epoch instead of dropping it (A17)")
    optimiser: str = say("adamw", "adamw, or what a baseline's authors used: adam, sgd")
    lr: float = say(1.5e-4, "peak learning rate")
    lr_scales: Mapping[str, float] = say({}, "factor of lr for parameters whose name starts so, e.g. a pretrained backbone's")
    weight_decay: float = say(2e-2, "weight decay")
    betas: tuple[float, ...] = say((0.9, 0.999), "betas of AdamW and Adam")
    momentum: float = say(0.9, "momentum of SGD")
    schedule: str = say("cosine", "after the warm-up: cosine to lr_floor, constant, or steps (A1)")
    step_at: tuple[float, ...] = say((0.7,), "with steps: shares of the run after each of which lr is multiplied by step_factor")
    step_factor: float = say(0.1, "with steps: the factor")
    warmup: float = say(0.05, "share of all optimiser steps spent on a linear warm-up")
    lr_floor: float = say(0.01, "last learning rate as a share of lr")
    clip_grad: float = say(0.0, "largest gradient norm; 0: not clipped")
    seed: int = say(1, "of weights, order, crops, dropout and the validation draw")

    val_fraction: float = say(0.1, "stratified share of the training part kept for selection; 0: the last epoch is chosen (A20)")
    select_by: str = say("acc", "the validation score that chooses the best epoch: acc, wa_f1 or uar")
    test_each_epoch: bool = say(False, "also score the test part every epoch and keep best-on-test, for comparison with the paper (A20)")

    precision: str = say("fp32", "fp32, tf32 or bf16 autocast")
    compile: bool = say(False, "torch.compile the network")
    fused_attention: str = say("auto", "window attention of the visual backbone by torch's fused kernel: on, off, or auto (on a GPU)")
    checkpoint_gradients: bool = say(False, "recompute the visual backbone's activations in the backward pass")
    device: str = say("auto", "auto takes CUDA when there is one")
    workers: int = say(2, "loader processes; 0: in the training process")
    log_every: int = say(10, "optimiser steps between two lines of metrics.jsonl")
    tensorboard: bool = say(False, "also write event files for TensorBoard; MLFLOW_TRACKING_URI in the environment adds MLflow")
    checkpoint_every_s: float = say(600.0, "seconds between two checkpoints inside an epoch")

    def __post_init__(self) -> None:
        for key, allowed in CHOICES.items():
            if getattr(self, key) not in allowed:
                raise ValueError(f"recipe {self.name}: {key} is {getattr(self, key)!r}; choose one of {', '.join(allowed)}")
        if len(self.polarity) != len(self.classes):
            raise ValueError(
                f"recipe {self.name}: {len(self.classes)} classes but {len(self.polarity)} polarities; give one for each class"
            )
        if unknown := set(self.polarity) - set(POLARITIES):
            raise ValueError(f"recipe {self.name}: polarity {sorted(unknown)} is none of {', '.join(POLARITIES)}")
        for key, each in NUMBERS_OF.items():
            if len(getattr(self, key)) != each.count(",") + 1:
                raise ValueError(f"recipe {self.name}: {key} needs {each.count(',') + 1} numbers ({each}), got {getattr(self, key)}")
        for key, least in LEAST.items():
            if not getattr(self, key) >= least:  # NaN is not
                raise ValueError(f"recipe {self.name}: {key} is {getattr(self, key)}; it must be at least {least}")
        for key in SHARES:
            if not 0 <= getattr(self, key) <= 1:
                raise ValueError(f"recipe {self.name}: {key} is {getattr(self, key)}; it must be in [0, 1]")
        if not 0 <= self.val_fraction < 1:
            raise ValueError(f"recipe {self.name}: val_fraction is {self.val_fraction}; it must be in [0, 1)")

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as recipe.json holds them."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def from_dict(values: Mapping[str, Any]) -> Recipe:
    """The recipe that as_dict gave. Raises ValueError on a field that does not exist."""
    known = {f.name for f in fields(Recipe)}
    if unknown := set(values) - known:
        raise ValueError(f"unknown recipe field {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    settled: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return Recipe(**settled)


def changes_of(texts: Sequence[str]) -> dict[str, str]:
    """Fields and values of `--set FIELD=VALUE`. Raises ValueError on a text of another form."""
    changes = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set {text}: write FIELD=VALUE")
        changes[name.strip()] = value.strip()
    return changes


def overridden(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The recipe with fields set from text or plain values. Raises ValueError with the field's name on a bad one.

    net_options are merged into those there are; those of another network do not survive a change of network, and those that
    follow from other fields follow.
    """
    known = {f.name: f for f in fields(recipe)}
    if changes.get("network", recipe.network) != recipe.network:
        recipe = replace(recipe, net_options={})
    parsed = {}
    for key, value in changes.items():
        if key not in known or key == "name":
            raise ValueError(f"unknown recipe field {key!r}; there are {', '.join(sorted(known.keys() - {'name'}))}")
        parsed[key] = _parse(key, getattr(recipe, key), value)
    return fitted(replace(recipe, **parsed))


def fitted(recipe: Recipe) -> Recipe:
    """The recipe with those network options set that follow from its other fields."""
    follows = {option: getattr(recipe, field) for option, field in FOLLOWS.get(recipe.network, {}).items()}
    return replace(recipe, net_options={**recipe.net_options, **follows})


def _parse(key: str, now: Any, value: Any) -> Any:
    """value in the type of the field's present value."""
    try:
        if isinstance(now, bool):
            return _as_bool(value)
        if isinstance(now, tuple):
            parts = [p.strip() for p in value.split(",")] if isinstance(value, str) else list(value)
            return tuple(type(now[0])(p) for p in parts)
        if isinstance(now, Mapping):
            return {**now, **(json.loads(value) if isinstance(value, str) else value)}
        return type(now)(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"recipe field {key}: cannot read {value!r} as {type(now).__name__} ({error})") from error


def _as_bool(value: Any) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if str(value).lower() not in words:
        raise ValueError("write true or false")
    return words[str(value).lower()]
