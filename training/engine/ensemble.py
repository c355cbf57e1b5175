"""Late fusion of finished runs: python -m training.engine.ensemble --runs A B [--weights 1 2] --out RUN.

The mean of the runs' probabilities on the same test clips, e.g. of a visual and an audio baseline: the simplest fusion there is, and so what a fusion module has
to beat. Writes predictions.csv and result.json as a trained run has them, so that a table can hold it.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.engine import metrics
from training.engine.console import tells_in_one_line


@dataclass(frozen=True)
class Table:
    """predictions.csv of a run, rows by clip name. probabilities (n, K)."""

    names: tuple[str, ...]
    classes: tuple[str, ...]
    labels: tuple[str, ...]
    probabilities: np.ndarray


def read_table(run: Path) -> Table:
    """Raises ValueError if the run is not scored yet, or holds no probabilities."""
    path = run / "predictions.csv"
    if not path.is_file():
        raise ValueError(f"{path} is not there; score the run first with training.engine.evaluate")
    with path.open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["file_name"])
    classes = tuple(key.removeprefix("p_") for key in rows[0] if key.startswith("p_"))
    if not classes:
        raise ValueError(f"{path} holds no probabilities; a language model's answers cannot be averaged")
    probabilities = np.array([[float(row[f"p_{name}"]) for name in classes] for row in rows])
    return Table(tuple(row["file_name"] for row in rows), classes, tuple(row["label"] for row in rows), probabilities)


def averaged(tables: Sequence[Table], weights: Sequence[float]) -> np.ndarray:
    """The weighted mean of the probabilities, (n, K). Raises ValueError unless all speak of the same clips and classes."""
    for table in tables[1:]:
        if (table.names, table.classes, table.labels) != (tables[0].names, tables[0].classes, tables[0].labels):
            raise ValueError("the runs were not scored on the same clips with the same labels and classes; evaluate all on one release")
    return np.average([table.probabilities for table in tables], axis=0, weights=weights)


def ensemble(runs: Sequence[Path], out: Path, weights: Sequence[float] = ()) -> dict[str, Any]:
    """Writes and returns the result of the runs together."""
    if weights and len(weights) != len(runs):
        raise ValueError(f"{len(weights)} weights for {len(runs)} runs; give one for each")
    tables = [read_table(run) for run in runs]
    probabilities, first = averaged(tables, weights or [1.0] * len(runs)), tables[0]
    labels = np.array([first.classes.index(label) for label in first.labels])
    result = metrics.summary(probabilities, labels, first.classes)
    predicted = probabilities.argmax(1)
    result["intervals_95"] = metrics.bootstrap(labels, predicted, len(first.classes), np.random.default_rng(0))
    result |= {"runs": [str(run) for run in runs], "ensemble_weights": list(weights) or [1.0] * len(runs)}
    out.mkdir(parents=True, exist_ok=True)
    with (out / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "label", "prediction", *(f"p_{name}" for name in first.classes)])
        for name, label, guess, chances in zip(first.names, first.labels, predicted, probabilities, strict=True):
            writer.writerow([name, label, first.classes[guess], *(f"{p:.6f}" for p in chances)])
    (out / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


@tells_in_one_line()
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.engine.ensemble", description=__doc__)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--weights", type=float, nargs="*", default=[])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    result = ensemble(options.runs, options.out, options.weights)
    print(json.dumps({key: result[key] for key in ("acc", "wa_f1", "uar", "intervals_95", "num_samples")}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
