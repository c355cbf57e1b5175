"""Reproduces the paper's tables: python -m training.engine.table IV --release DIR [--recipes a,b] [--seeds 3] [--budget 2h] [--smoke].

Plans a run for each row, data set and seed, skips those that are finished, goes on with those that were stopped, and writes table_IV.md, .tex and .csv
from what is there. A data set is given as --release NAME=DIR (e_B, e_T, e_All, Ekman6 ...); a plain DIR gets its name from its release.json. Several
processes on one --out share the work: each takes rows that no other holds (--workers N starts N of them, one to a GPU).
--smoke tries every row at the smallest size, one epoch, on a handful of clips, and needs no release.
Ends with 0 when every row is finished, 3 when the budget ended before, 1 when a row failed.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.engine.paper_tables import E_MOTIONS, RECALLS, TABLES, PaperRow, PaperTable
from training.engine.recipes import EMOTIONS, POLARITY, RECIPES, Recipe, overridden
from training.engine.recipes_baselines import MLLM_RECIPES, fitted, smoke
from training.engine.significance import Difference, holm, paired_bootstrap
from training.engine.smoke_release import make_smoke_release
from training.engine.table_text import Block, Cell, Line, csv_text, latex, markdown

STOPPED = 3
MAKERS = {**RECIPES, **MLLM_RECIPES}
VARIANT_NAMES = {"all": "e_All", "balanced": "e_B", "test": "e_T"}
ALIASES = {E_MOTIONS: ("e_All", "e_B", "e_T"), "e_All": (E_MOTIONS,), "e_T": (E_MOTIONS,), "e_B": (E_MOTIONS,)}
TESTED = ("ACC", "WA-F1")
RESULT_KEYS = {"ACC": "acc", "WA-F1": "wa_f1", "UAR": "uar"}
NOT_IN_NAME = (
    "name",
    "seed",
    "device",
    "workers",
    "log_every",
    "checkpoint_every_s",
    "store",
)  # of a recipe: what does not change the result


@dataclass(frozen=True)
class Job:
    """One run: a recipe on a data set with a seed; `source` is the run whose weights it starts from."""

    recipe: Recipe
    dataset: str
    release: Path
    folder: Path
    source: Job | None = None

    @property
    def is_finished(self) -> bool:
        return (self.folder / "result.json").is_file()

    @property
    def label(self) -> str:
        return f"{self.recipe.name} on {self.dataset}, seed {self.recipe.seed}"


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    tables: tuple[PaperTable, ...]
    releases: Mapping[str, Path]
    out: Path
    seeds: int = 1
    only: tuple[str, ...] = ()
    changes: Mapping[str, str] | None = None
    smoke: bool = False
    narrow: bool = False


# ---- The plan --------------------------------------------------------------------------------------------------------


def planned(request: Request) -> list[Job]:
    """Every run that the tables need, sources before those that start from them, the first seed of all rows before the second."""
    jobs: dict[Path, Job] = {}
    for seed in range(1, request.seeds + 1):
        for table in request.tables:
            for dataset in datasets_of(table, request):
                for row in rows_of(table, request):
                    if seed not in seeds_of(row, request):
                        continue
                    job = job_of(row, dataset, seed, request)
                    for one in (job.source, job) if job else ():
                        if one:
                            jobs.setdefault(one.folder, one)
    return list(jobs.values())


def datasets_of(table: PaperTable, request: Request) -> list[str]:
    """The table's data sets that were given; one is enough to try its rows."""
    given = [dataset for dataset in table.datasets if release_of(dataset, request)]
    return given[:1] if request.smoke else given


def rows_of(table: PaperTable, request: Request) -> list[PaperRow]:
    """The table's rows, or those asked for; a recipe that is asked for and in no row becomes a row of its own."""
    if not request.only:
        return list(table.rows)
    chosen = [row for row in table.rows if row.recipe in request.only]
    extra = [name for name in request.only if all(row.recipe != name for row in table.rows)]
    empty: dict[str, tuple[float | None, ...]] = dict.fromkeys(table.datasets, (None,) * len(table.columns))
    return [*chosen, *(PaperRow(name, name, empty) for name in extra)]


def seeds_of(row: PaperRow, request: Request) -> range:
    """One is enough for a language model, which answers greedily: nothing in it is drawn."""
    return range(1, 2 if row.recipe in MLLM_RECIPES else request.seeds + 1)


def release_of(dataset: str, request: Request) -> Path | None:
    """Where the data set lies; eMotions under any of its variants' names."""
    names = (dataset, *ALIASES.get(dataset, ()))
    return next((request.releases[name] for name in names if name in request.releases), None)


