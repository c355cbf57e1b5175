"""Weights from elsewhere: Video Swin and 2-D Swin in five dialects, ImageNet ResNets, and runs of this project.

Every file is read with weights only (no code in it can run), every key is accounted for: what is missing or left over is
an error, not a silence. No weights come with the project; without any, training starts from scratch.

python -m training.engine.checkpoints swin|resnet IN OUT.safetensors converts once, so that later loads need no pickle.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from training.engine.console import tells_in_one_line
from training.engine.recipes import Recipe
from training.engine.runs import build, damage, first_line, save_weights
from training.nets.backbones import AudioResNet, VideoSwinT

State = dict[str, Tensor]

UNREADABLE = (  # by torch.load over bytes that are no pickle of its own
    *(SafetensorError, RuntimeError, EOFError, LookupError, TypeError, AttributeError, AssertionError, UnicodeDecodeError, OverflowError),
)
CONTAINERS = ("state_dict", "model")
PREFIXES = ("module.", "backbone.", "swin.", "resnet.")


def initialised(net: nn.Module, recipe: Recipe) -> nn.Module:
    """The network with the weights that the recipe names; empty names mean from scratch."""
    if recipe.init_from:
        load_own(net, Path(recipe.init_from), classifier_keys(recipe))
    kinds: tuple[tuple[str, type[nn.Module], Callable[..., None]], ...] = (
        ("init_video", VideoSwinT, load_swin),
        ("init_audio", AudioResNet, load_resnet),
    )
    for name, kind, load in kinds:
        if path := getattr(recipe, name):
            targets = [module for module in net.modules() if isinstance(module, kind)]
            if not targets:
                raise ValueError(f"recipe {recipe.name}: {name} is set, but {recipe.network} has no {kind.__name__}; leave it empty")
            for target in targets:
                load(target, Path(path))
    return net


def read_weights(path: Path) -> State:
    """The tensors of a safetensors or torch file, freed of its container."""
    if not path.is_file():
        raise ValueError(f"{path}: no weights there; put the file in place, or train from scratch by leaving the recipe's init field empty")
    try:
        raw: Any = load_file(str(path)) if path.suffix == ".safetensors" else _unpickled(path)
    except UNREADABLE as error:  # cut short, or no such file at all
        raise ValueError(f"{path} cannot be read as weights ({first_line(error) or type(error).__name__}); fetch it again") from error
    if not isinstance(raw, Mapping):
        raise ValueError(f"{path} holds a {type(raw).__name__} and no weights by name; save a state_dict and give that")
    for name in CONTAINERS:
        if isinstance(raw.get(name), Mapping):
            raw = raw[name]
    return {k: v for k, v in raw.items() if isinstance(v, Tensor)}


def read_backbone(path: Path) -> State:
    """The tensors of a file, freed of prefixes too; what stands beside the backbone (a classifier, a temporal head) is left out."""
    state = read_weights(path)
    for prefix in PREFIXES:
        if any(k.startswith(prefix) for k in state):
            state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    return state


def _unpickled(path: Path) -> Any:
    if is_zipfile(path) and (why := damage(path)):
        raise ValueError(f"{why}; fetch it again")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError(f"{path} holds more than weights, and nothing in it is run; save its state_dict alone and give that") from error


def classifier_keys(recipe: Recipe) -> list[str]:
    """The weights of the recipe's network whose shape follows the number of classes: its classifier, whatever its file calls it."""
    more = replace(recipe, classes=(*recipe.classes, "one more"), polarity=(*recipe.polarity, "neutral"))
    with torch.device("meta"):
        own, other = build(recipe).state_dict(), build(more).state_dict()
    return [key for key, value in own.items() if value.shape != other[key].shape]


def load_own(net: nn.Module, path: Path, classifier: Collection[str]) -> None:
    """Loads a network of this project but for its classifier, whose keys are given (Tab. XI, XII; A24).

    As many classes need not be the same classes, so the classifier stays out also where it would fit.
    Raises ValueError if anything else is missing, left over or of another shape.
    """
    state = {key: value for key, value in read_weights(path).items() if key not in classifier}
    _load(net, state, path, may_miss=classifier)


