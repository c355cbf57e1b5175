"""A run folder: recipe.json, environment.json, metrics.jsonl, checkpoints/, and the network that comes out of it again."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from training.engine.recipes import Recipe, from_dict
from training.nets import NETS

HEARTBEAT_S = 10.0
LAST, PREVIOUS = "last.pt", "previous.pt"  # the newest checkpoint, and the one before in case that the newest is damaged
MAY_CHANGE = (
    *("device", "workers", "log_every", "tensorboard", "checkpoint_every_s"),
    *("store", "precision", "compile", "fused_attention", "checkpoint_gradients"),
)


def build(recipe: Recipe) -> nn.Module:
    """The recipe's network with fresh weights."""
    if recipe.network not in NETS:
        raise ValueError(f"recipe {recipe.name}: there is no network {recipe.network!r}; choose one of {', '.join(sorted(NETS))}")
    try:
        return NETS[recipe.network](num_classes=recipe.num_classes, **recipe.net_options)
    except TypeError as error:
        raise ValueError(f"recipe {recipe.name}: {recipe.network} does not take these net_options ({error}); mend them") from error


def device_of(recipe: Recipe) -> torch.device:
    """Raises ValueError if the recipe asks for CUDA where there is none."""
    if recipe.device == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"recipe {recipe.name} asks for CUDA, and torch sees no GPU; set device=cpu or auto")
    on_gpu = recipe.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if on_gpu else torch.device("cpu")


def open_run(folder: Path, recipe: Recipe, facts: Mapping[str, Any], *, resume: bool) -> None:
    """Makes the folder, or checks that it belongs to this recipe. Raises ValueError if the two do not fit."""
    kept = folder / "recipe.json"
    if kept.is_file():
        if not resume:
            raise ValueError(f"{folder} holds a run already; go on with --resume, or give another --out")
        check_same(folder, recipe, facts)
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    write_json(kept, recipe.as_dict())
    write_json(folder / "environment.json", {**environment(), **facts})


def check_same(folder: Path, recipe: Recipe, facts: Mapping[str, Any]) -> None:
    """Raises ValueError if the run in the folder has another recipe, or began on other clips or labels."""
    made, hashed = folder / "environment.json", facts.get("manifest_sha256")  # the file is not there after a kill in between
    if made.is_file() and json.loads(made.read_text()).get("manifest_sha256", hashed) != hashed:
        raise ValueError(f"{folder} was started on other clips or labels than {facts['release']} holds; give its release, or another --out")
    before, now = json.loads((folder / "recipe.json").read_text()), recipe.as_dict()
    differing = [k for k in now if now[k] != before.get(k) and k not in MAY_CHANGE]
    if differing:
        told = "; ".join(f"{k} was {before.get(k)!r} and is {now[k]!r}" for k in differing)
        raise ValueError(f"{folder} was started with another recipe ({told}); resume it with the same, or give another --out")


def environment() -> dict[str, Any]:
    """What a result depends on beside recipe and release."""
    packages = {name: _version(name) for name in ("torch", "numpy", "av", "pillow", "safetensors")}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    machine = {"platform": platform.platform(), "cpus": os.cpu_count(), "threads": torch.get_num_threads(), "gpu": gpu}
    return {"git_commit": _git_commit(), "python": platform.python_version(), **packages, **machine, "command": sys.argv}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # PyAV, where prepared clips alone are read
        return None


