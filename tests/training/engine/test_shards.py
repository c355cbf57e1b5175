"""Shards that come in over the wire, once, leave a release that training can read."""

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
from training.engine.releases import samples_of
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
    assert store.StoredClip(part.folder / part.entries[2].proxy).frames([0, 21]).shape[0] == 2
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