def load_swin(swin: VideoSwinT, path: Path) -> None:
    """Loads 3-D or 2-D Swin weights; 2-D ones are inflated."""
    _load(swin, _named(path, swin_state, swin), path)


def load_resnet(resnet: AudioResNet, path: Path) -> None:
    """Loads an ImageNet ResNet; its first convolution is summed over colour and width to fit ours."""
    _load(resnet, _named(path, resnet_state, resnet), path)


def _named(path: Path, state_of: Callable[..., State], module: nn.Module) -> State:
    """The file's weights under this project's names. Raises ValueError that names the file if they are of another kind."""
    raw = read_backbone(path)
    try:
        return state_of(raw, module)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _load(module: nn.Module, state: State, path: Path, may_miss: Collection[str] = ()) -> None:
    own = module.state_dict()
    missing = [k for k in own if k not in state and k not in may_miss and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in state if k not in own]
    shaped = [f"{k} is {tuple(v.shape)}, needed {tuple(own[k].shape)}" for k, v in state.items() if k in own and own[k].shape != v.shape]
    if missing or unexpected or shaped:
        raise ValueError(
            f"{path} does not fit {type(module).__name__}: missing {_few(missing)}; unexpected {_few(unexpected)};"
            f" of another shape {_few(shaped)}; give the weights of the same architecture"
        )
    module.load_state_dict(state, strict=False)


def _few(names: Sequence[str]) -> str:
    return "none" if not names else ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


# ---- Swin ------------------------------------------------------------------------------------------------------------