def job_of(row: PaperRow, dataset: str, seed: int, request: Request) -> Job | None:
    """The run of a row, or None where a data set that it needs was not given."""
    release = release_of(dataset, request)
    source = None
    if row.init_from:
        source = job_of(replace(row, init_from=""), row.init_from, seed, request)
        if source is None:
            return None
    if release is None:
        return None
    recipe = for_release(MAKERS[row.recipe](), release)
    if request.smoke or request.narrow:
        small = smoke(recipe)
        recipe = small if request.smoke else replace(small, name=f"{recipe.name}_narrow", epochs=recipe.epochs)
    recipe = fitted(overridden(recipe, {**(request.changes or {}), "seed": seed}))
    if source:
        recipe = replace(
            recipe, name=f"{recipe.name}_from_{row.init_from}", init_from=str(source.folder / "checkpoints" / "best.safetensors")
        )
    folder = request.out / "runs" / dataset_folder(release) / f"{recipe.name}-{fingerprint(recipe)}" / f"seed-{seed}"
    return Job(recipe, dataset, release, folder, source)


def for_release(recipe: Recipe, release: Path) -> Recipe:
    """The recipe with the release's own classes and polarities, where its release.json names them."""
    facts = release_facts(release)
    if "classes" not in facts:
        return recipe
    return replace(recipe, classes=tuple(facts["classes"]), polarity=tuple(facts.get("polarity") or ["neutral"] * len(facts["classes"])))


def release_facts(release: Path) -> dict[str, Any]:
    path = release / "release.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def dataset_folder(release: Path) -> str:
    """A name for the release's runs that two releases do not share."""
    return f"{release.resolve().name}-{hashlib.sha256(str(release.resolve()).encode()).hexdigest()[:6]}"


def fingerprint(recipe: Recipe) -> str:
    """Eight characters that change with every field that can change the result."""
    kept = {k: v for k, v in recipe.as_dict().items() if k not in NOT_IN_NAME}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8]


# ---- Running it ------------------------------------------------------------------------------------------------------


def run_all(jobs: Sequence[Job], *, budget_s: float | None, say: Callable[[str], None] = print) -> int:
    """Runs what is not finished; returns the exit status. The budget ends a run by SIGTERM, as a person may; both leave a checkpoint."""
    from training.engine.train import Stopped  # torch is loaded only when something is trained

    ends = None if budget_s is None else time.monotonic() + budget_s
    failed = left = 0
    for number, job in enumerate(jobs, 1):
        if job.is_finished:
            continue
        if ends is not None and time.monotonic() >= ends:
            left += 1
            continue
        if job.source and not job.source.is_finished:
            say(f"[{number}/{len(jobs)}] {job.label}: waits for {job.source.label}")
            left += 1
            continue
        with claimed(job.folder) as mine:
            if not mine or job.is_finished:
                left += not job.is_finished
                continue
            say(f"[{number}/{len(jobs)}] {job.label}")
            try:
                with stopping(ends):
                    run(job)
            except Stopped:
                return 1 if failed else STOPPED
            except (ValueError, RuntimeError, OSError) as error:
                failed += 1
                (job.folder / "failed.txt").write_text(f"{error}\n", encoding="utf-8")
                print(f"{job.label}: {error}", file=sys.stderr)
    return 1 if failed else STOPPED if left else 0


def run(job: Job) -> None:
    """Trains and scores one row, or asks a language model."""
    if job.recipe.network == "mllm":
        ask(job)
        return
    from training.engine.evaluate import evaluate
    from training.engine.train import train

    train(job.recipe, job.release, job.folder, resume=True)
    evaluate(job.folder, job.release)
    (job.folder / "failed.txt").unlink(missing_ok=True)


