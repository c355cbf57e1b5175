"""The shapes in which a release can be had beside train/ and test/: parquet, WebDataset shards, VAANet lists, CSV.

Each writer takes the clips in order and puts files under the folder; nothing in a file depends on when or where it was written.
A format is one function here and one line in FORMATS.
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from qa.export.clips import CLASSES, SPLITS, Clip

CHUNK_BYTES = 256 * 2**20  # of clips in one parquet file or shard
CHUNK_CLIPS = 5000
ROW_GROUP_BYTES = 32 * 2**20
LINE_ENDS = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_metadata(folder: Path, clips: Sequence[Clip], *, with_media: bool, variant: str) -> None:
    """train/metadata.jsonl and test/metadata.jsonl, which load_dataset("videofolder") reads."""
    for split, chosen in _by_split(clips):
        (folder / split).mkdir(exist_ok=True)
        with (folder / split / "metadata.jsonl").open("w", encoding="utf-8", newline="\n") as lines:
            for clip in chosen:
                lines.write(one_line(clip.fields()) + "\n")


def write_parquet(folder: Path, clips: Sequence[Clip], *, with_media: bool, variant: str) -> None:
    """parquet/<split>-00000-of-00001.parquet with the columns of the published dataset (video_data, name, label) and ours."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _parquet_schema(pa, clips[0].fields())
    (folder / "parquet").mkdir()
    for split, chosen in _by_split(clips):
        chunks = list(_chunks(chosen)) or [[]]
        for number, chunk in enumerate(chunks):
            path = folder / "parquet" / f"{split}-{number:05d}-of-{len(chunks):05d}.parquet"
            with pq.ParquetWriter(path, schema, compression="zstd" if not with_media else "none") as writer:
                for group in _chunks(chunk, most_bytes=ROW_GROUP_BYTES):
                    writer.write_table(pa.Table.from_pylist([_parquet_row(clip, with_media=with_media) for clip in group], schema=schema))


def write_shards(folder: Path, clips: Sequence[Clip], *, with_media: bool, variant: str) -> None:
    """shards/<split>-000000.tar for WebDataset: 00000001.mp4 beside 00000001.json."""
    (folder / "shards").mkdir()
    for split, chosen in _by_split(clips):
        for number, chunk in enumerate(_chunks(chosen)):
            with tarfile.open(folder / "shards" / f"{split}-{number:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as shard:
                for clip in chunk:
                    _add(shard, f"{clip.name}.json", one_line(clip.fields()).encode())
                    if with_media:
                        with clip.source.open("rb") as media:
                            _add(shard, f"{clip.name}.mp4", media)


def write_lists(folder: Path, clips: Sequence[Clip], *, with_media: bool, variant: str) -> None:
    """lists/: class index, train and test list (`Class/00000001 1`, counted from 1) and the JSON that VAANet's loader reads."""
    lists = folder / "lists"
    lists.mkdir()
    _write_lines(lists / "classInd.txt", (f"{i} {name}" for i, name in enumerate(CLASSES, start=1)))
    for split, chosen in _by_split(clips):
        _write_lines(lists / f"{split}list01.txt", (f"{clip.label}/{clip.name} {CLASSES.index(clip.label) + 1}" for clip in chosen))
    subset = {"train": "training", "test": "validation"}
    database = {clip.name: {"subset": subset[clip.split], "annotations": {"label": clip.label}} for clip in clips}
    content = one_line({"labels": list(CLASSES), "database": database})
    (lists / f"eMotions6_01_{variant}.json").write_text(content + "\n", encoding="utf-8")


def write_csv(folder: Path, clips: Sequence[Clip], *, with_media: bool, variant: str) -> None:
    """csv/train.csv and csv/test.csv; several values in one cell are joined by |."""
    (folder / "csv").mkdir()
    for split, chosen in _by_split(clips):
        with (folder / "csv" / f"{split}.csv").open("w", encoding="utf-8", newline="") as lines:
            writer = csv.writer(lines, lineterminator="\n")
            writer.writerow(clips[0].fields())
            writer.writerows([cell(value) for value in clip.fields().values()] for clip in chosen)


FORMATS: dict[str, Callable[..., None]] = {
    "parquet": write_parquet,
    "shards": write_shards,
    "lists": write_lists,
    "csv": write_csv,
}


def cell(value: Any) -> str:
    """A value for a spreadsheet: lists joined, nothing for None, and text that a spreadsheet would run as a formula is quoted."""
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return "|".join(cell(item) for item in value)
    if isinstance(value, (int, float)):
        return str(value)
    return f"'{value}" if str(value).startswith(FORMULA_STARTS) else str(value)


def _by_split(clips: Sequence[Clip]) -> Iterator[tuple[str, list[Clip]]]:
    for split in SPLITS:
        yield split, [clip for clip in clips if clip.split == split]


def _chunks(clips: Sequence[Clip], *, most_bytes: int = CHUNK_BYTES) -> Iterator[list[Clip]]:
    chunk: list[Clip] = []
    size = 0
    for clip in clips:
        if chunk and (size + clip.size_bytes > most_bytes or len(chunk) >= CHUNK_CLIPS):
            yield chunk
            chunk, size = [], 0
        chunk.append(clip)
        size += clip.size_bytes
    if chunk:
        yield chunk


def _parquet_schema(pa: Any, fields: dict[str, Any]) -> Any:
    text, number, texts, numbers = pa.string(), pa.float64(), pa.list_(pa.string()), pa.list_(pa.float64())
    columns = {"video_data": pa.binary(), "name": text, "label": text, "class_id": pa.int8(), "split": text, "platform": text}
    columns |= {"duration_s": number, "frames": pa.int64(), "width": pa.int32(), "height": pa.int32(), "fps": number}
    columns |= {"decided_by": text, "votes": texts, "vote_rungs": texts, "adjectives": texts, "confidences": numbers}
    columns |= {"posterior": numbers, "difficulty": number, "term": text, "stage": text, "sha256": text}
    if "media_key" in fields:
        columns["media_key"] = text
    return pa.schema(list(columns.items()))


def _parquet_row(clip: Clip, *, with_media: bool) -> dict[str, Any]:
    row = clip.fields()
    return {"video_data": clip.source.read_bytes() if with_media else None, "name": row.pop("file_name"), "split": clip.split} | row


def _add(shard: tarfile.TarFile, name: str, content: bytes | Any) -> None:
    """A member without owner, mode or time of its own."""
    member = tarfile.TarInfo(name)
    if isinstance(content, bytes):
        content = io.BytesIO(content)
    member.size = content.seek(0, io.SEEK_END)
    content.seek(0)
    shard.addfile(member, content)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def one_line(value: Any) -> str:
    """On one line for every reader: some take U+0085, U+2028 and U+2029 for the end of a line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).translate(LINE_ENDS)
