"""What changes how a step is computed and not what it is: precision, recomputed activations, the fused kernel, torch.compile.

The needs of torch.compile are checked first: without a compiler it fails minutes later, in the middle of a trace of torch's own files.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.engine.recipes import Recipe
from training.nets.backbones import WindowAttention


def autocast(recipe: Recipe, device: torch.device) -> Any:
    return torch.autocast(device.type, torch.bfloat16) if recipe.precision == "bf16" else nullcontext()


def set_precision(recipe: Recipe) -> None:
    torch.set_float32_matmul_precision("highest" if recipe.precision == "fp32" else "high")
    torch.backends.cudnn.deterministic = True


def ask_recompute(net: nn.Module) -> None:
    """Turns on gradient checkpointing in every module that offers it."""
    offering = [module for module in net.modules() if callable(getattr(module, "checkpoint_gradients", None))]
    if not offering:
        raise ValueError(f"{type(net).__name__} has no module that can recompute its activations; set checkpoint_gradients=false")
    for module in offering:
        module.checkpoint_gradients()  # type: ignore[operator]  # torch types a module's methods as tensors


def ask_fused(net: nn.Module, on: bool) -> None:
    """Has every window attention use the fused kernel, or none."""
    windows = [module for module in net.modules() if isinstance(module, WindowAttention)]
    if not windows:
        raise ValueError(f"{type(net).__name__} has no window attention; set fused_attention=auto")
    for module in windows:
        module.fused = on


def compiled(model: nn.Module) -> nn.Module:
    """The network, compiled at its first step. Raises ValueError naming what the machine lacks.

    Each size of batch is compiled for itself: there are two at most, an epoch's last batch being smaller than the rest. Dropout is
    drawn as without compiling, so that the loss curve stays what it was.
    """
    if missing := missing_tools():
        raise ValueError(f"compile=true needs {' and '.join(missing)}; install it (Debian: g++, python3-dev), or set compile=false")
    return torch.compile(model, dynamic=False, options={"fallback_random": True})  # type: ignore[return-value]  # torch types it as a callable


def missing_tools() -> list[str]:
    """What torch's compiler needs and cannot find: a C++ compiler (CXX, else g++), Python's headers."""
    compiler = os.environ.get("CXX", "g++")
    missing = [] if shutil.which(compiler) else [f"the C++ compiler {compiler}, which is not on the PATH,"]
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return missing if header.is_file() else [*missing, f"Python's headers ({header})"]
