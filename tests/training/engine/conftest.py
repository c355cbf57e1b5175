import os

import pytest
import torch

from tests.training.engine.media import write_release
from training.engine import train
from training.engine.recipes import RECIPES, overridden

TINY = {
    "network": "avcanet",
    "snippets": 2,
    "crop": 32,
    "chunk_frames": 32,
    "epochs": 2,
    "batch_size": 4,
    "accumulate": 2,
    "workers": 0,
    "val_fraction": 0.34,
    "log_every": 1,
    "device": "cpu",
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def release(tmp_path_factory):
    """18 training clips and 6 test clips, prepared on first use."""
    return write_release(tmp_path_factory.mktemp("data") / "release")


@pytest.fixture
def tiny():
    """The debug recipe at the smallest size that runs every module."""
    return overridden(RECIPES["debug"](), TINY)


@pytest.fixture(scope="module")
def run(release, tmp_path_factory):
    """A run of one epoch, to be scored and asked."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train.train(overridden(RECIPES["debug"](), {**TINY, "epochs": 1}), release, folder)
    return folder
