"""What the finished runs of a table say: scores, the paper's own numbers, differences from the baseline, and the files written from them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.engine.paper_tables import RECALLS, PaperRow, PaperTable
from training.engine.significance import Difference, holm, paired_bootstrap
from training.engine.table_plan import Job, Request, datasets_of, job_of, rows_of, seeds_of
from training.engine.table_text import Block, Cell, Line, csv_text, latex, markdown

TESTED = ("ACC", "WA-F1")
RESULT_KEYS = {"ACC": "acc", "WA-F1": "wa_f1", "UAR": "uar"}


def blocks_of(table: PaperTable, request: Request) -> list[Block]:
    """The table on each of its data sets that is there."""
    blocks = []
    for dataset in datasets_of(table, request):
        rows = rows_of(table, request)
        jobs = [[job_of(row, dataset, seed, request) for seed in seeds_of(row, request)] for row in rows]
        lines = [line_of(row, dataset, table, own) for row, own in zip(rows, jobs, strict=True)]
        baseline = next((i for i, row in enumerate(rows) if row.recipe == table.baseline and not row.init_from), None)
        if baseline is not None:
            lines = tested(lines, jobs, jobs[baseline])
        remark = "A smoke run: these numbers show that the rows run, and nothing else." if request.smoke else ""
        remark = "Narrow networks (--narrow): not the sizes that the paper trained." if request.narrow else remark
        blocks.append(Block(table.number, table.title, dataset, table.columns, lines, table.baseline, remark))
    return blocks


def line_of(row: PaperRow, dataset: str, table: PaperTable, jobs: Sequence[Job | None]) -> Line:
    done = [json.loads((job.folder / "result.json").read_text(encoding="utf-8")) for job in jobs if job and job.is_finished]
    printed = row.values.get(dataset, (None,) * len(table.columns))
    cells = {
        column: Cell(tuple(score for result in done if (score := score_of(result, column)) is not None), paper)
        for column, paper in zip(table.columns, printed, strict=True)
    }
    return Line(row.recipe, row.name, cells, note_of(row, jobs, len(done)))


def score_of(result: Mapping[str, Any], column: str) -> float | None:
    """In percent; None for the recall of a class without samples."""
    if column in RECALLS:
        values = list(result["per_class_recall"].values())
        value = values[RECALLS.index(column)] if len(values) == len(RECALLS) else None
    else:
        value = result[RESULT_KEYS[column]]
    return None if value is None else 100 * value


def note_of(row: PaperRow, jobs: Sequence[Job | None], finished: int) -> str:
    """Why a row has fewer numbers than it should."""
    if None in jobs:
        return f"not run, for want of --release {row.init_from}=DIR"
    failures = [path.read_text(encoding="utf-8").strip() for job in jobs if job and (path := job.folder / "failed.txt").is_file()]
    if failures:
        return f"failed: {failures[0].splitlines()[0][:200]}"
    return "" if finished == len(jobs) else f"{finished} of {len(jobs)} seeds are finished"


def tested(lines: Sequence[Line], jobs: Sequence[Sequence[Job | None]], baseline: Sequence[Job | None]) -> list[Line]:
    """The lines with their differences from the baseline, p corrected over all rows of the block."""
    base = predictions_of(baseline)
    found: dict[str, dict[str, Difference]] = {score: {} for score in TESTED}
    if base:
        for line, own in zip(lines, jobs, strict=True):
            mine = predictions_of(own)
            if own is baseline or mine is None or mine.names != base.names or len(base.names) < 2:
                continue
            for score in TESTED:
                rng = np.random.default_rng(0)
                found[score][line.recipe + line.name] = paired_bootstrap(
                    base.labels, mine.predicted, base.predicted, mine.num_classes, score=score, rng=rng
                )
    corrected = {score: holm({key: d.p for key, d in by_row.items()}) for score, by_row in found.items()}
    result = []
    for line in lines:
        key = line.recipe + line.name
        own_tests = {score: replace(found[score][key], p=corrected[score][key]) for score in TESTED if key in found[score]}
        result.append(replace(line, differences=own_tests))
    return result


@dataclass(frozen=True)
class Predictions:
    names: tuple[str, ...]
    labels: np.ndarray  # (n,)
    predicted: np.ndarray  # (seeds, n)
    num_classes: int


def predictions_of(jobs: Sequence[Job | None]) -> Predictions | None:
    """What the finished seeds of a row said of each test clip."""
    done = [job for job in jobs if job and job.is_finished and (job.folder / "predictions.csv").is_file()]
    if not done:
        return None
    classes = [*done[0].recipe.classes, "unparsed"]  # what a language model may answer
    tables = []
    for job in done:
        with (job.folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
            tables.append(sorted(csv.DictReader(file), key=lambda row: row["file_name"]))
    labels = np.array([classes.index(row["label"]) for row in tables[0]])
    predicted = np.array([[classes.index(row["prediction"]) for row in rows] for rows in tables])
    return Predictions(tuple(row["file_name"] for row in tables[0]), labels, predicted, len(classes))


def write_tables(request: Request) -> list[Path]:
    """table_<number>.md, .tex and .csv of every table; the paths written."""
    written = []
    for table in request.tables:
        blocks = blocks_of(table, request)
        texts = {".md": "\n".join(map(markdown, blocks)), ".tex": "\n".join(map(latex, blocks)), ".csv": csv_text(blocks)}
        for suffix, text in texts.items():
            path = request.out / f"table_{table.number}{suffix}"
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written