def ask(job: Job) -> None:
    """A row of Table VII: the language model's answers on the test part."""
    from training.engine import mllm

    options = job.recipe.net_options
    asking = mllm.Asking(job.recipe.classes, str(options["language"]), int(options["frames"]))
    provider = mllm.provider_of({**options, "device": job.recipe.device}, job.folder.parent)
    mllm.run(provider, job.release, job.folder, asking)
    (job.folder / "failed.txt").unlink(missing_ok=True)


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Whether this process holds the run; another on the same --out may. A killed process lets go by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "claim").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@contextmanager
def stopping(ends: float | None) -> Iterator[None]:
    """While entered, SIGTERM, which the end of the budget sends too, raises Stopped; training first writes its checkpoint."""
    from training.engine.train import Stopped

    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    timer = None
    if ends is not None:
        timer = threading.Timer(max(0.0, ends - time.monotonic()), os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        if timer:
            timer.cancel()
        signal.signal(signal.SIGTERM, before)


def run_with_workers(arguments: Sequence[str], workers: int) -> int:
    """The same command in several processes, each with one GPU where there are any; they share the rows among themselves."""
    children = []
    for index in range(workers):
        env = {**os.environ, "CUDA_VISIBLE_DEVICES": gpu_of(index)}
        children.append(subprocess.Popen([sys.executable, "-m", "training.engine.table", *arguments, "--no-text"], env=env))
    statuses = {child.wait() for child in children}
    return 1 if statuses - {0, STOPPED} else 0


def gpu_of(index: int) -> str:
    """The index-th of the GPUs that this process may use, all of them in turn."""
    given = [g for g in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if g]
    if not given:
        import torch

        given = [str(i) for i in range(torch.cuda.device_count())]
    return given[index % len(given)] if given else ""


# ---- The text --------------------------------------------------------------------------------------------------------


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


# ---- From the command line -------------------------------------------------------------------------------------------


def seconds(text: str) -> float:
    """ "90s", "30m", "2h" or "1.5d" in seconds."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if not (match := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write for instance 90s, 30m or 2h")
    return float(match[1]) * units[match[2]]


def releases_of(given: Sequence[str]) -> dict[str, Path]:
    """Data set names and folders from NAME=DIR or DIR. Raises ValueError on a folder that is none."""
    found = {}
    for text in given:
        name, equals, folder = text.rpartition("=")
        path = Path(folder)
        if not (path / "train" / "metadata.jsonl").is_file():
            raise ValueError(
                f"{path}: no release folder (train/metadata.jsonl is missing); make one with export_variants or datasets_public"
            )
        facts = release_facts(path)
        found[name if equals else facts.get("dataset") or VARIANT_NAMES.get(str(facts.get("variant")), E_MOTIONS)] = path
    return found


def smoke_releases(out: Path, tables: Sequence[PaperTable]) -> dict[str, Path]:
    """A made-up release for the first data set of every table, and for those that its rows start from."""
    needed = {dataset for t in tables for dataset in (t.datasets[0], *(row.init_from for row in t.rows if row.init_from))}
    return {name: make_smoke_release(out / "smoke" / name, EMOTIONS, POLARITY) for name in sorted(needed)}


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.engine.table", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="+", metavar="TABLE", help=f"one or more of {', '.join(TABLES)}, or all")
    parser.add_argument("--release", action="append", default=[], metavar="[NAME=]DIR", help="may be repeated, one for each data set")
    parser.add_argument("--out", type=Path, default=Path("var/tables"))
    parser.add_argument("--recipes", default="", help="only these rows, comma-separated; a recipe of no row becomes one")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--budget", type=seconds, metavar="2h", help="start no run after this time, and stop the one that runs")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="change one field of every recipe")
    parser.add_argument("--workers", type=int, default=1, help="processes, one to a GPU")
    parser.add_argument("--narrow", action="store_true", help="the smoke run's narrow networks on all clips, for a processor")
    parser.add_argument("--smoke", action="store_true", help="every row at the smallest size on a handful of made-up clips")
    parser.add_argument("--plan", action="store_true", help="say what would run, and run nothing")
    parser.add_argument("--no-text", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def request_of(options: argparse.Namespace) -> Request:
    """Raises ValueError on a table, recipe or release that does not exist."""
    names = list(TABLES) if "all" in options.tables else options.tables
    if unknown := [name for name in names if name not in TABLES]:
        raise ValueError(f"there is no table {', '.join(unknown)}; choose of {', '.join(TABLES)}")
    only = tuple(name for name in options.recipes.split(",") if name)
    if unknown := [name for name in only if name not in MAKERS]:
        raise ValueError(f"there is no recipe {', '.join(unknown)}; python -m training.engine.train --help lists them")
    tables = tuple(TABLES[name] for name in names)
    releases = releases_of(options.release)
    if options.smoke and not releases:
        releases = smoke_releases(options.out, tables)
    if not releases:
        raise ValueError("no data: give --release DIR (made by export_variants), or try the rows with --smoke")
    changes = dict(text.split("=", 1) for text in options.set)
    return Request(tables, releases, options.out, options.seeds, only, changes, options.smoke, options.narrow)


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parsed(arguments)
    try:
        request = request_of(options)
        jobs = planned(request)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    finished = sum(job.is_finished for job in jobs)
    print(f"{len(jobs)} runs, {finished} of them finished")
    if options.plan:
        for job in jobs:
            print(f"{'done' if job.is_finished else 'to do'}  {job.label}  {job.folder}")
        return 0
    if options.workers > 1:
        run_with_workers(without_workers(arguments), options.workers)
    status = run_all(jobs, budget_s=options.budget if options.workers == 1 else 0.0)
    if not options.no_text:
        for path in write_tables(request):
            print(path)
    return status


def without_workers(arguments: Sequence[str]) -> list[str]:
    """The arguments for one of several workers."""
    kept = list(arguments)
    for i, text in enumerate(kept):
        if text == "--workers":
            return kept[:i] + kept[i + 2 :]
        if text.startswith("--workers="):
            return kept[:i] + kept[i + 1 :]
    return kept


if __name__ == "__main__":
    sys.exit(main())
