"""What is taken down is gone everywhere, and does not come back."""

import pytest

from crawler import selectors, services
from crawler.models import Fingerprint, Tombstone, Video
from crawler.platforms import VideoPage
from crawler.services import videos
from tests.crawler.pipeline import UNSAFE, advanced, copies, post

pytestmark = pytest.mark.django_db
State = Video.State


def test_a_takedown_leaves_a_tombstone_and_nothing_else(world, settings, tmp_path, django_capture_on_commit_callbacks):
    video = advanced("1")
    path = video.path
    settings.EMOTION_WINDOWS = str(tmp_path)
    seen = tmp_path / f"{video.sha256}.npy"
    seen.write_bytes(b"what a network saw")
    with django_capture_on_commit_callbacks(execute=True):
        stone = services.video_takedown(video.pk, reason="the author asked")
    video.refresh_from_db()
    assert (video.state, video.number, video.title, video.raw, video.file) == (State.DROPPED, None, "", {}, "")
    assert stone.number == 1
    assert not path.exists()
    assert not seen.exists()
    assert not Fingerprint.objects.exists()
    assert list(selectors.videos_ready()) == []
    services.video_takedown(video.pk, reason="again")
    assert Tombstone.objects.count() == 1
    with django_capture_on_commit_callbacks(execute=True):
        again = advanced("2")
    assert again.reason == "taken-down: the author asked", "the same content under another id"
    assert (again.title, again.file) == ("", "")
    assert not path.exists(), "nor does what it brought stay"
    assert services.posts_insert([{"platform": "tiktok", "platform_id": "1", "url": "https://x"}]) == []


def test_an_edited_copy_of_what_was_taken_down_does_not_come_back(world, clip, other_clip, tmp_path, django_capture_on_commit_callbacks):
    copies(world, clip, tmp_path, 108, 54)
    video = advanced("1")
    with django_capture_on_commit_callbacks(execute=True):
        stone = services.video_takedown(video.pk, reason="the author asked")
        smaller = advanced("2")
    assert stone.frames_sha256 != Tombstone.objects.get(platform_id="2").frames_sha256, "other bytes, other pictures"
    assert (smaller.reason, smaller.title, smaller.file) == ("taken-down: the author asked", "", "")
    world["files"]["3"] = other_clip
    assert advanced("3").state == State.ACCEPTED


def test_an_edited_copy_that_is_still_at_work_goes_with_what_is_taken_down(world, clip, tmp_path, django_capture_on_commit_callbacks):
    copies(world, clip, tmp_path, 108, 54)
    smaller, video = post("2", state=State.REVIEW, reason="some doubt"), advanced("1")
    look = Fingerprint.objects.get(video=video)
    Fingerprint.objects.create(video=smaller, frames_sha256="f" * 64, hashes=look.hashes, times=look.times)
    other = post("3", state=State.REVIEW, reason="some doubt")
    Fingerprint.objects.create(
        video=other, frames_sha256="e" * 64, hashes=bytes(255 - byte for byte in bytes(look.hashes)), times=look.times
    )
    with django_capture_on_commit_callbacks(execute=True):
        services.video_takedown(video.pk, reason="the author asked")
    smaller.refresh_from_db(), other.refresh_from_db()
    assert (smaller.state, smaller.reason) == (State.DROPPED, "taken-down: the author asked")
    assert (other.state, other.reason) == (State.REVIEW, "some doubt")


def test_a_takedown_takes_the_copies_that_were_dropped_for_it(world, clip, tmp_path, media_root, django_capture_on_commit_callbacks):
    copies(world, clip, tmp_path, 54, 108, 80)
    world["pages"]["1"] = VideoPage("tiktok", "1", "u", "test/1", title=UNSAFE, media=("https://v16.tiktok.com/1",))
    gave_way, kept, dropped = advanced("1"), advanced("2"), advanced("3")
    compared = post("4", state=State.DROPPED, reason="reviewed: duplicate", title="a copy")
    compared.checks.create(name="duplicate", version=2, verdict="review", evidence={"other": kept.pk})
    stranger = post("5", state=State.DROPPED, reason=f"duplicate: of {kept.pk}1 (same file)", title="of another clip")
    assert (dropped.state, dropped.reason.startswith(f"duplicate: of {kept.pk} (")) == (State.DROPPED, True)
    for copy in (gave_way, dropped, compared):
        copy.refresh_from_db()
        assert selectors.copy_kept(copy) == kept
    with django_capture_on_commit_callbacks(execute=True):
        services.video_takedown(kept.pk, reason="the author asked")
    for copy in (gave_way, kept, dropped, compared):
        copy.refresh_from_db()
        assert (copy.reason, copy.title, copy.file) == ("taken-down: the author asked", "", "")
    assert [path for path in media_root.rglob("*") if path.is_file() and path.name != "stock.npz"] == []
    assert not Fingerprint.objects.exists()
    stranger.refresh_from_db()
    assert stranger.title == "of another clip"


@pytest.mark.parametrize("state", [State.DISCOVERED, State.META, State.MEDIA, State.VERIFIED, State.DEDUPLICATED, State.SCREENED])
def test_a_take_down_holds_against_the_step_that_is_at_work(world, monkeypatch, media_root, django_capture_on_commit_callbacks, state):
    step = videos.STEPS[state]

    def taken_down_meanwhile(video):
        services.video_takedown(video.pk, reason="asked for")
        step(video)

    monkeypatch.setitem(videos.STEPS, state, taken_down_meanwhile)
    with django_capture_on_commit_callbacks(execute=True):
        video = advanced("1")
    assert (video.state, video.reason, video.number, video.title, video.raw) == (State.DROPPED, "taken-down: asked for", None, "", {})
    assert (video.page_sha256, video.published_at) == ("", None)
    assert not video.checks.exists()
    assert not Fingerprint.objects.exists()
    assert [path for path in media_root.rglob("*") if path.is_file() and path.name != "stock.npz"] == []


def test_a_part_of_a_clip_goes_with_its_take_down(world, media_root, django_capture_on_commit_callbacks):
    part = media_root / "parts" / "tiktok-1.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half of it")
    with django_capture_on_commit_callbacks(execute=True):
        services.video_takedown(post("1", state=State.META).pk, reason="asked for")
    assert not part.exists()
