"""What a release folder holds, as training reads it: train/ and test/ with metadata.jsonl, file_name and emotion of each clip."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.engine.recipes import EMOTIONS, POLARITY, Recipe

PARTS = ("train", "test")
FORMAT_VERSION = 1  # of release.json
SPELLINGS = {"Sad": "Sadness"}  # the published data set writes Sad


@dataclass(frozen=True)
class Sample:
    path: Path
    name: str  # relative to the release folder, e.g. train/00000001.mp4
    label: int
    votes: tuple[int, ...] = ()  # the emotions voted for, where the release tells them
    posterior: tuple[float, ...] = ()  # probability of each class by Dawid-Skene, where it tells that


def samples_of(release: Path, part: str, classes: Sequence[str]) -> list[Sample]:
    """The samples of one part, in the file's order. Raises ValueError naming file and line."""
    manifest = release / part / "metadata.jsonl"
    if not manifest.is_file():
        raise ValueError(f"{manifest} is not there; give a release folder made by export_variants, with train/ and test/ inside")
    samples = []
    for number, line in enumerate(_text(manifest).split("\n"), 1):  # no other character ends a line: a title may hold U+2028
        if line.strip():
            samples.append(_sample(manifest, number, line, classes))
    if not samples:
        raise ValueError(f"{manifest} lists no clip; export a release that has some in its {part} part")
    return samples


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 ({error}); export the release again") from error


def _sample(manifest: Path, number: int, line: str, classes: Sequence[str]) -> Sample:
    where = f"{manifest}:{number}"
    try:
        row = json.loads(line)
        file_name = row["file_name"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{where}: not a JSON object with file_name ({error}); export the release again") from error
    emotion = row.get("emotion", row.get("label"))
    path = manifest.parent / file_name
    votes = tuple(_label(vote, classes, where) for vote in row.get("votes") or ())
    posterior = tuple(float(p) for p in row.get("posterior") or ())
    return Sample(path, f"{manifest.parent.name}/{file_name}", _label(emotion, classes, where), votes, posterior)


def _label(emotion: object, classes: Sequence[str], where: str) -> int:
    if isinstance(emotion, int) and 0 <= emotion < len(classes):
        return emotion
    name = SPELLINGS.get(str(emotion), str(emotion))
    if name not in classes:
        raise ValueError(f"{where}: emotion {emotion!r} is none of {', '.join(classes)}; set the recipe's classes to those of this release")
    return list(classes).index(name)


def beliefs(sample: Sample, kind: str, num_classes: int) -> list[float]:
    """What to learn of a clip beside its label: a share of one for each class. Raises ValueError where the release does not tell it."""
    if kind == "votes" and sample.votes:
        return [sample.votes.count(k) / len(sample.votes) for k in range(num_classes)]
    if kind == "posterior" and len(sample.posterior) == num_classes:
        return list(sample.posterior)
    raise ValueError(
        f"{sample.name}: its metadata has no {kind} over {num_classes} classes; set labels=majority, or export the release with them"
    )


def for_release(recipe: Recipe, release: Path) -> Recipe:
    """The recipe with the release's own classes and polarities, where its release.json names them.

    Where it names no polarity a class of ours keeps its own, and one that is not ours is neutral.
    """
    facts = release_facts(release)
    if "classes" not in facts:
        return recipe
    classes = tuple(SPELLINGS.get(name, name) for name in facts["classes"])
    known = dict(zip(EMOTIONS, POLARITY, strict=True))
    return replace(recipe, classes=classes, polarity=tuple(facts.get("polarity") or (known.get(name, "neutral") for name in classes)))


def release_facts(release: Path) -> dict[str, Any]:
    path = release / "release.json"
    return facts_of(path.read_bytes(), path) if path.is_file() else {}


def facts_of(content: bytes, where: object) -> dict[str, Any]:
    """What a release.json says. Raises ValueError if it is none, or of another format than this program reads."""
    try:
        facts = json.loads(content)
        made = facts.get("format_version", FORMAT_VERSION)
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{where} is no JSON object ({error}); export the release again") from error
    if made != FORMAT_VERSION:
        raise ValueError(
            f"{where} is of format {made}, and this program reads {FORMAT_VERSION}; use the version of the program that made it"
        )
    return facts


def manifest_hash(release: Path) -> str:
    """sha256 over the metadata of both parts: which clips with which labels."""
    digest = hashlib.sha256()
    for part in PARTS:
        manifest = release / part / "metadata.jsonl"
        digest.update(manifest.read_bytes() if manifest.is_file() else b"")
    return digest.hexdigest()


def split_validation(samples: Sequence[Sample], fraction: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """(kept for training, validation): the same share of every class, at least one where a class has two or more."""
    rng = np.random.default_rng((seed, 20))
    chosen: set[int] = set()
    for label in sorted({s.label for s in samples}):
        members = [i for i, s in enumerate(samples) if s.label == label]
        count = max(round(len(members) * fraction), 1) if fraction > 0 and len(members) > 1 else 0
        chosen.update(rng.permutation(members)[:count].tolist())
    return [s for i, s in enumerate(samples) if i not in chosen], [s for i, s in enumerate(samples) if i in chosen]
