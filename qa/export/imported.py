"""Datasets from elsewhere as release folders, so that training and MOS studies read them as they read ours.

Understood are the shapes that a release is written in (train/ and test/ with metadata.jsonl, parquet, WebDataset shards, CSV, the
lists of VAANet) and folders named after classes, with or without Train/Validation/Test above them.
"""

from __future__ import annotations

import csv
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from annotation.rules.taxonomy import EMOTIONS, parse_emotion
from qa.export.formats import one_line
from qa.export.release import ReleaseError, drafted, is_inside, json_lines, place_file, put, sha256_of, write_manifest
from qa.rules.variants import stratified_split

VIDEO = {".mp4", ".avi", ".mkv", ".webm", ".mov", ".flv", ".m4v"}
UNPLAYED = VIDEO - {".mp4", ".m4v", ".webm"}  # not by every browser
SPLIT_NAMES = {"train": "train", "training": "train", "test": "test", "testing": "test", "val": "test", "validation": "test"}
SYNONYMS = {"excited": "Excitation", "relaxed": "Relaxation", "tense": "Tension", "fearful": "Fear"}
EIGHT_DIGITS = re.compile(r"\d{8}\.mp4")
NAME_COLUMNS = ("name", "video_name", "file_name", "filename", "file", "video", "path")
LABEL_COLUMNS = ("label", "emotion", "class")
BATCH = 16  # clips of a parquet file that are held at once


@dataclass(frozen=True)
class Found:
    """A labelled clip of a dataset: a file, or how to read its bytes when its turn comes. split is empty where the dataset has none."""

    label: str
    name: str
    split: str = ""
    file: Path | None = None
    content: Callable[[], bytes] | None = None


def find_clips(folder: Path) -> list[Found]:
    """The labelled clips of a folder, in a fixed order. Raises ReleaseError when the folder has none of the known shapes."""
    if not folder.is_dir():
        raise ReleaseError(f"{folder} is not a folder")
    for reader in (_from_metadata, _from_parquet, _from_shards, _from_csv, _from_classes):
        found = list(reader(folder))
        if found:
            return found
    raise ReleaseError(
        f"{folder} holds no dataset: neither metadata.jsonl, nor parquet with video_data and label, nor shards of clips and JSON, "
        "nor a CSV with file_name and label, nor a folder of clips per class"
    )


@dataclass(frozen=True)
class Player:
    """What makes clips playable: transcode(source, target) makes an MP4, or raises ValueError; unplayed(files) tells which some browser does not play."""

    transcode: Callable[[Path, Path], None]
    unplayed: Callable[[Sequence[Path]], list[bool]]


def write_imported(target: Path, clips: Sequence[Found], *, name: str, seed: int, media: str, player: Player) -> dict[str, dict[str, int]]:
    """Writes the clips as a release folder (a missing split is made, 80/20 per class); counts per split and label.

    What some browser does not play becomes MP4. Raises ReleaseError that names the clip where that fails.
    """
    splits = _splits(clips, seed)
    classes = _classes(clips)
    counts = {split: dict.fromkeys(classes, 0) for split in ("train", "test")}
    with drafted(target) as draft:
        for split in counts:
            (draft / split).mkdir()
        placed = [
            _place(clip, draft / split / name, media, player) for clip, split, name in zip(clips, splits, _file_names(clips), strict=True)
        ]
        made = sum(_suffix(clip.name) in UNPLAYED for clip in clips)
        for place in _odd(placed, player):
            placed[place] = _replaced(clips[place], placed[place][0], player)
            made += 1
        files = {f"{path.parent.name}/{path.name}": facts for path, facts in placed}
        lines: dict[str, list[str]] = {"train": [], "test": []}
        for clip, split, (path, facts) in zip(clips, splits, placed, strict=True):
            row = {
                "file_name": path.name,
                "label": clip.label,
                "class_id": classes.index(clip.label),
                "original": clip.name,
                "sha256": facts["sha256"],
            }
            lines[split].append(one_line(row))
            counts[split][clip.label] += 1
        for split, rows in lines.items():
            (draft / split / "metadata.jsonl").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
        (draft / "README.md").write_text(f"# {name}\n\n{_told(len(clips), len(classes), made)}\n", encoding="utf-8")
        write_manifest(
            draft, files, {"name": name, "variant": "imported", "seed": seed, "classes": classes, "counts": counts, "media": True}
        )
        put(draft, target)
    return counts


