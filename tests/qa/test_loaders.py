"""Releases load in the libraries that people use: mlcroissant validates croissant.json, datasets reads folders and parquet."""

import json
import os
import subprocess
import sys

import pytest

from qa import services

pytestmark = pytest.mark.slow

LOAD = """
import json, sys
from datasets import load_dataset
folder, cache = sys.argv[1:]
told = {}
for name, data_dir in (("videofolder", folder), ("parquet", folder + "/parquet")):
    found = load_dataset(name, data_dir=data_dir, cache_dir=cache)
    told[name] = {split: [sorted(found[split].column_names), found[split]["label"][:]] for split in found}
print(json.dumps(told))
"""


@pytest.fixture
def release(dataset, tmp_path):
    return services.release_make(variant="all", out_dir=tmp_path / "releases", seed=1, formats=["parquet"])


def rows_of(release, split):
    return [json.loads(line) for line in (release.folder / split / "metadata.jsonl").read_text().splitlines()]


def test_croissant_is_valid_and_gives_the_rows(release):
    croissant = pytest.importorskip("mlcroissant")
    found = croissant.Dataset(jsonld=str(release.folder / "croissant.json"))
    assert not found.metadata.ctx.issues.errors
    for split in ("train", "test"):
        read = list(found.records(split))
        wanted = rows_of(release, split)
        assert [row[f"{split}/label"].decode() for row in read] == [row["label"] for row in wanted]
        assert [row[f"{split}/difficulty"] for row in read] == pytest.approx([row["difficulty"] for row in wanted])


def test_datasets_loads_the_folder_and_the_parquet(release, tmp_path):
    pytest.importorskip("datasets")
    environment = os.environ | {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(release.folder), str(tmp_path / "cache")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    for kind, extra in (("videofolder", "video"), ("parquet", "video_data")):
        for split in ("train", "test"):
            columns, labels = told[kind][split]
            assert {extra, "posterior", "difficulty", "votes"} <= set(columns)
            assert labels == [row["label"] for row in rows_of(release, split)]
