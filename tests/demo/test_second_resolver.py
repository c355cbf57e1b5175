"""yt-dlp as the crawler's second resolver, end to end: when a page gives our rules no address of its clip, the clip still comes."""

import pytest

from crawler.fetch import Manner, client_for, resolve
from crawler.models import Video
from crawler.services import manners, videos
from tests.demo.conftest import first

pytestmark = pytest.mark.django_db


@pytest.fixture
def crawler(replica, settings, media_root, monkeypatch):
    """The production steps against the replica, with rules that find no media on any page."""
    settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA, settings.CRAWL_DELAY_S = replica.address, str(replica.ca), 0.0
    monkeypatch.setattr(videos, "_fresh", lambda video: ())
    monkeypatch.setattr(manners, "_open", type(manners._open)())  # conversations of this test alone
    return replica


def found(post) -> Video:
    return Video.objects.create(platform=post.platform, platform_id=post.id, url=post.url, state=Video.State.META, media=[])


@pytest.mark.parametrize(("platform", "layout"), [("tiktok", "universal"), ("douyin", "render_43")])
def test_a_clip_that_our_rules_do_not_find_comes_by_yt_dlp(crawler, platform, layout):
    post = first(crawler, platform, fault="", expected="accepted", layout=layout)
    video = found(post)
    videos.fetch_media(video)
    assert video.state == Video.State.MEDIA
    assert video.path.read_bytes() == crawler.site.body_path(post).read_bytes()


def test_a_platform_that_yt_dlp_does_not_know_fails_under_its_own_name(crawler):
    video = found(first(crawler, "kuaishou", fault="", expected="accepted"))
    assert resolve(client_for("kuaishou", Manner(delay_s=0)), video.url) == ()
    assert videos.video_advance(video.pk).reason.startswith("no-media:")


def test_the_second_resolver_obeys_robots_too(crawler):
    closed = first(crawler, "tiktok", fault="disallowed")
    before = [line for line in (crawler.state / "planted.jsonl").read_text().splitlines() if closed.id in line]
    assert videos.video_advance(found(closed).pk).state == Video.State.FAILED
    after = [line for line in (crawler.state / "planted.jsonl").read_text().splitlines() if closed.id in line]
    assert after == before, "it was not asked for"
