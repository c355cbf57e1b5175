"""The browser's house-keeping, and one drawn list of every platform through real Chromium."""

import json
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from crawler.fetch import Browser, Budget, Manner, Unreachable, browser, client_for
from crawler.fetch.browser import PROFILE, options_for, sweep_orphans
from crawler.models import Host
from demo.clips import make_clips
from demo.replica.server import ReplicaServer, answer
from tests import servers


def test_browsers_of_killed_workers_are_swept_and_those_of_living_ones_left(tmp_path):
    dead, alive = tmp_path / f"{PROFILE}999999999-a", tmp_path / f"{PROFILE}1-b"
    dead.mkdir()
    alive.mkdir()
    orphan = subprocess.Popen(["sh", "-c", "sleep 60; exit 0", f"--user-data-dir={dead}"])
    kept = subprocess.Popen(["sh", "-c", "sleep 60; exit 0", f"--user-data-dir={alive}"])
    try:
        assert sweep_orphans(tmp_path) == 1
        assert orphan.wait(timeout=60) == -9
        assert kept.poll() is None
        assert not dead.exists()
        assert alive.exists()
    finally:
        orphan.kill()
        kept.kill()


def test_chromium_resolves_nothing_but_the_platforms(db, settings, tmp_path):
    settings.CRAWL_REPLICA = settings.CRAWL_REPLICA_CA = ""
    rules = next(flag for flag in options_for(client_for("tiktok", Manner()), tmp_path).arguments if "resolver-rules" in flag)
    assert "MAP * ~NOTFOUND" in rules
    assert "EXCLUDE *.douyin.com" in rules


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.django_db
def test_drawn_lists_are_read_to_their_end_and_no_browser_is_left(tmp_path, settings, monkeypatch):
    make_clips(tmp_path / "clips", count=12, seed=3)
    with ReplicaServer(tmp_path / "clips", tmp_path / "state", seed=3, faults="none", hurry_per_s=0, latency_s=0.02) as server:
        settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA = server.address, str(server.ca)
        profiles = set()
        for platform in ("tiktok", "kuaishou"):
            client = client_for(platform, Manner(delay_s=0))
            with Browser(client) as chromium:
                board = chromium.collect(client.adapter.address("trending"), "trending", Budget(quiet_s=1))
                assert board.words
                word = next(iter(board.words))
                kind = client.adapter.facts["hashtag_kind"]
                listed = chromium.collect(client.adapter.address(kind, word), kind, Budget(quiet_s=1))
                # The same list without the page's own calls: addresses drawn on it, or cards opened one by one.
                monkeypatch.setattr(client.adapter, "lists_in", lambda url, kind: False)
                drawn = chromium.collect(client.adapter.address(kind, word), kind, Budget(quiet_s=1))
                monkeypatch.undo()
                settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA = server.address, str(server.ca)
                profiles.add(chromium.profile)
            assert listed.posts
            assert set(listed.posts) == set(drawn.posts)
        time.sleep(0.5)
        assert not any(Path(profile).exists() for profile in profiles)
    assert browser.PROFILE in str(profiles)


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.django_db
@pytest.mark.parametrize("policy", ["honest", "pool"])
def test_a_browser_introduces_itself_as_its_client_does(policy, tmp_path, settings, monkeypatch):
    settings.CRAWL_CONTACT = "team@example.org"
    heard = []
    monkeypatch.setattr("demo.replica.server.answer", lambda site, request: heard.append(request) or answer(site, request))
    make_clips(tmp_path / "clips", count=12, seed=3)
    with ReplicaServer(tmp_path / "clips", tmp_path / "state", seed=3, faults="none", hurry_per_s=0) as server:
        settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA = server.address, str(server.ca)
        client = client_for("tiktok", Manner(delay_s=0, user_agent=policy), seed=3)
        with Browser(client) as chromium:
            chromium.collect(client.adapter.address("trending"), "trending", Budget(quiet_s=1))
            told = chromium.start().execute_script("return [navigator.userAgent, navigator.language, navigator.userAgentData?.platform]")
    said = client.session.headers
    pages = [request for request in heard if request.headers["Sec-Fetch-Mode"] == "navigate"]
    assert pages
    for request in pages:
        for name in ("User-Agent", "Accept-Language", "From", *(("sec-ch-ua", "sec-ch-ua-platform") if policy == "pool" else ())):
            assert request.headers[name] == said.get(name), name
    assert told[:2] == [said["User-Agent"], "zh-CN"]
    assert policy == "honest" or told[2] == said["sec-ch-ua-platform"].strip('"')


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.django_db
def test_a_browser_of_a_grid_reads_the_same_list_and_leaves_no_session(tmp_path, settings):
    """chromedriver itself is the remote end: it speaks WebDriver at an address, as a Selenium Grid does."""
    make_clips(tmp_path / "clips", count=12, seed=3)
    port = servers.free_port()
    driver = subprocess.Popen([settings.CHROMEDRIVER_BINARY, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        servers.wait_for_port(port, 60)
        settings.SELENIUM_GRID_URL = f"http://127.0.0.1:{port}"
        with ReplicaServer(tmp_path / "clips", tmp_path / "state", seed=3, faults="none", latency_s=0.02) as replica:
            settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA = replica.address, str(replica.ca)
            client = client_for("douyin", Manner(delay_s=0))
            word = replica.site.corpus.board("douyin", replica.site.today())[0]
            with Browser(client) as chromium:
                listed = chromium.collect(client.adapter.address("search", word), "search", Budget(quiet_s=1))
                assert chromium.profile is None, "its files are the grid's own affair"
        assert set(listed.posts) == {post.id for post in replica.site.corpus.search("douyin", word)}
        with urlopen(f"http://127.0.0.1:{port}/status", timeout=60) as answer:
            assert json.load(answer)["value"]["ready"]
    finally:
        driver.terminate()
        driver.wait(20)


@pytest.mark.django_db
def test_a_grid_that_is_away_is_unreachable_and_says_so(settings):
    settings.SELENIUM_GRID_URL = f"http://127.0.0.1:{servers.free_port()}"
    settings.CRAWL_REPLICA = settings.CRAWL_REPLICA_CA = ""
    with pytest.raises(Unreachable, match="does not start"):
        Browser(client_for("tiktok", Manner())).start()


class Drawn:
    """A driver whose page stays as it is, and whose own calls brought these replies."""

    current_url = "https://www.tiktok.com/tag/joy"

    def __init__(self, page: str, replies: list[list[str]]) -> None:
        self.page_source, self.replies = page, replies

    def get(self, url: str) -> None:
        """It is there."""

    def execute_script(self, script: str, *given: object) -> object:
        if "__replies" in script:
            return [self.replies.pop()] if self.replies else []
        return -1 if given else [0, True] if "scroll" in script else None


RECORD = '{"__DEFAULT_SCOPE__": {"webapp.challenge-detail": {"itemList": []}}}'
EMPTY = f'<html><body><script id="__UNIVERSAL_DATA_FOR_REHYDRATION__">{RECORD}</script></body></html>'


@pytest.mark.parametrize(("reply", "outcome"), [("", "blocked"), ('{"itemList": [], "hasMore": false}', "")])
def test_a_list_that_stays_empty_without_saying_so_is_no_empty_list(db, settings, monkeypatch, reply, outcome):
    settings.CRAWL_REPLICA = "127.0.0.1:1"
    replies = [["https://www.tiktok.com/api/challenge/item_list/?cursor=0", reply]] if reply else []
    here = Browser(client_for("tiktok", Manner(delay_s=0, robots_exception="no network in this test")))
    monkeypatch.setattr(here, "start", lambda: Drawn(EMPTY, replies))
    seen = here.collect("https://www.tiktok.com/tag/joy", "tag", Budget(first_s=0.3, quiet_s=0.1))
    assert (seen.failure.outcome if seen.failure else "") == outcome
    assert seen.ended == (not outcome)
    assert Host.objects.get(name="www.tiktok.com").bytes == len(reply), "what the page itself fetched counts against the day's budget"
