"""Reproduces the paper's tables: python -m training.engine.table IV --release DIR [--recipes a,b] [--seeds 3] [--budget 2h] [--smoke].

Plans a run for each row, data set and seed, skips those that are finished, goes on with those that were stopped, and writes table_IV.md, .tex and .csv
from what is there. A data set is given as --release NAME=DIR (e_B, e_T, e_All, Ekman6 ...); a plain DIR gets its name from its release.json. Several
processes on one --out share the work: each takes rows that no other holds (--workers N starts N of them, one to a GPU).
--smoke tries every row at the smallest size, one epoch, on a handful of clips, and needs no release.
Ends with 0 when every row is finished, 3 when the budget ended before, 1 when a row failed.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from training.engine.console import tells_in_one_line
from training.engine.paper_tables import E_MOTIONS, TABLES, PaperTable
from training.engine.processes import stop_when_the_parent_dies
from training.engine.recipes import EMOTIONS, POLARITY, changes_of
from training.engine.releases import release_facts
from training.engine.smoke_release import make_smoke_release
from training.engine.stopping import Stopped, handled
from training.engine.table_plan import MAKERS, Job, Request, planned
from training.engine.table_results import write_tables

STOPPED = 3
VARIANT_NAMES = {"all": "e_All", "balanced": "e_B", "test": "e_T"}


# ---- Running it ------------------------------------------------------------------------------------------------------


def run_all(jobs: Sequence[Job], *, budget_s: float | None, say: Callable[[str], None] = print) -> int:
    """Runs what is not finished; returns the exit status. The budget ends a run by SIGTERM, as a person may; both leave a checkpoint."""
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
    """While entered, SIGTERM, which the end of the budget sends too, and Ctrl-C raise Stopped; training first writes its checkpoint."""

    def stop(*_: object) -> None:
        raise Stopped

    with handled(stop):
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


def run_with_workers(arguments: Sequence[str], workers: int) -> bool:
    """The same command in several processes, each with one GPU where there are any; they share the rows. Whether one of them failed."""
    children = []
    for index in range(workers):
        env = {**os.environ, "CUDA_VISIBLE_DEVICES": gpu_of(index)}
        children.append(subprocess.Popen([sys.executable, "-m", "training.engine.table", *worker_arguments(arguments)], env=env))
    return bool({child.wait() for child in children} - {0, STOPPED})


def worker_arguments(arguments: Sequence[str]) -> list[str]:
    """Those of one of several workers; what stands last counts, however --workers was written before."""
    return [*arguments, "--workers=1", "--no-text"]


def gpu_of(index: int) -> str:
    """The index-th of the GPUs that this process may use, all of them in turn."""
    given = [g for g in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if g]
    if not given:
        import torch

        given = [str(i) for i in range(torch.cuda.device_count())]
    return given[index % len(given)] if given else ""


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
    return Request(tables, releases, options.out.resolve(), options.seeds, only, changes_of(options.set), options.smoke, options.narrow)


@tells_in_one_line()
def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parsed(arguments)
    if options.no_text:
        stop_when_the_parent_dies()
    request = request_of(options)
    jobs = planned(request)
    options.out.mkdir(parents=True, exist_ok=True)
    finished = sum(job.is_finished for job in jobs)
    print(f"{len(jobs)} runs, {finished} of them finished")
    if options.plan:
        for job in jobs:
            print(f"{'done' if job.is_finished else 'to do'}  {job.label}  {job.folder}")
        return 0
    failed = options.workers > 1 and run_with_workers(arguments, options.workers)
    status = run_all(jobs, budget_s=options.budget if options.workers == 1 else 0.0)
    if not options.no_text:
        for path in write_tables(request):
            print(path)
    return 1 if failed else status


if __name__ == "__main__":
    sys.exit(main())
