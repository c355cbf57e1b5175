"""Datasets from elsewhere: every shape that a release is written in comes back, clip by clip, and nothing from outside the folder."""

import json
import shutil
import tracemalloc

import av
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.exceptions import ValidationError

from qa import export, services
from qa.models import Release
from tests.crawler.conftest import make_clip


def bytes_of(release):
    return {path.name: path.read_bytes() for path in release.folder.rglob("*.mp4")}


@pytest.fixture
def written(dataset, tmp_path):
    return services.release_make(variant="all", out_dir=tmp_path, seed=1, formats=tuple(export.FORMATS))


@pytest.mark.parametrize("shape", ["parquet", "shards"])
def test_what_a_release_is_written_as_comes_back_with_splits_and_bytes(written, tmp_path, shape):
    again = services.dataset_import(written.folder / shape, name=shape, out_dir=tmp_path / "in")
    assert again.counts == written.counts
    assert bytes_of(again) == bytes_of(written)
    assert services.release_verify(again.folder) == []


def test_a_release_as_csv_comes_back(written, tmp_path):
    for split in ("train", "test"):
        (written.folder / split / "metadata.jsonl").unlink()
    for shape in ("parquet", "shards"):
        for path in (written.folder / shape).iterdir():
            path.unlink()
    again = services.dataset_import(written.folder, name="csv", out_dir=tmp_path / "in")
    assert again.counts == written.counts
    assert bytes_of(again) == bytes_of(written)


def test_a_csv_beside_its_clips_is_enough(db, tmp_path):
    folder = tmp_path / "iemocap"
    (folder / "clips").mkdir(parents=True)
    rows = [("clips/a.mp4", "angry", "train"), ("clips/b.mp4", "sad", "test"), ("clips/c.mp4", "angry", "test")]
    for name, _label, _split in rows:
        (folder / name).write_bytes(name.encode())
    (folder / "labels.csv").write_text("path,emotion,split\n" + "".join(f"{','.join(row)}\n" for row in rows))
    found = services.dataset_import(folder, name="IEMOCAP", out_dir=tmp_path / "in")
    assert found.counts == {"train": {"Sadness": 0, "angry": 1}, "test": {"Sadness": 1, "angry": 1}}


def test_vaanets_lists_split_a_folder_per_class(db, tmp_path):
    folder = tmp_path / "ekman"
    database = {}
    for label in ("anger", "joy"):
        (folder / label).mkdir(parents=True)
        for i in range(5):
            (folder / label / f"{label}{i}.mp4").write_bytes(f"{label}{i}".encode())
            database[f"{label}{i}"] = {"subset": "training" if i else "validation", "annotations": {"label": label}}
    (folder / "notes.json").write_text("[1, 2]")
    (folder / "ve6_01.json").write_text(json.dumps({"labels": ["anger", "joy"], "database": database}))
    (folder / "__MACOSX" / "joy").mkdir(parents=True)
    (folder / "__MACOSX" / "joy" / "._joy1.mp4").write_bytes(b"no clip")
    found = services.dataset_import(folder, name="Ekman", out_dir=tmp_path / "in")
    assert found.counts == {"train": {"anger": 4, "joy": 4}, "test": {"anger": 1, "joy": 1}}
    assert found.folder.joinpath("test").glob("*.mp4")
    assert sorted(path.read_bytes() for path in (found.folder / "test").glob("*.mp4")) == [b"anger0", b"joy0"]


@pytest.fixture
def divx(tmp_path):
    """As IEMOCAP has them: no browser plays it."""
    return make_clip(tmp_path / "divx.avi", seconds=1, extra=("-c:v", "mpeg4", "-c:a", "mp3"))


def codecs(path):
    with av.open(str(path)) as clip:
        return clip.format.name.split(",")[0], {stream.codec_context.name for stream in clip.streams}


@pytest.mark.parametrize("shape", ["classes", "parquet"])
def test_a_clip_that_browsers_do_not_play_becomes_mp4(db, tmp_path, divx, shape):
    folder = tmp_path / "iemocap"
    if shape == "classes":
        (folder / "angry").mkdir(parents=True)
        (folder / "angry" / "a.AVI").write_bytes(divx.read_bytes())
        (folder / "angry" / "b.webm").write_bytes(b"left as it is")
    else:
        folder.mkdir()
        rows = [("a.AVI", divx.read_bytes()), ("b.webm", b"left as it is")]
        pq.write_table(
            pa.Table.from_pylist([{"video_data": data, "name": name, "label": "angry"} for name, data in rows]), folder / "a.parquet"
        )
    found = services.dataset_import(folder, name="IEMOCAP", out_dir=tmp_path / "in")
    rows = export.read_rows(found.folder)
    assert {name: row["original"] for name, row in rows.items()} == {"00000001.mp4": "a.AVI", "00000002.webm": "b.webm"}
    made = found.folder / rows["00000001.mp4"]["split"] / "00000001.mp4"
    assert codecs(made) == ("mov", {"h264", "aac"})
    assert "1 of them were turned into MP4" in (found.folder / "README.md").read_text()
    assert services.release_verify(found.folder) == []
    assert services.dataset_import(folder, name="IEMOCAP", out_dir=tmp_path / "in") == found, "a repeat gives the same bytes"


