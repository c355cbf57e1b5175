"""What is asked about runs, schedules and devices."""

import math
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext, gettext_lazy

from annotation.models import Emotion, Prelabel
from qa.models import Release
from qa.selectors import releases_standing
from training import launch
from training.engine.recipes import RECIPES
from training.models import Run, Schedule

SCORES = (("acc", "ACC"), ("wa_f1", "WA-F1"), ("uar", "UAR"))
CURVE_POINTS = 400  # more would only be drawn over each other
# What is handed out of a run's folder, and nothing else.
FILES = {
    "README.md": gettext_lazy("Model card"),
    "predictions.csv": gettext_lazy("Predictions on the test part"),
    "result.json": gettext_lazy("Scores"),
    "recipe.json": gettext_lazy("Recipe with all its fields"),
    "environment.json": gettext_lazy("Machine and versions"),
    "metrics.jsonl": gettext_lazy("Numbers of every step"),
    "log.txt": gettext_lazy("Log"),
    "checkpoints/best.safetensors": gettext_lazy("Weights that were best on the validation part"),
    "checkpoints/final.safetensors": gettext_lazy("Weights after the last epoch"),
    "figures/confusion.png": gettext_lazy("Confusion matrix"),
    "figures/confusion_video.png": gettext_lazy("Confusion matrix of the visual branch"),
    "figures/confusion_audio.png": gettext_lazy("Confusion matrix of the audio branch"),
    "figures/tsne.png": gettext_lazy("Embeddings"),
}


def recipes() -> dict[str, Any]:
    """Every recipe by name, as a frozen dataclass."""
    return {name: make() for name, make in RECIPES.items()}


def runs_newest() -> QuerySet[Run]:
    return Run.objects.select_related("release", "requested_by", "schedule").order_by("-pk")


def schedules() -> QuerySet[Schedule]:
    return Schedule.objects.select_related("last_release", "created_by")


def release_newest(variant: str) -> Release | None:
    """The last release of a variant that is still good, or None."""
    return releases_standing().filter(variant=variant).first()


def run_curves(run: Run) -> dict[str, list[dict[str, Any]]]:
    """The lines of metrics.jsonl by split, thinned evenly to what a screen can show; the last line is always kept."""
    if not run.folder:
        return {}
    rows, _ = launch.metrics_read(run.path / "metrics.jsonl")
    curves: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if "heartbeat" not in row:
            curves.setdefault(str(row.get("split", "train")), []).append(row)
    return {split: _thinned(points) for split, points in curves.items()}


def run_far(run: Run) -> dict[str, Any] | None:
    """How far a running run is: step, steps, and the same in words with the time left; None before its first step."""
    step, steps, left_s = (_number(run.progress.get(name)) for name in ("step", "steps", "left_s"))
    if run.state != Run.State.RUNNING or step is None or not steps or left_s is None:
        return None
    hours, minutes = divmod(math.ceil(left_s / 60), 60)
    told = {"step": int(step), "steps": int(steps), "hours": hours, "minutes": minutes}
    text = gettext("Step %(step)d of %(steps)d, about %(hours)d h %(minutes)d min left") % told
    if step >= steps:
        text = gettext("All %(steps)d steps are done; the scores are being taken") % told
    return {"step": int(step), "steps": int(steps), "text": text}


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
    live = list(Run.objects.filter(state=Run.State.RUNNING, host=socket.gethostname()).select_related("release"))
    return [GpuState(gpu, next((run for run in live if _on(run, gpu)), None)) for gpu in launch.gpus(settings.TRAIN_GPUS)]


def _on(run: Run, gpu: launch.Gpu) -> bool:
    return gpu.index in run.device.rpartition("(")[2].rstrip(")").split(", ") and "×" in run.device


@dataclass(frozen=True)
class Score:
    """One of the three figures of Sec. V on the test part, and its 95 % interval; None until the run is finished."""

    title: str
    value: float | None
    low: float | None
    high: float | None


def run_scores(run: Run) -> list[Score]:
    intervals = run.metrics.get("intervals_95") or {}
    return [Score(title, _number(run.metrics.get(name)), *map(_number, intervals.get(name) or (None, None))) for name, title in SCORES]


def run_beside(run: Run) -> list[tuple[str, float]]:
    """What the accuracy is to be held against, as far as the result tells it."""
    told = (
        (gettext("Always the commonest class (ACC)"), run.metrics.get("majority_acc")),
        (gettext("Visual branch alone (ACC)"), (run.metrics.get("video_branch") or {}).get("acc")),
        (gettext("Audio branch alone (ACC)"), (run.metrics.get("audio_branch") or {}).get("acc")),
        (gettext("Calibration error"), run.metrics.get("calibration_error")),
    )
    return [(title, value) for title, given in told if (value := _number(given)) is not None]