def _git_commit() -> str:
    """The commit of this code, with + if files differ from it; empty outside a checkout."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", "."], cwd=here, capture_output=True, text=True, check=True, timeout=10
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit + ("+" if changed.strip() else "")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """All of it or nothing."""
    with _whole(path) as part:
        part.write_text(json.dumps(values, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


@contextmanager
def _whole(path: Path, *, keep: Path | None = None) -> Iterator[Path]:
    """Gives another name to write the file under; it takes its own when it is whole and on the disk. keep: what the file before it is then called.

    Raises OSError that names the file if it cannot be written; what there is of it is taken away, since the disk may be full.
    """
    part = path.with_suffix(".part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        if keep and path.is_file():
            path.replace(keep)
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch has its own words for a full disk
        part.unlink(missing_ok=True)
        raise OSError(
            f"{path} cannot be written ({first_line(_root(error))}); see that there is room and that it may be written"
        ) from error


def _root(error: BaseException) -> BaseException:
    """What began it: torch raises one error after another while it closes a file that cannot be written."""
    while error.__context__:
        error = error.__context__
    return error


class MetricsLog:
    """metrics.jsonl: one JSON object a line, each with the time; size is kept in the checkpoint, to cut off what a resumed run repeats."""

    def __init__(self, path: Path, *, keep_bytes: int | None = None) -> None:
        if keep_bytes is not None and path.exists():
            os.truncate(path, min(keep_bytes, path.stat().st_size))
        self._file = path.open("a", encoding="utf-8")
        self._written_at = 0.0

    @property
    def size(self) -> int:
        return self._file.tell()

    def write(self, **row: Any) -> None:
        try:
            self._file.write(json.dumps({**row, "time": datetime.now(UTC).isoformat(timespec="milliseconds")}) + "\n")
            self._file.flush()
        except OSError as error:  # it names no file
            raise OSError(error.errno, error.strerror, self._file.name) from error
        self._written_at = time.monotonic()

    def heartbeat(self, **row: Any) -> None:
        """A line that says "alive", if there was none of any kind for a while."""
        if time.monotonic() - self._written_at > HEARTBEAT_S:
            self.write(heartbeat=True, **row)

    def close(self) -> None:
        self._file.close()


# ---- Weights ---------------------------------------------------------------------------------------------------------


def forget_unbegun(folder: Path) -> None:
    """Takes the recipe of a run out of its folder if nothing was learnt there: the next try may have another."""
    if not any((folder / "checkpoints" / name).is_file() for name in (LAST, PREVIOUS)):
        (folder / "recipe.json").unlink(missing_ok=True)


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """The newest checkpoint of a folder, whole or not at all; the one before it stays as previous.pt.

    A kill between the two renames leaves previous.pt alone, and settle_state goes on from there.
    """
    with _whole(folder / LAST, keep=folder / PREVIOUS) as part, part.open("wb") as file:
        torch.save(dict(state), file)


def settle_state(folder: Path) -> None:
    """Makes the newest whole checkpoint of a folder, if it holds any, its last.pt, and says so where that was not the newest.

    What is damaged goes, so that it is never kept in place of the good one. Raises ValueError if none is whole.
    """
    last, previous = folder / LAST, folder / PREVIOUS
    if not (last.is_file() or previous.is_file()) or not (why := damage(last)):
        return
    if also := damage(previous):
        raise ValueError(f"{why}, and {also}; start anew with another --out")
    previous.replace(last)
    print(f"{why}; going on from the checkpoint before it", file=sys.stderr, flush=True)


def load_state(path: Path) -> dict[str, Any]:
    """A checkpoint. Raises ValueError if the file was damaged since it was written."""
    if why := damage(path):
        raise ValueError(why)
    return torch.load(path, map_location="cpu", weights_only=True)


def damage(path: Path) -> str:
    """Why a zip of torch's is not what was written, or nothing. torch.load looks at no checksum, and takes a changed number for a weight."""
    if not path.is_file():
        return f"{path} is not there"
    try:
        with ZipFile(path) as file:
            changed = file.testzip()
    except (
        BadZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        zlib.error,
    ) as error:  # all that a changed header brings
        return f"{path} is damaged ({first_line(error)})"
    return f"{path} is damaged (the checksum of {changed} differs)" if changed else ""


def first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0].partition(". ")[0]


def save_weights(path: Path, net: nn.Module) -> None:
    """The network's weights alone, as safetensors, on the disk before a checkpoint names them the best."""
    with _whole(path) as part:
        # As bytes: safetensors' own writer makes files that nobody but their owner may read.
        part.write_bytes(save({k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}))


def read_recipe(folder: Path) -> Recipe:
    path = folder / "recipe.json"
    if not path.is_file():
        raise ValueError(f"{path} is not there; give the folder of a run made by training.engine.train")
    try:
        return from_dict(json.loads(path.read_text(encoding="utf-8")))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged ({error})") from error


def load_net(folder: Path, which: str = "best") -> tuple[Recipe, nn.Module]:
    """(recipe, network) of a run, in eval mode on the CPU; which: best, final or best_on_test."""
    recipe = read_recipe(folder)
    path = folder / "checkpoints" / f"{which}.safetensors"
    if not path.is_file():
        there = sorted(p.stem for p in path.parent.glob("*.safetensors"))
        raise ValueError(f"{path} is not there (there are: {', '.join(there) or 'none'}); let the training go on with --resume first")
    net = build(recipe)
    try:
        net.load_state_dict(load_file(str(path)))
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} is damaged, or not of {folder / 'recipe.json'} ({first_line(error)})") from error
    return recipe, net.eval()
