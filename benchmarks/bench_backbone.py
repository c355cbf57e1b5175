"""Video Swin-T, forward and backward on a processor, beside torchvision's swin3d_t in the same run, and whether they agree.

torchvision is a peer and no dependency: `pip install --no-deps --target DIR torchvision`, then PYTHONPATH=DIR and --peers.
"""

from __future__ import annotations

import importlib.util
import re
import time
from typing import Any

import torch
from torch import Tensor, nn

from training.engine.checkpoints import swin_state
from training.nets.backbones import VideoSwinT

NUM_SNIPPETS, REPEATS = 4, 15


def measure(*, peers: bool) -> dict[str, Any]:
    """Processor seconds of a step on four snippets, the least of fifteen taken in turns; the largest difference of the outputs."""
    torch.manual_seed(0)
    snippets = torch.randn(NUM_SNIPPETS, 3, 8, 112, 112)
    ours = VideoSwinT(drop_path=0.0, legacy_rpb_slice=True)
    nets: dict[str, nn.Module] = {"ours": ours}
    if peers and importlib.util.find_spec("torchvision"):
        nets["torchvision"] = _torchvision_swin()
        ours.load_state_dict(swin_state(nets["torchvision"].state_dict(), ours))
    taken: dict[str, list[float]] = {name: [] for name in nets}
    for _ in range(REPEATS):
        for name, net in nets.items():
            taken[name].append(_step_seconds(net, snippets))
    result: dict[str, Any] = {f"{name}_s": min(seconds) for name, seconds in taken.items()} | {"snippets": NUM_SNIPPETS}
    if "torchvision" in nets:
        result["relative_difference"] = _difference(ours, nets["torchvision"], snippets)
        result["faster_than_torchvision"] = result["torchvision_s"] / result["ours_s"]
        result["limits"] = {"relative_difference": 1e-4, "faster_than_torchvision": 1.0}
    return result


def _step_seconds(net: nn.Module, snippets: Tensor) -> float:
    since = time.process_time()
    _tokens(net, snippets).square().mean().backward()
    return time.process_time() - since


def _tokens(net: nn.Module, snippets: Tensor) -> Tensor:
    """(B, T/2, H/32, W/32, C): torchvision's network without its pooling and head."""
    if isinstance(net, VideoSwinT):
        return net(snippets)
    return net.norm(net.features(net.patch_embed(snippets)))  # type: ignore[operator]  # torch types a module's parts as tensors


def _difference(ours: VideoSwinT, theirs: nn.Module, snippets: Tensor) -> float:
    with torch.inference_mode():
        one, other = _tokens(ours.eval(), snippets), _tokens(theirs.eval(), snippets)
    return float((one - other).abs().max() / other.abs().max())


def _torchvision_swin() -> nn.Module:
    """swin3d_t without stochastic depth, its biases not at zero, so that none hides."""
    _declare_missing_operators()
    swin3d_t = importlib.import_module("torchvision.models.video").swin3d_t
    net = swin3d_t(weights=None)
    for module in net.modules():
        if type(module).__name__ == "StochasticDepth":
            module.p = 0.0
    for name, parameter in net.named_parameters():
        if re.search("bias", name):
            nn.init.normal_(parameter, std=0.2)
    return net


def _declare_missing_operators() -> None:
    """torchvision from PyPI is linked to CUDA; beside a processor build of torch its operators are missing, and only its models are used here."""
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT.append(library)


_KEPT: list[Any] = []
