"""Datasets from elsewhere as release folders, so that training and MOS studies read them as they read ours.

Three shapes are understood: train/ and test/ with metadata.jsonl (a release), parquet with video_data, name and label, and
folders named after classes, with or without Train/Validation/Test above them.
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from annotation.rules.taxonomy import EMOTIONS, parse_emotion
from qa.export.release import ReleaseError, place_file, put, sha256_of, write_manifest
from qa.rules.variants import stratified_split

VIDEO = {".mp4", ".avi", ".mkv", ".webm", ".mov", ".flv", ".m4v"}
SPLIT_NAMES = {"train": "train", "training": "train", "test": "test", "testing": "test", "val": "test", "validation": "test"}
SYNONYMS = {"excited": "Excitation", "relaxed": "Relaxation", "tense": "Tension", "fearful": "Fear"}
EIGHT_DIGITS = re.compile(r"\d{8}\.mp4")


@dataclass(frozen=True)
class Found:
    """A labelled clip of a dataset: a file, or the bytes of a parquet cell. split is empty where the dataset has none."""

    label: str
    name: str
    split: str = ""
    file: Path | None = None
    content: bytes | None = None


def find_clips(folder: Path) -> list[Found]:
    """The labelled clips of a folder, in a fixed order. Raises ReleaseError when the folder has none of the known shapes."""
    if not folder.is_dir():
        raise ReleaseError(f"{folder} is not a folder")
    for reader in (_from_metadata, _from_parquet, _from_classes):
        found = list(reader(folder))
        if found:
            return found
    raise ReleaseError(
        f"{folder} holds no dataset: neither metadata.jsonl, nor parquet with video_data and label, nor a folder of clips per class"
    )


def write_imported(target: Path, clips: Sequence[Found], *, name: str, seed: int, media: str) -> dict[str, dict[str, int]]:
    """Writes the clips as a release folder (a missing split is made, 80/20 per class); counts per split and label."""
    splits = _splits(clips, seed)
    classes = _classes(clips)
    draft = target.parent / f".{target.name}.{uuid.uuid4().hex}"
    counts = {split: dict.fromkeys(classes, 0) for split in ("train", "test")}
    try:
        files: dict[str, dict[str, Any]] = {}
        lines: dict[str, list[str]] = {"train": [], "test": []}
        for split in lines:
            (draft / split).mkdir(parents=True)
        for clip, split, file_name in zip(clips, splits, _file_names(clips), strict=True):
            path = draft / split / file_name
            if clip.file is None:
                path.write_bytes(clip.content or b"")
                facts = {"sha256": sha256_of(path), "bytes": path.stat().st_size}
            else:
                facts = place_file(clip.file, path, media)
            files[f"{split}/{file_name}"] = facts
            row = {
                "file_name": file_name,
                "label": clip.label,
                "class_id": classes.index(clip.label),
                "original": clip.name,
                "sha256": facts["sha256"],
            }
            lines[split].append(json.dumps(row, ensure_ascii=False))
            counts[split][clip.label] += 1
        for split, rows in lines.items():
            (draft / split / "metadata.jsonl").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
        (draft / "README.md").write_text(f"# {name}\n\nImported; {len(clips):,} clips of {len(classes)} classes.\n", encoding="utf-8")
        write_manifest(
            draft, files, {"name": name, "variant": "imported", "seed": seed, "classes": classes, "counts": counts, "media": True}
        )
        put(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return counts


def _from_metadata(folder: Path) -> Iterator[Found]:
    for split in ("train", "test"):
        manifest = folder / split / "metadata.jsonl"
        if not manifest.is_file():
            continue
        for number, line in enumerate(manifest.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                row = json.loads(line)
                name, label = row["file_name"], row.get("label", row.get("emotion"))
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise ReleaseError(f"{manifest}:{number}: not a row with file_name and label ({error})") from None
            path = manifest.parent / str(name)
            if path.is_symlink() or not path.resolve().is_relative_to(manifest.parent.resolve()) or not path.is_file():
                raise ReleaseError(f"{manifest}:{number}: {name!r} is not a file of this folder")
            yield Found(_label(str(label)), Path(name).name, split, file=path)


def _from_parquet(folder: Path) -> Iterator[Found]:
    import pyarrow.parquet as pq

    for path in sorted(folder.rglob("*.parquet")):
        table = pq.ParquetFile(path)
        columns = set(table.schema_arrow.names)
        name_column = next((name for name in ("name", "video_name", "file_name", "filename") if name in columns), None)
        if not {"video_data", "label"} <= columns or name_column is None:
            raise ReleaseError(f"{path} has no columns video_data, name and label; it has {', '.join(sorted(columns))}")
        split = next((SPLIT_NAMES[word] for word in re.split(r"[-_/.]", path.stem.lower()) if word in SPLIT_NAMES), "")
        for batch in table.iter_batches(batch_size=16, columns=["video_data", name_column, "label"]):
            for row in batch.to_pylist():
                if row["video_data"]:
                    yield Found(_label(str(row["label"])), Path(str(row[name_column])).name, split, content=row["video_data"])


def _from_classes(folder: Path) -> Iterator[Found]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in VIDEO or not path.is_file() or path.is_symlink():
            continue
        parts = path.relative_to(folder).parts
        if len(parts) < 2:
            continue
        split = next((SPLIT_NAMES[part.lower()] for part in parts[:-2] if part.lower() in SPLIT_NAMES), "")
        yield Found(_label(parts[-2]), path.name, split, file=path)


def _label(text: str) -> str:
    """One of our six emotions where it is one under another spelling; else the dataset's own word."""
    try:
        return parse_emotion(text)
    except ValueError:
        return SYNONYMS.get(text.strip().lower(), text.strip())


def _classes(clips: Sequence[Found]) -> list[str]:
    """Our six in their order when there is nothing else, else the dataset's own, in alphabetical order."""
    labels = {clip.label for clip in clips}
    return list(EMOTIONS) if labels <= set(EMOTIONS) else sorted(labels)


def _splits(clips: Sequence[Found], seed: int) -> list[str]:
    if all(clip.split for clip in clips):
        return [clip.split for clip in clips]
    is_test = stratified_split(np.array([clip.label for clip in clips]), rng=np.random.default_rng(seed))
    return ["test" if test else "train" for test in is_test.tolist()]


def _file_names(clips: Sequence[Found]) -> list[str]:
    """Their own eight digits where all have such, else numbers in order."""
    names = [clip.name for clip in clips]
    if len(set(names)) == len(names) and all(EIGHT_DIGITS.fullmatch(name) for name in names):
        return names
    return [f"{number:08d}{Path(name).suffix.lower() or '.mp4'}" for number, name in enumerate(names, start=1)]