@dataclass(frozen=True)
class Recall:
    """How many test clips of a category there are, and which share of them the run found."""

    category: str
    clips: int
    share: float | None


def run_recalls(run: Run) -> list[Recall]:
    """By category in the order of the run's classes: PostgreSQL keeps its own order of a result's keys."""
    counts, shares = run.metrics.get("per_class_count") or {}, run.metrics.get("per_class_recall") or {}
    classes = [name for name in run.metrics.get("classes") or sorted(counts) if name in counts]
    return [Recall(name, int(counts[name]), _number(shares.get(name))) for name in classes]


def recalls_compared(runs: list[Run]) -> dict[str, Any] | None:
    """A heat map's data: the share that each run found of each category; None when no run is scored."""
    found = {f"{run.pk}: {run.recipe}": {recall.category: recall.share for recall in run_recalls(run)} for run in runs}
    categories = list(dict.fromkeys(name for shares in found.values() for name in shares))
    if not categories:
        return None
    values = [[shares.get(name) for name in categories] for shares in found.values()]
    names = {emotion: str(name) for emotion, name in Emotion.choices}
    return {"rows": list(found), "columns": categories, "names": names, "values": values, "min": 0, "max": 1, "percent": True}


@dataclass(frozen=True)
class RunFile:
    name: str
    title: str
    size: int  # bytes


def run_files(run: Run) -> list[RunFile]:
    """Those of FILES that stand in the run's folder now."""
    if not run.folder:
        return []
    sizes = {name: path.stat().st_size for name in FILES if (path := run.path / name).is_file()}
    return [RunFile(name, str(FILES[name]), size) for name, size in sizes.items()]


def run_file(run: Run, name: str) -> Path | None:
    """Where a file of the run stands; None for what is not handed out or not there."""
    path = run.path / name if run.folder and name in FILES else None
    return path if path and path.is_file() else None


def run_prelabels(run: Run) -> int:
    """How many samples carry this run's prediction."""
    return Prelabel.objects.filter(run_name=run.prelabel_name).count()


def run_facts(run: Run) -> dict[str, Any]:
    """One line about a run, as plain values."""
    facts = {"id": run.pk, "state": run.state, "recipe": run.recipe, "release": run.release.name, "seed": run.seed, "device": run.device}
    return {**facts, "folder": run.folder, "error": run.error} | {name: _number(run.metrics.get(name)) for name, _ in SCORES}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def run_confusion(run: Run) -> dict[str, Any] | None:
    """The confusion matrix on test (Fig. 9) as a heat map's data, each row as shares of its class; None without one."""
    matrix = run.metrics.get("confusion")
    if not isinstance(matrix, list) or not all(isinstance(row, list) for row in matrix):
        return None
    classes = run.metrics.get("classes") or run_classes(run, len(matrix))
    shares = [[round(n / total, 4) if (total := sum(row)) else None for n in row] for row in matrix]
    names = {emotion: str(name) for emotion, name in Emotion.choices}
    return {
        "rows": classes,
        "columns": classes,
        "names": names,
        "values": shares,
        "min": 0,
        "max": 1,
        "percent": True,
        "rowLabel": gettext("label"),
    }


def run_classes(run: Run, count: int) -> list[str]:
    """The class names of the run's recipe, or numbers when the recipe is gone or has another count."""
    recipe = recipes().get(run.recipe)
    return list(recipe.classes) if recipe and len(recipe.classes) == count else [str(index) for index in range(count)]


def runs_compared(runs: list[Run]) -> dict[str, dict[str, Any]]:
    """Line charts of several runs, by metric: what each reached on its validation part, epoch by epoch."""
    charts = {}
    for name, title in (("loss", gettext("Loss")), ("acc", "ACC"), ("uar", "UAR")):
        curves = {f"{run.pk}: {run.recipe}": _epochs(run_curves(run), name) for run in runs}
        xs = sorted({x for curve in curves.values() for x in curve})
        if xs:
            series = [{"name": which, "values": [curve.get(x) for x in xs]} for which, curve in curves.items() if curve]
            charts[name] = {"title": title, "x": xs, "xLabel": gettext("Epoch"), "series": series}
    return charts


def _epochs(curves: dict[str, list[dict[str, Any]]], name: str) -> dict[float, float]:
    """epoch → value on the validation part, else on train."""
    rows = curves.get("val") or curves.get("train") or []
    return {row["epoch"]: row[name] for row in rows if _number(row.get("epoch")) is not None and _number(row.get(name)) is not None}