def _told(num_clips: int, num_classes: int, made: int) -> str:
    said = f" {made:,} of them were turned into MP4 (H.264, AAC), since not every browser plays what they were." if made else ""
    return f"Imported; {num_clips:,} clips of {num_classes} classes.{said}"


Placed = tuple[Path, dict[str, Any]]  # a clip's file, its sha256 and size


def _place(clip: Found, path: Path, media: str, player: Player) -> Placed:
    if _suffix(clip.name) in UNPLAYED:
        source = clip.file or path.with_suffix(_suffix(clip.name))
        if clip.content:
            source.write_bytes(clip.content())
        _transcode(clip, source, path, player)
        if clip.content:
            source.unlink()
    elif clip.file is not None:
        return path, place_file(clip.file, path, media)
    else:
        path.write_bytes(clip.content() if clip.content else b"")
    return path, _facts(path)


def _odd(placed: Sequence[Placed], player: Player) -> list[int]:
    """Places of those whose names promise what browsers play, and which are something else."""
    return [place for place, odd in enumerate(player.unplayed([path for path, _ in placed])) if odd]


def _replaced(clip: Found, path: Path, player: Player) -> Placed:
    """The clip as MP4 in the place of what it was; a linked original stays as it is."""
    made = path.with_name(f"{path.stem}.made.mp4")
    _transcode(clip, path, made, player)
    path.unlink()
    return made.rename(path.with_suffix(".mp4")), _facts(path.with_suffix(".mp4"))


def _transcode(clip: Found, source: Path, target: Path, player: Player) -> None:
    try:
        player.transcode(source, target)
    except ValueError as error:
        raise ReleaseError(f"{clip.file or clip.name}: cannot be turned into MP4: {error}; mend it or take it out") from error


def _facts(path: Path) -> dict[str, Any]:
    return {"sha256": sha256_of(path), "bytes": path.stat().st_size}


def _from_metadata(folder: Path) -> Iterator[Found]:
    for split in ("train", "test"):
        manifest = folder / split / "metadata.jsonl"
        if not manifest.is_file():
            continue
        for number, row in json_lines(manifest):
            name, label = row.get("file_name"), row.get("label", row.get("emotion"))
            if name is None or label is None:
                raise ReleaseError(f"{manifest}:{number}: not a row with file_name and label")
            path = manifest.parent / str(name)
            if not is_inside(manifest.parent, path) or not path.is_file():
                raise ReleaseError(f"{manifest}:{number}: {name!r} is not a file of this folder")
            yield Found(_label(str(label)), path.name, split, file=path)


