"""Kept posts looked up again, and those that were withdrawn."""

from datetime import timedelta

import pytest
from django.utils import timezone

from crawler import selectors, services
from crawler.models import Host, Tombstone, Video
from crawler.platforms import Failure, Outcome
from crawler.services import videos
from tests.crawler.conftest import make_clip
from tests.crawler.pipeline import advanced

pytestmark = pytest.mark.django_db
State = Video.State


@pytest.fixture
def three_kept(world, other_clip, tmp_path):
    world["files"] |= {"2": other_clip, "3": make_clip(tmp_path / "third.mp4", picture="life=size=108x192:rate=15,trim=duration={seconds}")}
    kept = {name: advanced(name) for name in "123"}
    assert {video.state for video in kept.values()} == {State.ACCEPTED}
    world["pages"] |= {"2": Failure(Outcome.GONE, "deleted"), "3": Failure(Outcome.CAPTCHA, "a puzzle")}
    return kept


def test_withdrawn_posts_are_counted_and_taken_down_only_when_told_to(three_kept, django_capture_on_commit_callbacks):
    month = timedelta(days=30)
    assert services.posts_recheck(older_than=month, limit=10) == {"captcha": 1, "gone": 1, "there": 1}
    assert selectors.videos_ready().count() == 3
    with django_capture_on_commit_callbacks(execute=True):
        found = services.posts_recheck(older_than=month, limit=10, take_down=True)
    assert found == {"captcha": 1, "gone": 1}, "what is there is not due again; what a wall hides still is"
    assert [video.platform_id for video in selectors.videos_ready()] == ["1", "3"]
    assert Tombstone.objects.get().reason == "gone on its platform"


def test_the_longest_unseen_are_looked_up_first(three_kept, world):
    world["pages"].clear()
    Video.objects.filter(platform_id="1").update(rechecked_at=timezone.now() - timedelta(days=40))
    assert services.posts_recheck(older_than=timedelta(days=30), limit=2) == {"there": 2}
    assert Video.objects.get(platform_id="1").rechecked_at < timezone.now() - timedelta(days=39)


def test_at_a_wall_the_platform_is_left_for_this_run(three_kept, world):
    world["pages"]["1"] = Failure(Outcome.CAPTCHA, "a puzzle")
    other = Video.objects.get(platform_id="3")
    Video.objects.filter(pk=other.pk).update(platform="douyin")
    world["pages"].pop("3")
    assert services.posts_recheck(older_than=timedelta(days=30), limit=10) == {"captcha": 1, "there": 1}


def test_at_a_puzzle_on_a_posts_page_its_host_is_left_alone(monkeypatch):
    monkeypatch.setattr(videos, "_looked_up", lambda client, video: Failure(Outcome.CAPTCHA, "slider"))
    assert advanced("1").reason == "captcha: slider"
    host = Host.objects.get(name="www.tiktok.com")
    assert host.pause_reason.startswith("captcha: slider")
    assert host.paused_until > timezone.now() + timedelta(hours=5)
