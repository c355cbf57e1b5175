"""The model card of a run, README.md in its folder, in the layout that Hugging Face reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.engine.recipes import Recipe

CARD = """---
library_name: pytorch
pipeline_tag: video-classification
tags: [emotion-recognition, audio-visual]
---
# {network}, recipe {recipe}

Says which emotion a short video evokes: {classes}.

## Scores on the test part ({num_samples} clips, {test_protocol} crops, weights `{weights}`)

| | | 95 % interval (bootstrap over clips) |
|---|---|---|
{scores}
| always the commonest class, ACC | {majority_acc:.4f} | |
| calibration error | {calibration_error:.4f} | |
{branches}
| class | clips | recall |
|---|---|---|
{classwise}

Figures: [confusion](figures/confusion.png), [t-SNE](figures/tsne.png). Every prediction: [predictions.csv](predictions.csv).

## Trained on

Release `{release}`, sha256 of its metadata `{manifest_sha256}`. Seed {seed}, {epochs} epochs, code at commit `{git_commit}`.
All settings: [recipe.json](recipe.json); machine and versions: [environment.json](environment.json).
Weights it started from: {start}.

## Limits

The labels are what annotators felt the video evokes in a viewer, not what the people in it feel. Scores hold for clips like
those of the release. A clip without sound is read with an empty sound track. Not for decisions about people.
"""


def write_card(run: Path, recipe: Recipe, result: dict[str, Any]) -> None:
    made = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    start = ", ".join(f"{name} `{getattr(recipe, name)}`" for name in ("init_from", "init_video", "init_audio") if getattr(recipe, name))
    told = {
        **result,
        "seed": recipe.seed,
        "epochs": recipe.epochs,
        "git_commit": made.get("git_commit") or "unknown",
        "network": recipe.network,
        "recipe": recipe.name,
        "classes": ", ".join(recipe.classes),
        "scores": "\n".join(_score_line(name, key, result) for name, key in (("ACC", "acc"), ("WA-F1", "wa_f1"), ("UAR", "uar"))),
        "branches": "".join(_branch_line(branch, result) for branch in ("video", "audio")),
        "classwise": "\n".join(_class_line(name, result) for name in recipe.classes),
        "start": start or "none, from scratch",
    }
    text = CARD.format(**told)
    (run / "README.md").write_text(text, encoding="utf-8")


def _score_line(name: str, key: str, result: dict[str, Any]) -> str:
    low, high = result["intervals_95"][key]
    return f"| {name} | {result[key]:.4f} | {low:.4f} to {high:.4f} |"


def _branch_line(branch: str, result: dict[str, Any]) -> str:
    own = result.get(f"{branch}_branch")
    return f"| {branch} branch alone, ACC | {own['acc']:.4f} | |\n" if own else ""


def _class_line(name: str, result: dict[str, Any]) -> str:
    recall = result["per_class_recall"][name]
    return f"| {name} | {result['per_class_count'][name]} | {'-' if recall is None else f'{recall:.4f}'} |"