def _from_parquet(folder: Path) -> Iterator[Found]:
    """Names and labels only: the clips of a whole dataset would not fit into memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in sorted(folder.rglob("*.parquet")):
        try:
            table = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise ReleaseError(f"{path} is no parquet file: {error}") from None
        columns = set(table.schema_arrow.names)
        name_column = next((name for name in NAME_COLUMNS if name in columns), None)
        if not {"video_data", "label"} <= columns or name_column is None:
            raise ReleaseError(f"{path} has no columns video_data, name and label; it has {', '.join(sorted(columns))}")
        if _is_without_clips(table):
            continue
        cells, row = _Cells(path), 0
        for batch in table.iter_batches(columns=[name_column, "label"]):
            for name, label in zip(batch.column(name_column).to_pylist(), batch.column("label").to_pylist(), strict=True):
                yield Found(_label(str(label)), PurePosixPath(str(name)).name, _split_of(path), content=partial(cells.at, row))
                row += 1


def _is_without_clips(table: Any) -> bool:
    """Whether every cell of video_data is null: a release without media."""
    column = table.schema_arrow.get_field_index("video_data")
    groups = [table.metadata.row_group(i) for i in range(table.metadata.num_row_groups)]
    facts = [group.column(column).statistics for group in groups]
    return all(found is not None and found.null_count == group.num_rows for group, found in zip(groups, facts, strict=True))


class _Cells:
    """The clips of one parquet file, asked for from the first to the last; a batch of them is held."""

    def __init__(self, path: Path) -> None:
        self.path, self.next, self.rows = path, 0, self._read()

    def at(self, row: int) -> bytes:
        """Raises ReleaseError where the row has none."""
        content = None
        while self.next <= row:
            content, self.next = next(self.rows), self.next + 1
        if not content:
            raise ReleaseError(f"{self.path}: row {row} has no video_data")
        return content

    def _read(self) -> Iterator[bytes | None]:
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(self.path).iter_batches(batch_size=BATCH, columns=["video_data"]):
            yield from batch.column(0).to_pylist()


def _from_shards(folder: Path) -> Iterator[Found]:
    """Pairs of 00000001.mp4 and 00000001.json, as WebDataset has them."""
    for path in sorted(folder.rglob("*.tar")):
        clips: dict[str, tarfile.TarInfo] = {}
        labels: dict[str, str] = {}
        try:
            with tarfile.open(path, "r:") as shard:
                for member in shard:
                    name = PurePosixPath(member.name)
                    if member.isfile() and name.suffix.lower() in VIDEO:
                        clips[str(name.with_suffix(""))] = member
                    elif member.isfile() and name.suffix == ".json":
                        labels[str(name.with_suffix(""))] = str(json.load(shard.extractfile(member))["label"])  # type: ignore[arg-type]
        except (tarfile.TarError, ValueError, KeyError, TypeError) as error:
            raise ReleaseError(f"{path} is no shard of clips and JSON with a label: {error!r}") from None
        for key, member in clips.items():
            if key not in labels:
                raise ReleaseError(f"{path}: {member.name} has no JSON with its label beside it")
            content = partial(_bytes_at, path, member.offset_data, member.size)
            yield Found(_label(labels[key]), PurePosixPath(member.name).name, _split_of(path), content=content)


def _bytes_at(path: Path, start: int, size: int) -> bytes:
    with path.open("rb") as shard:
        shard.seek(start)
        return shard.read(size)


def _from_csv(folder: Path) -> Iterator[Found]:
    """Tables that name clips and their labels; the clips lie beside the table, in the folder, or in its train/ and test/."""
    for path in sorted([*folder.glob("*.csv"), *folder.glob("csv/*.csv")]):
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            try:
                header = list(reader.fieldnames or [])
                name_column, label_column = (
                    next((name for name in known if name in header), "") for known in (NAME_COLUMNS, LABEL_COLUMNS)
                )
                if not name_column or not label_column:
                    continue
                for row in reader:
                    name, label = row[name_column] or "", row[label_column] or ""
                    split = SPLIT_NAMES.get((row.get("split") or "").strip().lower()) or _split_of(path)
                    places = [path.parent / name, folder / name, folder / (split or "train") / name]
                    file = next((place for place in places if is_inside(folder, place) and place.is_file()), None)
                    if file is None or not label.strip():
                        raise ReleaseError(f"{path}:{reader.line_num}: {name!r} is not a file of this folder, or has no label")
                    yield Found(_label(label), file.name, split, file=file)
            except (UnicodeDecodeError, csv.Error) as error:
                raise ReleaseError(f"{path}:{reader.line_num}: {error}") from None


def _from_classes(folder: Path) -> Iterator[Found]:
    listed = _listed_splits(folder)
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.suffix.lower() not in VIDEO or len(parts) < 2 or _is_hidden(parts) or not path.is_file() or path.is_symlink():
            continue
        split = next((SPLIT_NAMES[part.lower()] for part in parts[:-2] if part.lower() in SPLIT_NAMES), "")
        yield Found(_label(parts[-2]), path.name, split or listed.get(path.stem, ""), file=path)


def _is_hidden(parts: Sequence[str]) -> bool:
    """What systems put beside files of their own accord."""
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _listed_splits(folder: Path) -> dict[str, str]:
    """Clip → split as a list of VAANet's says ({"database": {name: {"subset": …}}}); empty where there is none."""
    for path in sorted([*folder.glob("*.json"), *folder.glob("lists/*.json")]):
        try:
            database = json.loads(path.read_text(encoding="utf-8"))["database"]
            return {str(name): SPLIT_NAMES[entry["subset"]] for name, entry in database.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a JSON file of another kind
    return {}


def _split_of(path: Path) -> str:
    """train-00000-of-00001.parquet, test.csv …"""
    return next((SPLIT_NAMES[word] for word in re.split(r"[-_/.]", path.stem.lower()) if word in SPLIT_NAMES), "")


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
    suffixes = [".mp4" if _suffix(name) in UNPLAYED else _suffix(name) or ".mp4" for name in names]
    return [f"{number:08d}{suffix}" for number, suffix in enumerate(suffixes, start=1)]


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()
