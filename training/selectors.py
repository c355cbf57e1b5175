"""What is asked about runs, schedules and devices."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from qa.models import Release
from training import launch
from training.engine.recipes import RECIPES
from training.models import Run, Schedule

CURVE_POINTS = 400  # more would only be drawn over each other


def recipes() -> dict[str, Any]:
    """Every recipe by name, as a frozen dataclass."""
    return {name: make() for name, make in RECIPES.items()}


def runs_newest() -> QuerySet[Run]:
    return Run.objects.select_related("release", "requested_by", "schedule").order_by("-pk")


def schedules() -> QuerySet[Schedule]:
    return Schedule.objects.select_related("last_release", "created_by")


def release_newest(variant: str) -> Release | None:
    """The last release of a variant that is still good, or None."""
    return Release.objects.filter(variant=variant, superseded_reason="").order_by("-created_at", "-pk").first()


def releases_trainable() -> QuerySet[Release]:
    return Release.objects.filter(superseded_reason="").order_by("-created_at", "-pk")


def run_curves(run: Run) -> dict[str, list[dict[str, Any]]]:
    """The lines of metrics.jsonl by split, thinned evenly to what a screen can show; the last line is always kept."""
    if not run.folder:
        return {}
    rows, _ = launch.metrics_read(run.path / "metrics.jsonl")
    curves: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        curves.setdefault(str(row.get("split", "train")), []).append(row)
    return {split: _thinned(points) for split, points in curves.items()}


def _thinned(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    step = max(1, -(-len(points) // CURVE_POINTS))
    return points[-1::-step][::-1]


def run_log(run: Run, *, max_bytes: int = 65_536) -> str:
    return launch.tail(Path(run.folder) / "log.txt", max_bytes=max_bytes) if run.folder else ""


@dataclass(frozen=True)
class GpuState:
    gpu: launch.Gpu
    run: Run | None


def gpu_states() -> list[GpuState]:
    """This machine's GPUs with the run on each."""
    live = list(Run.objects.filter(state=Run.State.RUNNING).select_related("release"))
    return [GpuState(gpu, next((run for run in live if _on(run, gpu)), None)) for gpu in launch.gpus(settings.TRAIN_GPUS)]


def _on(run: Run, gpu: launch.Gpu) -> bool:
    return gpu.index in run.device.rpartition("(")[2].rstrip(")").split(", ") and "×" in run.device
