"""Shards that come in over the wire, once, leave a release that training can read."""

import hashlib
import io
import json
import re
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests import objects
from tests.training.engine.media import EMOTIONS, write_clip
from training.engine import shards, store
from training.engine.prepare import damaged
from training.engine.releases import for_release, samples_of
from training.engine.usable import usable_samples


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def write_shard(path, names, tmp_path, *, media_first=False):
    """A shard of small clips, their labels in turn."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as shard:
        for number, name in enumerate(names):
            clip = write_clip(tmp_path / f"{name}.mp4", frames=20 + number)
            row = json.dumps({"file_name": f"{name}.mp4", "label": EMOTIONS[number % 6]}).encode()
            members = [(f"{name}.json", row), (f"{name}.mp4", clip.read_bytes())]
            for member, content in reversed(members) if media_first else members:
                facts = tarfile.TarInfo(member)
                facts.size = len(content)
                shard.addfile(facts, io.BytesIO(content))
    return path


@pytest.fixture
def served(tmp_path):
    """(folder, its address)."""
    folder = tmp_path / "bucket"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_release_is_made_from_what_comes_over_the_wire_and_from_disk(served, tmp_path, tiny):
    folder, address = served
    write_shard(folder / "train-000000.tar", ["1", "2", "3"], tmp_path)
    local = write_shard(folder / "test-000000.tar", ["4"], tmp_path, media_first=True)
    out = tmp_path / "release"
    given = [f"{address}/train-000000.tar", str(local)]
    assert len(shards.import_shards(given, out, tiny)) == 4
    assert shards.import_shards(given, out, tiny) == []
    part = usable_samples(samples_of(out, "train", EMOTIONS), out, tiny)
    assert [(s.name, s.label, e.frames) for s, e in zip(part.samples, part.entries, strict=True)] == [
        ("train/1.mp4", 0, 20),
        ("train/2.mp4", 1, 21),
        ("train/3.mp4", 2, 22),
    ]
    assert len(store.StoredClip(part.folder / part.entries[2].proxy).frames([0, 21])) == 2
    assert damaged(part.folder) == []
    assert [path.stat().st_size for path in out.rglob("*.mp4")] == [0] * 4


def test_a_shard_that_breaks_off_is_gone_on_with(served, tmp_path, tiny, capsys):
    folder, address = served
    whole = write_shard(folder / "train-000000.tar", ["1", "2"], tmp_path).read_bytes()
    out, command = tmp_path / "release", [f"{address}/train-000000.tar", "--out", str(tmp_path / "release"), "--recipe", "debug"]
    (folder / "train-000000.tar").write_bytes(whole[: len(whole) // 2])
    assert shards.main(command) == 1
    assert "run it again to go on" in capsys.readouterr().err
    with (out / "train" / "metadata.jsonl").open("a") as file:
        file.write('{"file_name": "cut sh')
    (folder / "train-000000.tar").write_bytes(whole)
    assert shards.main(command) == 0
    assert [sample.name for sample in samples_of(out, "train", EMOTIONS)] == ["train/1.mp4", "train/2.mp4"]


def test_a_shard_cut_between_two_clips_is_not_taken_for_a_whole_one(served, tmp_path, tiny, capsys):
    folder, address = served
    shard = write_shard(folder / "train-000000.tar", ["1", "2"], tmp_path)
    with tarfile.open(shard) as whole:
        start = whole.getmember("2.json").offset
    shard.write_bytes(shard.read_bytes()[:start])
    assert shards.main([f"{address}/train-000000.tar", "--out", str(tmp_path / "release"), "--recipe", "debug"]) == 1
    error = capsys.readouterr().err
    assert "train-000000.tar: it breaks off" in error
    assert "run it again to go on" in error


@pytest.fixture
def sharded(tmp_path, served):
    """(folder, address of its release.json) of a release of two shards and three clips."""
    folder, address = served
    (folder / "shards").mkdir()
    files = {"train/metadata.jsonl": {"sha256": "", "bytes": 0}}
    for part, names in (("train", ["1", "2"]), ("test", ["3"])):
        data = write_shard(folder / "shards" / f"{part}-000000.tar", names, tmp_path).read_bytes()
        files[f"shards/{part}-000000.tar"] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    facts = {"format_version": 1, "classes": list(EMOTIONS), "polarity": ["neutral"] * 6, "num_clips": 3, "files": files}
    (folder / "release.json").write_text(json.dumps(facts))
    return folder, f"{address}/release.json"


def test_release_json_stands_for_all_its_shards_and_gives_its_classes(sharded, tmp_path, tiny):
    out = tmp_path / "release"
    assert shards.main([sharded[1], "--out", str(out), "--recipe", "debug"]) == 0
    assert [len(samples_of(out, part, EMOTIONS)) for part in ("train", "test")] == [2, 1]
    assert for_release(tiny, out).polarity == ("neutral",) * 6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_clips": 4}, "tells of 4 clips, and its shards held 3"),
        ({"files": {}}, "that release has no shards; export it with --format shards"),
        ({"format_version": 2}, "is of format 2, and this program reads 1"),
        ({"files": {"shards/train-000000.tar": {"sha256": "0" * 64, "bytes": 9}}}, "bytes came that are not the 9 of release.json"),
    ],
)
def test_what_release_json_does_not_tell_of_is_refused(sharded, tmp_path, capsys, change, said):
    manifest = sharded[0] / "release.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    assert shards.main([sharded[1], "--out", str(tmp_path / "release"), "--recipe", "debug"]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "release" / "release.json").exists()


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"1.json": b'{"label": "Fear"}'}, "clip 1 has no media in it; export the release with its media"),
        ({"1.mp4": b"x"}, "clip 1 has no JSON in it"),
        ({"1.json": b'{"label": "Fear", "sha256": "00"}', "1.mp4": b"x"}, "1.mp4 is not the clip that its JSON tells of"),
        ({"1.json": b"[]"}, "1.json is no JSON object"),
    ],
)
def test_a_clip_that_is_not_what_its_json_says_is_refused(tmp_path, capsys, members, said):
    path = tmp_path / "train-000000.tar"
    with tarfile.open(path, "w") as shard:
        for name, content in members.items():
            facts = tarfile.TarInfo(name)
            facts.size = len(content)
            shard.addfile(facts, io.BytesIO(content))
    assert shards.main([str(path), "--out", str(tmp_path / "release"), "--recipe", "debug"]) == 1
    assert f"{path}: {said}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "said"),
    [("all-000000.tar", "belongs to 'all', not to train or test"), ("absent.tar", "No such file"), ("no.tar", "run it again")],
)
def test_what_is_no_shard_of_a_part_is_refused(tmp_path, capsys, name, said):
    write_shard(tmp_path / "all-000000.tar", ["1"], tmp_path)
    (tmp_path / "no.tar").write_bytes(b"nothing of the kind" * 100)
    assert shards.main([str(tmp_path / name), "--out", str(tmp_path / "release")]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_shards_come_from_s3_and_what_it_refuses_is_gone_on_with(tmp_path, capsys, monkeypatch):
    held = objects.Store()
    shard = write_shard(tmp_path / "train-000000.tar", ["1", "2"], tmp_path)
    held.buckets["bucket"] = {"eight/train-000000.tar": shard.read_bytes()}
    out = tmp_path / "release"
    command = ["s3://bucket/eight/train-000000.tar", "--out", str(out), "--recipe", "debug"]
    with objects.serving(held) as address:
        said = {"AWS_ENDPOINT_URL_S3": address, "AWS_ACCESS_KEY_ID": objects.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": objects.SECRET_KEY}
        for name, value in {**said, "AWS_DEFAULT_REGION": objects.REGION, "AWS_MAX_ATTEMPTS": "1"}.items():
            monkeypatch.setenv(name, value)
        for trouble, words in ((503, "(503)|SlowDown"), (403, "AccessDenied|Forbidden"), ("cut", "read")):
            with held.refusing(trouble):
                assert shards.main(command) == 1
            error = capsys.readouterr().err
            assert re.search(words, error), error
            assert "run it again to go on" in error
        assert shards.main(command) == 0
    assert [sample.name for sample in samples_of(out, "train", EMOTIONS)] == ["train/1.mp4", "train/2.mp4"]