HF_SWIN = (
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.norm\.", "patch_embed.norm."),
    (r"^layernorm\.", "norm."),
    (r"^encoder\.layers\.", "layers."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.attention\.self\.(query|key|value)\.", r".attn.\1."),
    (r"\.attention\.([qkv])_proj\.", r".attn.\1_proj."),  # transformers 5 renamed them
    (r"\.attention\.(self|relative_position_bias)\.relative_position", ".attn.relative_position"),
    (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
)
TORCHVISION_MLP = ((r"\.mlp\.0\.", ".mlp.fc1."), (r"\.mlp\.3\.", ".mlp.fc2."))
HEADS = ("head.", "cls_head.", "classifier.", "pooler.")
BUFFERS = ("relative_position_index", "attn_mask")


def swin_state(raw: State, swin: VideoSwinT) -> State:
    """Weights under this project's names, inflated to 3-D if they are 2-D."""
    kept = {k: v for k, v in raw.items() if not k.startswith(HEADS) and not k.endswith(BUFFERS)}
    state = _renamed_swin(kept)
    proj = state.get("patch_embed.proj.weight")
    if proj is None:
        raise ValueError(f"these are no Swin weights: no patch embedding among {_few(sorted(raw))}; give a Swin checkpoint")
    return inflated(state, swin) if proj.ndim == 4 else state


def _renamed_swin(state: State) -> State:
    if any(k.startswith("encoder.layers.") for k in state):  # Hugging Face
        return _joined_qkv(_renamed(state, HF_SWIN))
    if any(k.startswith("features.") for k in state):  # torchvision
        return _from_torchvision(state)
    if "layers.3.downsample.norm.weight" in state:  # timm since 0.8: the merging stands before its stage, not after
        return {re.sub(r"^layers\.(\d)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample", k): v for k, v in state.items()}
    return state  # Microsoft's own, and Video Swin's


def _renamed(state: State, rules: Sequence[tuple[str, str]]) -> State:
    renamed = {}
    for key, value in state.items():
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    return renamed


def _joined_qkv(state: State) -> State:
    joined = {k: v for k, v in state.items() if not re.search(r"\.attn\.(query|key|value|[qkv]_proj)\.", k)}
    for parts in (("query", "key", "value"), ("q_proj", "k_proj", "v_proj")):
        for key in [k for k in state if f".attn.{parts[0]}." in k]:
            joined[key.replace(parts[0], "qkv")] = torch.cat([state[key.replace(parts[0], part)] for part in parts])
    return joined


def _from_torchvision(state: State) -> State:
    """swin3d_t: features.{2i} is stage i, features.{2i+1} its merging. swin_t: one further on, features.0 being the patches."""
    flat = "patch_embed.proj.weight" not in state
    renamed = {}
    for key, value in _renamed(state, TORCHVISION_MLP).items():
        if flat:
            key = re.sub(r"^features\.0\.0\.", "patch_embed.proj.", key)
            key = re.sub(r"^features\.0\.2\.", "patch_embed.norm.", key)
        match = re.match(r"features\.(\d)\.(.*)", key)
        if match:
            place, rest = int(match[1]) - flat, match[2]
            key = f"layers.{place // 2}.downsample.{rest}" if place % 2 else f"layers.{place // 2}.blocks.{rest}"
        renamed[key] = value
    return renamed


def inflated(state: State, swin: VideoSwinT) -> State:
    """2-D weights in 3-D: patches repeated and averaged over time, the bias table the same at every distance in time."""
    own = swin.state_dict()
    out = dict(state)
    depth = own["patch_embed.proj.weight"].shape[2]
    out["patch_embed.proj.weight"] = state["patch_embed.proj.weight"].unsqueeze(2).repeat(1, 1, depth, 1, 1) / depth
    for key, table in state.items():
        if key.endswith("relative_position_bias_table"):
            stage = int(key.split(".")[1])
            out[key] = _inflated_table(table, swin.stages()[stage].window)
    return out


def _inflated_table(table: Tensor, window: tuple[int, int, int]) -> Tensor:
    sizes = (2 * window[1] - 1, 2 * window[2] - 1)
    have = round(len(table) ** 0.5)
    if (have, have) != sizes:
        plane = table.T.reshape(1, -1, have, have)
        table = nn.functional.interpolate(plane, size=sizes, mode="bicubic", align_corners=False)[0].flatten(1).T
    return table.repeat(2 * window[0] - 1, 1)


# ---- ResNet ----------------------------------------------------------------------------------------------------------

HF_RESNET = (
    (r"^embedder\.embedder\.convolution\.", "conv1."),
    (r"^embedder\.embedder\.normalization\.", "bn1."),
    (r"^encoder\.stages\.(\d)\.layers\.", lambda m: f"layer{int(m[1]) + 1}."),
    (r"\.shortcut\.convolution\.", ".downsample.0."),
    (r"\.shortcut\.normalization\.", ".downsample.1."),
    (r"\.layer\.(\d)\.convolution\.", lambda m: f".conv{int(m[1]) + 1}."),
    (r"\.layer\.(\d)\.normalization\.", lambda m: f".bn{int(m[1]) + 1}."),
)


def resnet_state(raw: State, resnet: AudioResNet) -> State:
    """torchvision's or Hugging Face's weights under this project's names."""
    kept = {k: v for k, v in raw.items() if not k.startswith(("fc.", *HEADS))}
    state = _renamed(kept, HF_RESNET) if any(k.startswith("embedder.") for k in kept) else kept  # type: ignore[arg-type]  # a dict of tensors either way
    first = state.get("conv1.weight")
    if first is None:
        raise ValueError(f"these are no ResNet weights: no first convolution among {_few(sorted(raw))}; give a ResNet checkpoint")
    if first.shape != resnet.conv1.weight.shape and first.shape[1:] == (3, 7, 7):
        state["conv1.weight"] = first.sum((1, 3), keepdim=True)
    return state


def _loaded(kind: str, path: Path) -> nn.Module:
    if kind == "swin":
        swin = VideoSwinT()
        load_swin(swin, path)
        return swin
    resnet = AudioResNet()
    load_resnet(resnet, path)
    return resnet


@tells_in_one_line()
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.engine.checkpoints", description="Converts foreign weights to safetensors once.")
    parser.add_argument("kind", choices=("swin", "resnet"))
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args(arguments)
    module = _loaded(options.kind, options.source)
    save_weights(options.target, module)
    print(f"{options.target}: {sum(v.numel() for v in module.state_dict().values()):,} numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
