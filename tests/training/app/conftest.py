"""A release folder, a researcher, and the engine that learns nothing."""

import pytest

from qa.models import Release
from tests.factories import UserFactory
from training import services


@pytest.fixture
def fake_engine(settings, tmp_path):
    """Runs use the fake engine, on the CPU, in folders of this test."""
    settings.TRAIN_ENGINE = "tests.training.app.fake_engine"
    settings.TRAIN_GPUS = ["none"]
    settings.TRAIN_LOCKS_DIR = tmp_path / "locks"
    settings.RUNS_DIR = tmp_path / "runs"
    settings.TRAIN_HEARTBEAT_S = 0.05
    settings.TRAIN_GRACE_S = 5.0
    return settings


@pytest.fixture
def release(db, tmp_path):
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "release.json").write_text("{}")
    return Release.objects.create(name="all-1", variant="all", seed=1, path=str(folder), sha256="0" * 64, counts={})


@pytest.fixture
def dana(db):
    return UserFactory(username="dana", role="researcher")


@pytest.fixture
def erin(db):
    return UserFactory(username="erin", role="researcher")


@pytest.fixture
def admin(db):
    return UserFactory(username="ada", role="admin")


@pytest.fixture
def finished(release, dana, fake_engine):
    """A run that has been trained and scored."""
    run = services.run_start(recipe="debug", release=release, user=dana)
    assert services.run_execute(run.pk) == "finished"
    run.refresh_from_db()
    return run


@pytest.fixture(autouse=True)
def sent(monkeypatch):
    """The ids of the runs whose task was sent; no broker is asked."""
    ids: list[int] = []

    class Signature:
        def __init__(self, name: str, args: tuple[int]) -> None:
            assert name == "training.tasks.start_run"
            self.args = args

        def apply_async(self) -> None:
            ids.extend(self.args)

    monkeypatch.setattr("training.services.runs.signature", Signature)
    return ids