CODED = {
    "a.mp4": ("-c:v", "mpeg4", "-c:a", "aac"),
    "b.mp4": ("-c:v", "libx264", "-c:a", "aac"),
    "c.webm": ("-c:v", "libvpx", "-c:a", "libopus", "-f", "webm"),
    "d.webm": ("-c:v", "libx264", "-c:a", "mp3", "-f", "matroska"),
    "e.m4v": ("-c:v", "mpeg4", "-c:a", "mp3", "-f", "avi"),
}


@pytest.mark.parametrize("shape", ["classes", "parquet"])
def test_an_old_codec_behind_a_playable_name_becomes_mp4(db, tmp_path, shape):
    folder = tmp_path / "set"
    (folder / "joy").mkdir(parents=True)
    for name, extra in CODED.items():
        make_clip(folder / "joy" / name, seconds=1, extra=extra)
    (folder / "joy" / "f.mp4").write_bytes(b"of what is no clip nothing is known")
    before = {path.name: path.read_bytes() for path in (folder / "joy").iterdir()}
    if shape == "parquet":
        rows = [{"video_data": content, "name": name, "label": "joy"} for name, content in sorted(before.items())]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
        shutil.rmtree(folder / "joy")
        (tmp_path / "a.parquet").rename(folder / "a.parquet")
    found = services.dataset_import(folder, name="old", out_dir=tmp_path / "in")
    rows = {row["original"]: found.folder / row["split"] / name for name, row in export.read_rows(found.folder).items()}
    assert {name for name, path in rows.items() if path.read_bytes() == before[name]} == {"b.mp4", "c.webm", "f.mp4"}
    assert {rows[name].suffix for name in ("a.mp4", "d.webm", "e.m4v")} == {".mp4"}
    assert [codecs(rows[name]) for name in ("a.mp4", "d.webm", "e.m4v")] == [("mov", {"h264", "aac"})] * 3
    if shape == "classes":
        assert {path.name: path.read_bytes() for path in (folder / "joy").iterdir()} == before, "the originals stay as they are"
    assert len([path for path in found.folder.rglob("*.*") if path.suffix in (".mp4", ".webm", ".m4v")]) == 6
    assert "3 of them were turned into MP4" in (found.folder / "README.md").read_text()
    assert services.release_verify(found.folder) == []


def test_a_clip_that_cannot_be_made_playable_is_named_and_nothing_is_left(db, tmp_path):
    (tmp_path / "set" / "joy").mkdir(parents=True)
    (tmp_path / "set" / "joy" / "broken.flv").write_bytes(b"no clip")
    with pytest.raises(ValidationError, match=r"set/joy/broken\.flv: cannot be turned into MP4: .*; mend it or take it out"):
        services.dataset_import(tmp_path / "set", name="set", out_dir=tmp_path / "in")
    assert not list((tmp_path / "in").iterdir())


def test_the_clips_of_a_parquet_dataset_are_never_all_in_memory(db, tmp_path):
    (tmp_path / "set").mkdir()
    clip, number = bytes(1 << 20), 96
    schema = pa.schema([("video_data", pa.binary()), ("name", pa.string()), ("label", pa.string())])
    with pq.ParquetWriter(tmp_path / "set" / "train.parquet", schema, compression="none", use_dictionary=False) as writer:
        for first in range(0, number, 8):
            rows = [{"video_data": clip, "name": f"{i:08d}.mp4", "label": "Fear"} for i in range(first, first + 8)]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    tracemalloc.start()
    services.dataset_import(tmp_path / "set", name="large", out_dir=tmp_path / "in")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 << 20, f"{peak >> 20} MiB of {number}"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("train/metadata.jsonl", b'{"file_name": "a.mp4"}\n', "metadata.jsonl:1: not a row with file_name and label"),
        ("train/metadata.jsonl", b"\xff\xfe", "metadata.jsonl:0: .*can't decode"),
        ("train/metadata.jsonl", b"[1]\n", "metadata.jsonl:1: not an object"),
        ("a.parquet", b"no parquet", "a.parquet is no parquet file"),
        ("a.tar", b"no tar", "a.tar is no shard"),
        ("a.csv", b"file_name,label\n../../etc/passwd,Fear\n", "a.csv:2: '../../etc/passwd' is not a file of this folder"),
        ("a.csv", b"file_name,label\na.csv,\n", "a.csv:2: 'a.csv' is not a file of this folder, or has no label"),
    ],
)
def test_a_damaged_dataset_is_refused_by_name(db, tmp_path, name, content, words):
    path = tmp_path / "set" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(ValidationError, match=words):
        services.dataset_import(tmp_path / "set", name="set", out_dir=tmp_path / "in")
    assert not Release.objects.exists()
    assert not (tmp_path / "in").exists() or not list((tmp_path / "in").iterdir())


def test_a_name_longer_than_a_releases_is_refused(db, tmp_path):
    with pytest.raises(ValidationError, match="60 at most"):
        services.dataset_import(tmp_path, name="a" * 61, out_dir=tmp_path / "in")
