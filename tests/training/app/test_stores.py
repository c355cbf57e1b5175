"""New releases are made ready to be trained on before anyone asks for a run."""

import pytest

from crawler.services import video_takedown
from qa.models import Release, ReleaseItem
from tests.factories import VideoFactory
from training import launch, services
from training.tasks import prepare_releases

pytestmark = pytest.mark.django_db


@pytest.fixture
def with_clips(release, fake_engine):
    """A release with one clip and its metadata."""
    (release.folder / "train").mkdir()
    (release.folder / "train" / "metadata.jsonl").write_text('{"file_name": "1.mp4", "emotion": "Fear"}\n')
    (release.folder / "train" / "1.mp4").write_bytes(b"a clip")
    return release


def begun(release) -> list[str]:
    path = release.folder.parent / "prepared"
    return path.read_text().splitlines() if path.exists() else []


def test_a_new_release_is_prepared_once(with_clips):
    assert services.releases_prepare() == ["all-1"]
    assert services.releases_prepare() == []
    prepare_releases()
    assert begun(with_clips) == ["release"]
    assert services.is_prepared(with_clips)


def test_a_release_whose_metadata_changed_is_prepared_again(with_clips):
    services.releases_prepare()
    with (with_clips.folder / "train" / "metadata.jsonl").open("a") as file:
        file.write('{"file_name": "2.mp4", "emotion": "Fear"}\n')
    assert services.releases_prepare() == ["all-1"]


def test_only_the_newest_release_of_a_variant_is_prepared(with_clips):
    newer = Release.objects.create(name="all-2", variant="all", seed=1, path=with_clips.path + "-2", sha256="1" * 64, counts={})
    assert services.releases_prepare() == []  # the newer one has no clips
    lost = VideoFactory()
    ReleaseItem.objects.create(release=newer, video=lost, split="train", emotion="Fear")
    video_takedown(lost.pk, reason="the author asked")
    assert services.releases_prepare() == ["all-1"]


def test_what_fails_is_tried_again_and_what_is_under_way_is_left_alone(with_clips, monkeypatch):
    monkeypatch.setenv("FAKE_FAIL", "prepare")
    assert services.releases_prepare() == []
    assert not services.is_prepared(with_clips)
    monkeypatch.delenv("FAKE_FAIL")
    with launch.folder_claim(with_clips.folder.with_name("release.prepared")):
        assert services.releases_prepare() == []
    assert services.releases_prepare() == ["all-1"]
    assert begun(with_clips) == ["release", "release"]


def test_the_setting_turns_it_off(with_clips, settings):
    settings.PREPARE_RELEASES = False
    assert services.releases_prepare() == []
    assert begun(with_clips) == []
