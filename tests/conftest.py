"""What all tests share: the optional sample data, a media folder of one's own, and which tests touch the database."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from config.settings import BASE_DIR
from tests import objects

# The same inputs at every run, so that a change is judged by what it changes; --hypothesis-profile=default looks for new ones.
hypothesis.settings.register_profile("fixed", derandomize=True)
hypothesis.settings.load_profile("fixed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what touches the database, so that the same tests can be run again on PostgreSQL."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if item.get_closest_marker("django_db") or fixtures & {"db", "transactional_db", "live_server"}:
            item.add_marker("database")


def pytest_unconfigure(config: pytest.Config) -> None:
    folder = os.environ.get("EMOTIONS_VAR", "")
    if "emotions-test-" in folder and not hasattr(config, "workerinput"):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> None:
    """The audit log's lock would forbid the emptying between tests; tests/config/test_audit.py puts it on again for itself."""
    from config import append_only

    with django_db_blocker.unblock():
        append_only.unlock()


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The folder of real clips and votes (EMOTIONS_DATA, or beside the checkout); the test is skipped where there is none."""
    folder = Path(os.environ.get("EMOTIONS_DATA") or BASE_DIR.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("the optional sample data is not on this machine (EMOTIONS_DATA)")
    return folder


@pytest.fixture
def media_root(tmp_path: Path, settings) -> Path:
    """A media folder of this test alone."""
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.MEDIA_ROOT.mkdir()
    return settings.MEDIA_ROOT


@pytest.fixture
def store(settings, media_root) -> Iterator[objects.Store]:
    """An S3 of this test alone; clips are kept in its bucket `clips`, and media_root is the working copy."""
    found = objects.Store()
    found.buckets["clips"] = {}
    with objects.serving(found) as address:
        settings.S3_ENDPOINT_URL = settings.S3_PUBLIC_URL = address
        settings.S3_ACCESS_KEY, settings.S3_SECRET_KEY, settings.S3_REGION = objects.ACCESS_KEY, objects.SECRET_KEY, objects.REGION
        clips = {"BACKEND": "crawler.storage.bucket.Bucket", "OPTIONS": {"bucket_name": "clips", "location": "emotions"}}
        settings.STORAGES = {**settings.STORAGES, "clips": clips}
        yield found
