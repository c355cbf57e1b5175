"""Where a run's numbers also go beside metrics.jsonl: TensorBoard files in the run folder, an MLflow server. Both packages are optional."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from training.engine.recipes import Recipe

MLFLOW_URI = "MLFLOW_TRACKING_URI"


class Tracker(Protocol):
    """ended: FINISHED, KILLED (stopped, to go on later) or FAILED."""

    def write(self, row: Mapping[str, Any]) -> None: ...
    def close(self, ended: str) -> None: ...


def trackers_of(recipe: Recipe, folder: Path, *, step: int) -> list[Tracker]:
    """TensorBoard if the recipe says so, MLflow if MLFLOW_TRACKING_URI is set. step: where a resumed run goes on.

    Raises ValueError naming the package that is missing.
    """
    trackers: list[Tracker] = []
    if recipe.tensorboard:
        trackers.append(TensorBoard(folder, step))
    if os.environ.get(MLFLOW_URI):
        trackers.append(MLflow(recipe, folder))
    return trackers


def _imported(module: str, package: str, otherwise: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(f"the package {package} is missing ({error}); pip install {package}, or {otherwise}") from error


def scalars(row: Mapping[str, Any]) -> tuple[dict[str, float], int]:
    """(name → number, step) of a line of metrics.jsonl; an epoch's numbers stand apart from a step's, and how far the run is is left out."""
    place = f"{row['split']}_epoch" if "epoch" in row else row["split"]
    numbers = {name: float(v) for name, v in row.items() if isinstance(v, int | float) and name not in ("step", "epoch", "steps", "left_s")}
    return {f"{place}/{name}": value for name, value in numbers.items()}, int(row["step"])


class TensorBoard:
    """Event files in tensorboard/ of the run folder."""

    def __init__(self, folder: Path, step: int) -> None:
        module = _imported("torch.utils.tensorboard", "tensorboard", "set tensorboard=false")
        # What a killed run wrote after its last checkpoint is written again: purge_step hides the first time.
        self._writer = module.SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def write(self, row: Mapping[str, Any]) -> None:
        numbers, step = scalars(row)
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self, ended: str) -> None:
        self._writer.close()


class MLflow:
    """One run on the server that MLFLOW_TRACKING_URI names; its id is kept in mlflow.txt, so that a resumed run goes on with it.

    A server that fails while the run goes on costs the numbers sent there, not the run: metrics.jsonl holds them all.
    """

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self._mlflow = _imported("mlflow", "mlflow", f"unset {MLFLOW_URI}")
        self._failures = self._mlflow.exceptions.MlflowException
        self._lost = False
        self._told: dict[str, int] = {}  # number → the last step that the server has it of
        try:
            self._start(recipe, folder / "mlflow.txt")
        except self._failures as error:
            raise ValueError(f"{MLFLOW_URI}: {error}; start that server, or unset {MLFLOW_URI}") from error

    def _start(self, recipe: Recipe, kept: Path) -> None:
        if kept.is_file():
            self._go_on(kept.read_text(encoding="utf-8").strip())
            return
        started = self._mlflow.start_run(run_name=f"{recipe.name}-{recipe.seed}")
        kept.write_text(started.info.run_id + "\n", encoding="utf-8")
        self._mlflow.log_params({name: str(value)[:500] for name, value in recipe.as_dict().items()})

    def _go_on(self, run_id: str) -> None:
        """What a killed run sent after its last checkpoint comes again, and the server forgets nothing: it is asked how far it was told."""
        client = self._mlflow.MlflowClient()
        for name in client.get_run(run_id).data.metrics:
            self._told[name] = max(point.step for point in client.get_metric_history(run_id, name))
        self._mlflow.start_run(run_id=run_id)

    def write(self, row: Mapping[str, Any]) -> None:
        numbers, step = scalars(row)
        if news := {name: value for name, value in numbers.items() if step > self._told.get(name, -1)}:
            self._unless_lost(self._mlflow.log_metrics, news, step=step)

    def close(self, ended: str) -> None:
        self._unless_lost(self._mlflow.end_run, ended)

    def _unless_lost(self, call: Callable[..., Any], *given: Any, **named: Any) -> None:
        if self._lost:
            return
        try:
            call(*given, **named)
        except self._failures as error:
            self._lost = True  # asking again at every line would hold the training up for minutes each time
            print(f"MLflow is told no more of this run ({error}); metrics.jsonl goes on", file=sys.stderr)
