"""Does it learn? Trains on real clips with people or sources kept apart, and compares with chance on the test part.

    python -m benchmarks.learn ravdess --data DIR --out DIR [--seeds 1,2,3]
    python -m benchmarks.learn music_video --data DIR --out DIR [--seeds 1,2,3]

ravdess: the audio branch alone; actors 15 to 18 are the test part and are heard in no training clip.
music_video: the whole network in the small recipe, its branches alone, and its branches under plain concatenation (Vanilla);
the folder's own Train and Validation parts. A run that is finished is not repeated; a killed one goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np

from training.engine import ensemble, evaluate, train
from training.engine.recipes import RECIPES, Recipe, overridden
from training.engine.releases import manifest_hash
from training.engine.significance import paired_bootstrap

RAVDESS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
TEST_ACTORS = range(15, 19)
FOLDERS = {"Excited": "Excitation", "Sad": "Sadness"}
ONE_BRANCH = {"batch_size": 16, "gamma": (0.0, 0.0, 0.0), "loss_weights": (1.0, 0.0, 0.0)}


def ravdess_release(data: Path, folder: Path) -> Path:
    """Names are 03-01-EE-II-SS-RR-AA: EE the emotion from 01, AA the actor."""
    rows: dict[str, list[tuple[Path, str]]] = {"train": [], "test": []}
    for path in sorted((data / "ravdess_audio").glob("*.opus")):
        parts = path.stem.split("-")
        rows["test" if int(parts[6]) in TEST_ACTORS else "train"].append((path, RAVDESS[int(parts[2]) - 1]))
    return _release(folder, rows)


def music_video_release(data: Path, folder: Path) -> Path:
    rows: dict[str, list[tuple[Path, str]]] = {"train": [], "test": []}
    for path in sorted((data / "music_video").glob("*/*/*.mp4")):
        part = "train" if path.parts[-3] == "Train" else "test"
        rows[part].append((path, FOLDERS.get(path.parts[-2], path.parts[-2])))
    return _release(folder, rows)


def _release(folder: Path, rows: dict[str, list[tuple[Path, str]]]) -> Path:
    """A release folder whose clips are links to the data."""
    for part, clips in rows.items():
        if not clips:
            raise SystemExit(f"no clip for the {part} part; is --data the folder that MANIFEST.md describes?")
        (folder / part).mkdir(parents=True, exist_ok=True)
        lines = []
        for path, emotion in clips:
            name = f"{emotion}_{path.name}"
            if not (folder / part / name).exists():
                os.symlink(path.resolve(), folder / part / name)
            lines.append(json.dumps({"file_name": name, "emotion": emotion}))
        (folder / part / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def ravdess_recipes() -> dict[str, Recipe]:
    sounds = {"modalities": "audio", "network": "audio_branch", "net_options": {"width": 96, "depth": 18, "base_width": 16}}
    classes = {"classes": RAVDESS, "polarity": ("neutral",) * len(RAVDESS), **ONE_BRANCH}
    shape = {"snippets": 4, "chunk_frames": 64, "epochs": 20, "lr": 1e-3}
    return {"audio_branch": overridden(RECIPES["small"](), {**sounds, **classes, **shape})}


def music_video_recipes() -> dict[str, Recipe]:
    whole = overridden(RECIPES["small"](), {"snippets": 4, "epochs": 15, "val_fraction": 0.0})
    options = whole.net_options
    video = {
        "network": "video_branch",
        "modalities": "video",
        "net_options": {"width": options["width"], "dropout": 0.2, **options["video"]},
    }
    audio = {"network": "audio_branch", "modalities": "audio", "net_options": {"width": options["width"], **options["audio"]}}
    single = {**ONE_BRANCH, "batch_size": whole.batch_size}
    return {
        "avcanet": whole,
        "vanilla": overridden(whole, {"net_options": {"local": False, "global_": False}}),
        "video_branch": overridden(whole, {**video, **single}),
        "audio_branch": overridden(whole, {**audio, **single}),
    }


STUDIES = {"ravdess": (ravdess_release, ravdess_recipes), "music_video": (music_video_release, music_video_recipes)}


def study(name: str, data: Path, out: Path, seeds: list[int]) -> list[dict]:
    make_release, make_recipes = STUDIES[name]
    release = make_release(data, out / name / "release")
    print(f"{name}: metadata {manifest_hash(release)[:12]}", flush=True)
    rows = []
    for seed in seeds:
        for which, recipe in make_recipes().items():
            folder = out / name / f"{which}-{seed}"
            train.train(overridden(recipe, {"seed": seed}), release, folder, resume=folder.exists())
            result = evaluate.evaluate(folder, release)
            rows.append({"network": which, "seed": seed, **{k: result[k] for k in ("acc", "wa_f1", "uar", "majority_acc", "intervals_95")}})
    return rows


def table(rows: list[dict]) -> str:
    """Mean over seeds with their deviation, and the intervals of each run."""
    lines = ["| network | seeds | ACC | UAR | majority ACC | 95 % intervals of ACC, by seed |", "|---|---|---|---|---|---|"]
    for which in dict.fromkeys(row["network"] for row in rows):
        mine = [row for row in rows if row["network"] == which]
        acc, uar = (np.array([row[k] for row in mine]) for k in ("acc", "uar"))
        intervals = "; ".join("{:.3f} to {:.3f}".format(*row["intervals_95"]["acc"]) for row in mine)
        seeds = ", ".join(str(row["seed"]) for row in mine)
        spread = [f"{v.mean():.3f} ± {v.std(ddof=1):.3f}" if len(mine) > 1 else f"{v[0]:.3f}" for v in (acc, uar)]
        lines.append(f"| {which} | {seeds} | {spread[0]} | {spread[1]} | {mine[0]['majority_acc']:.3f} | {intervals} |")
    return "\n".join(lines)


def differences(folder: Path, rows: list[dict]) -> str:
    """What the first network is better by than each other on the same clips, by the paired bootstrap over all finished seeds."""
    first, *others = dict.fromkeys(row["network"] for row in rows)
    lines = [f"| {first} less | score | difference | 95 % | p |", "|---|---|---|---|---|"]
    target, mine = _answers(folder, first)
    for which in others:
        _, theirs = _answers(folder, which)
        for score in ("ACC", "UAR"):
            num_classes = 1 + int(max(target.max(), mine.max(), theirs.max()))
            gap = paired_bootstrap(target, mine, theirs, num_classes, score=score, rng=np.random.default_rng(0))
            lines.append(f"| {which} | {score} | {gap.value:.3f} | {gap.low:.3f} to {gap.high:.3f} | {gap.p:.2f} |")
    return "\n".join(lines)


def _answers(folder: Path, which: str) -> tuple[np.ndarray, np.ndarray]:
    """(labels (n,), predictions (seeds, n)) of a network's finished runs, the clips in the order of their names."""
    tables = [ensemble.read_table(run.parent) for run in sorted(folder.glob(f"{which}-*/result.json"))]
    target = np.array([tables[0].classes.index(label) for label in tables[0].labels])
    return target, np.array([table.probabilities.argmax(1) for table in tables])


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.learn", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=sorted(STUDIES))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="1,2,3")
    options = parser.parse_args()
    rows = study(options.study, options.data, options.out, [int(s) for s in options.seeds.split(",")])
    (options.out / f"{options.study}.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(table(rows))
    if len({row["network"] for row in rows}) > 1:
        print(differences(options.out / options.study, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
