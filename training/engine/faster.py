"""torch.compile with its needs checked first: without a compiler it fails minutes later, in the middle of a trace of torch's own files."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

import torch
from torch import nn


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
