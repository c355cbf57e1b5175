"""Lists that misbehave and walls, met by the production crawler: each ends under its own name, none runs for ever."""

import pytest

from crawler import services
from crawler.fetch import scripts
from crawler.models import Host, Visit
from demo.replica.corpus import PLATFORMS
from demo.replica.server import ReplicaServer

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def visits(many_clips, tmp_path, settings, monkeypatch):
    """Reads one list per platform, the day's word of that place (None: the longest list), without following its posts."""
    monkeypatch.setattr("crawler.services.stages.video_advance", lambda video_id: None)
    monkeypatch.setattr("crawler.services.stages.rest", lambda seconds: None)  # no post comes to its end, and no wait helps
    settings.CRAWL_DELAY_S = 0.05

    def read(faults: str, place: int | None) -> tuple[ReplicaServer, dict[str, Visit]]:
        with ReplicaServer(many_clips, tmp_path / faults, seed=3, posts=260, faults=faults) as server:
            settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA = server.address, str(server.ca)
            terms = {platform: [word_at(server, platform, place)] for platform in PLATFORMS}
            stage = services.stage_create(
                name="walls", trending=False, terms=terms, terms_per_platform=0, quiet_s=1.0, seconds_per_list=30.0
            )
            services.stage_crawl(stage.pk)
        return server, {visit.platform: visit for visit in Visit.objects.all()}

    return read


def word_at(server: ReplicaServer, platform: str, place: int | None) -> str:
    if place is not None:
        return server.site.corpus.board(platform, server.site.today())[place]
    tags = sorted({tag for post in server.site.corpus.of(platform) for tag in post.hashtags})
    return max(tags, key=lambda tag: len(server.site.corpus.search(platform, tag)))


@pytest.mark.parametrize(("fault", "place"), [("duplicate_page", 0), ("endless_list", 1)])
def test_a_list_that_never_ends_is_read_once_to_its_end(visits, fault, place):
    server, found = visits(fault, place)
    for platform, visit in found.items():
        there = server.site.corpus.search(platform, visit.subject)
        assert (visit.state, visit.outcome) == ("done", ""), visit.detail
        assert visit.found >= min(10, len(there)) if fault == "duplicate_page" else visit.found == len(there), platform


def test_a_captcha_is_reported_and_its_host_left_alone(visits):
    _, found = visits("captcha", 2)
    assert {platform: visit.outcome for platform, visit in found.items()} == dict.fromkeys(PLATFORMS, "captcha")
    assert Host.objects.exclude(paused_until=None).count() == len(PLATFORMS)


# The page takes its replies as JSON; whoever listens beside it takes their text, and gets it later than the page draws.
LATE_TEXT = """
const text = Response.prototype.text;
Response.prototype.text = async function () { await new Promise((over) => setTimeout(over, 800)); return text.call(this); };
"""


def test_a_login_wall_is_reported_and_what_was_seen_before_it_kept(visits, monkeypatch):
    monkeypatch.setattr(scripts, "LISTEN", LATE_TEXT + scripts.LISTEN)
    server, found = visits("login_modal", None)
    assert {platform: visit.outcome for platform, visit in found.items()} == dict.fromkeys(PLATFORMS, "login")
    for platform, visit in found.items():
        assert 10 <= visit.found < len(server.site.corpus.search(platform, visit.subject)), platform


# As soon as a list has drawn its first cards, the visitor is sent to the sign-in page: what was fetched is not drawn any more.
SENT_AWAY = """
new MutationObserver(() => { if (document.querySelector('.card')) location.href = '/login'; }).observe(document, { childList: true, subtree: true });
"""


def test_who_is_sent_to_the_sign_in_page_has_what_was_shown_before(visits, monkeypatch):
    monkeypatch.setattr(scripts, "LISTEN", scripts.LISTEN + SENT_AWAY)
    _, found = visits("none", None)
    assert {platform: visit.outcome for platform, visit in found.items()} == dict.fromkeys(PLATFORMS, "login")
    assert {platform: visit.found >= 10 for platform, visit in found.items()} == dict.fromkeys(PLATFORMS, True)
