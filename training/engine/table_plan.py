"""Which runs a table needs: one for each row, data set and seed, in a folder that tells them apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from training.engine.paper_tables import E_MOTIONS, PaperRow, PaperTable
from training.engine.recipes import RECIPES, Recipe, overridden
from training.engine.recipes.baselines import MLLM_RECIPES, smoke
from training.engine.releases import for_release

MAKERS = {**RECIPES, **MLLM_RECIPES}
ALIASES = {E_MOTIONS: ("e_All", "e_B", "e_T"), "e_All": (E_MOTIONS,), "e_T": (E_MOTIONS,), "e_B": (E_MOTIONS,)}
NOT_IN_NAME = (
    "name",
    "seed",
    "device",
    "workers",
    "log_every",
    "tensorboard",
    "fused_attention",
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
    recipe = overridden(recipe, {**(request.changes or {}), "seed": seed})
    if source:
        weights = source.folder / "checkpoints" / "best.safetensors"
        # Its branches too start from there: a backbone's own weights, loaded after, would undo that.
        recipe = replace(recipe, name=f"{recipe.name}_from_{row.init_from}", init_from=str(weights), init_video="", init_audio="")
    folder = request.out / "runs" / dataset_folder(release) / f"{recipe.name}-{fingerprint(recipe)}" / f"seed-{seed}"
    return Job(recipe, dataset, release, folder, source)


def dataset_folder(release: Path) -> str:
    """A name for the release's runs that two releases do not share."""
    return f"{release.resolve().name}-{hashlib.sha256(str(release.resolve()).encode()).hexdigest()[:6]}"


def fingerprint(recipe: Recipe) -> str:
    """Eight characters that change with every field that can change the result."""
    kept = {k: v for k, v in recipe.as_dict().items() if k not in NOT_IN_NAME}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8]
