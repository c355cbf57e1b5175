"""The browser's house-keeping, and one drawn list of every platform through real Chromium."""

import json
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from django.utils import timezone
from selenium.common.exceptions import JavascriptException, WebDriverException
from urllib3.exceptions import MaxRetryError

from crawler.fetch import Browser, Budget, Interrupted, Manner, Refused, Seen, Unreachable, client_for, politeness, scripts
from crawler.fetch.chromium import PROFILE, options_for, sweep_orphans
from crawler.models import Host
from crawler.rules import robots
from demo.clips import make_clips
from demo.replica.http import Response
from demo.replica.server import ReplicaServer, answer
from tests import servers
from tests.crawler.test_fetch import COOKIES


def running(profile: Path) -> subprocess.Popen:
    """A process that says whose it is, once it does: a child that has only just been made has no words yet."""
    process = subprocess.Popen(["sh", "-c", "sleep 600; exit 0", f"--user-data-dir={profile}"])
    while str(profile).encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
        time.sleep(0.01)
    return process


def test_browsers_of_killed_workers_are_swept_and_those_of_living_ones_left(tmp_path):
    dead, alive = tmp_path / f"{PROFILE}999999999-a", tmp_path / f"{PROFILE}1-b"
    dead.mkdir()
    alive.mkdir()
    orphan, kept = running(dead), running(alive)
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
        for platform in ("tiktok", "kuaishou", "douyin"):
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
    assert PROFILE in str(profiles)


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.django_db
@pytest.mark.parametrize("policy", ["honest", "pool"])
def test_a_browser_introduces_itself_as_its_client_does(policy, tmp_path, settings, monkeypatch):
    settings.CRAWL_CONTACT = "team@example.org"
    (tmp_path / "cookies.txt").write_text(COOKIES)
    heard = []
    monkeypatch.setattr("demo.replica.server.answer", lambda site, request: heard.append(request) or answer(site, request))
    make_clips(tmp_path / "clips", count=12, seed=3)
    with ReplicaServer(tmp_path / "clips", tmp_path / "state", seed=3, faults="none", hurry_per_s=0) as server:
        settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA = server.address, str(server.ca)
        client = client_for("tiktok", Manner(delay_s=0, user_agent=policy, cookies=str(tmp_path / "cookies.txt")), seed=3)
        with Browser(client) as chromium:
            chromium.collect(client.adapter.address("trending"), "trending", Budget(quiet_s=1))
            driver = chromium.start()
            driver.get(client.adapter.address("trending"))
            told = driver.execute_script("return [navigator.userAgent, navigator.language, navigator.userAgentData?.platform]")
    said = client.session.headers
    pages = [request for request in heard if request.headers["Sec-Fetch-Mode"] == "navigate"]
    assert pages
    for request in pages:
        for name in ("User-Agent", "Accept-Language", "From", *(("sec-ch-ua", "sec-ch-ua-platform") if policy == "pool" else ())):
            assert request.headers[name] == said.get(name), name
        assert request.cookies.items() >= {"session": "until-closed", "login": "secret-77"}.items()
        assert "douyin-only" not in request.cookies.values()
    assert told[:2] == [said["User-Agent"], "zh-CN"]
    assert policy == "honest" or told[2] == said["sec-ch-ua-platform"].strip('"')


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.django_db
@pytest.mark.parametrize("fault", [ConnectionResetError(), Response.text("Bad Gateway", status=502), Response.text("Too Many", status=429)])
@pytest.mark.parametrize("of", ["page", "script", "call"])
def test_a_list_is_not_at_its_end_where_its_page_or_its_call_fails(of, fault, tmp_path, settings, monkeypatch):
    """Where their own call brought nothing, the pages of all three say that there is no more."""
    failing = True

    def broken(site, request):
        calls = ("/api/challenge/", "/aweme/", "/rest/", "/graphql")
        what = "call" if request.path.startswith(calls) else "script" if request.path.startswith("/static/") else "page"
        if not failing or request.path == "/robots.txt" or what != of:
            return answer(site, request)
        if isinstance(fault, Exception):
            raise fault
        return fault

    monkeypatch.setattr("demo.replica.server.answer", broken)
    make_clips(tmp_path / "clips", count=12, seed=3)
    with ReplicaServer(tmp_path / "clips", tmp_path / "state", seed=3, faults="none", hurry_per_s=0) as server:
        settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA = server.address, str(server.ca)
        for platform in ("tiktok", "kuaishou", "douyin"):
            client = client_for(platform, Manner(delay_s=0))
            kind = client.adapter.facts["hashtag_kind"]
            url = client.adapter.address(kind, server.site.corpus.board(platform, server.site.today())[0])
            with Browser(client) as chromium:
                failing = True
                words = {"call": "asked by the page", "script": "a script of the page did not come", "page": "from|ERR_EMPTY_RESPONSE"}[of]
                with pytest.raises(Interrupted, match=words) as end:
                    chromium.collect(url, kind, Budget(quiet_s=1, first_s=3))
                is_limited = isinstance(fault, Response) and fault.status == 429 and of != "script"  # of which only the failure is told
                assert end.value.cause == ("rate-limited" if is_limited else "unreachable")
                failing = False
                assert chromium.collect(url, kind, Budget(quiet_s=1)).posts


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
    """A driver whose page stays as it is, and whose own calls brought these replies, one look after another."""

    waits: list = []  # as many looks as its first call takes to be answered

    def __init__(self, page: str, replies: list | None = None, robots: str = "", *, status: int = 200) -> None:
        self.page, self.replies, self.robots, self.status = page, replies or [], robots, status

    def get(self, url: str) -> None:
        """It is there."""

    def execute_script(self, script: str, *given: object) -> object:
        if script == scripts.REPLIES:
            if self.waits:
                return self.waits.pop()
            found = self.replies.pop(0) if self.replies else []
            if isinstance(found, Exception):
                raise found
            return found
        if script == scripts.SCROLL:
            return [0, True]
        values = [None] * script.count("JSON.stringify")
        return ["https://www.tiktok.com/tag/joy", self.page, values, -1, [self.robots], bool(self.waits), self.status]


RECORD = '{"__DEFAULT_SCOPE__": {"webapp.challenge-detail": {"itemList": []}}}'
EMPTY = f'<html><body><script id="__UNIVERSAL_DATA_FOR_REHYDRATION__">{RECORD}</script></body></html>'

CALL = "https://www.tiktok.com/api/challenge/item_list/?cursor=0"
IDS = ("7525082444551310602", "7525082444551310603")


def reply(post: str, *, more: bool = True) -> list[str]:
    return [CALL, json.dumps({"itemList": [{"id": post, "desc": "joy"}], "hasMore": more})]


TAG = ("tiktok", "https://www.tiktok.com/tag/joy", "tag")


@pytest.fixture
def reading(db, settings, monkeypatch):
    """Reads a tag's list, or another one, from such a driver; robots.txt is not asked."""
    settings.CRAWL_REPLICA = "127.0.0.1:1"

    def read(
        drawn: Drawn,
        *,
        robots_exception: str = "no network in this test",
        delay_s: float = 0,
        quiet_s: float = 0.1,
        first_s: float = 0.3,
        of: tuple[str, str, str] = TAG,
    ):
        platform, url, kind = of
        client = client_for(platform, Manner(delay_s=delay_s, robots_exception=robots_exception))
        monkeypatch.setattr(client, "_robots", lambda host: robots.parse("", robots.PRODUCT))
        here = Browser(client)
        monkeypatch.setattr(here, "start", lambda: drawn)
        return here.collect(url, kind, Budget(first_s=first_s, quiet_s=quiet_s))

    return read


@pytest.mark.parametrize(("answer", "outcome"), [("", "blocked"), ('{"itemList": [], "hasMore": false}', "")])
def test_a_list_that_stays_empty_without_saying_so_is_no_empty_list(reading, answer, outcome):
    seen = reading(Drawn(EMPTY, [[[CALL, answer]]] if answer else []))
    assert (seen.failure.outcome if seen.failure else "") == outcome
    assert seen.ended == (not outcome)
    assert Host.objects.get(name="www.tiktok.com").bytes == len(answer), "what the page itself fetched counts against the day's budget"


def test_what_a_page_asks_for_by_itself_is_counted_and_puts_the_next_page_off(reading):
    elsewhere, began = ["https://tracker.example.net/beat", "{}"], timezone.now()
    reading(Drawn(EMPTY, [[reply(IDS[0]), elsewhere], [reply(IDS[1], more=False)]]), delay_s=7, quiet_s=60)
    host = Host.objects.get()
    assert host.requests == 3, "the page and two calls"
    assert host.next_at >= began + timedelta(seconds=21), "one delay for each"
    politeness.called(host.name, 500, 0, delay_s=7)
    host.refresh_from_db()
    assert host.requests == 503
    assert host.next_at < timezone.now() + timedelta(seconds=politeness.LONGEST_WAIT_S), "never so far that the next page gives up"


def test_a_list_is_kept_whatever_follows_it_in_one_breath(reading):
    """A refusal among several replies: the one before it and the one behind it were heard too, and the wall keeps its name."""
    seen = reading(Drawn(EMPTY, [[reply(IDS[0]), [CALL, '{"statusCode": 10222, "itemList": []}'], reply(IDS[1])]]))
    assert set(seen.posts) == set(IDS)
    assert (seen.failure.outcome, seen.refused) == ("private", True)


@pytest.mark.parametrize(
    "error", [WebDriverException("tab crashed"), MaxRetryError(None, "/session", "connection refused"), ConnectionResetError()]
)
def test_what_was_seen_before_the_browser_died_is_not_lost(reading, error):
    with pytest.raises(Interrupted) as end:
        reading(Drawn(EMPTY, [[reply(IDS[0])], error]), quiet_s=60)
    assert set(end.value.seen.posts) == {IDS[0]}


def test_a_list_whose_call_is_slow_is_waited_for(reading):
    """A crowded machine, or a slow line: neither makes a list empty, nor its end."""
    page = Drawn(EMPTY, [[reply(IDS[0])], [reply(IDS[1], more=False)]])
    page.waits = [[]] * 5
    assert set(reading(page, first_s=0.0, quiet_s=60).posts) == set(IDS)


@pytest.mark.parametrize("before", [[], [reply(IDS[0])]])
@pytest.mark.parametrize(
    ("fault", "cause"),
    [([0, None], "unreachable"), ([502, None], "unreachable"), ([429, None], "rate-limited"), ([503, "40"], "unreachable")],
)
def test_an_end_behind_a_call_that_failed_is_none(reading, before, fault, cause):
    began, failed = timezone.now(), [CALL, None, *fault]
    with pytest.raises(Interrupted, match="asked by the page") as end:
        reading(Drawn(EMPTY, [[*before, failed]]))
    assert (set(end.value.seen.posts), end.value.cause) == (set(IDS[: len(before)]), cause)
    if fault[1]:
        assert Host.objects.get().next_at >= began + timedelta(seconds=40), "as long as it asked for"
    Host.objects.update(next_at=None)
    again = reading(Drawn(EMPTY, [[failed, reply(IDS[1], more=False)]]))
    assert set(again.posts) == {IDS[1]}, "the page asked once more by itself"
    Host.objects.update(next_at=None)
    elsewhere = ["https://tracker.example.net/beat", None, *fault]
    assert reading(Drawn(EMPTY, [[reply(IDS[1], more=False), elsewhere]])).ended, "what is no part of the list may fail"


@pytest.mark.parametrize(("status", "cause"), [(500, "unreachable"), (503, "unreachable"), (429, "rate-limited")])
def test_a_page_that_its_host_could_not_give_is_asked_for_again(reading, status, cause):
    with pytest.raises(Interrupted, match=f"{status} from www.tiktok.com") as end:
        reading(Drawn("<h1>Sorry</h1>", status=status))
    assert end.value.cause == cause


def test_a_list_without_its_script_is_asked_for_again(reading):
    broken = ["https://www.tiktok.com/static/list.js", None, 0, None, "script"]
    for page, first in ((EMPTY, set()), (EMPTY.replace("[]", json.dumps([{"id": IDS[0], "desc": "joy"}])), {IDS[0]})):
        with pytest.raises(Interrupted, match=r"did not come: .*list\.js") as end:
            reading(Drawn(page, [[broken]]))
        assert (end.value.cause, set(end.value.seen.posts)) == ("unreachable", first), "what the page brought along is kept"
        Host.objects.update(next_at=None)
    assert reading(Drawn(EMPTY, [[broken, reply(IDS[1], more=False)]])).posts, "another script drew it"
    Host.objects.update(next_at=None)
    tracker = ["https://tracker.example.net/beat.js", *broken[1:]]
    assert reading(Drawn(EMPTY, [[tracker]])).failure.outcome == "blocked"
    Host.objects.update(next_at=None)
    assert reading(Drawn("<h1>Sorry</h1>", [[broken]], status=404)).failure.outcome == "gone"


@pytest.mark.parametrize("status", [503, 403])
def test_a_wall_keeps_its_name_whatever_its_status(reading, status):
    assert reading(Drawn('<div id="captcha_container"></div>', status=status)).failure.outcome == "captcha"


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "rule-failed"), (401, "login"), (403, "blocked"), (404, "gone"), (410, "gone"), (451, "region")]
)
def test_a_page_that_says_nothing_is_named_by_its_status(reading, status, outcome):
    assert reading(Drawn("<h1>Sorry</h1>", status=status)).failure.outcome == outcome


def test_a_board_whose_words_are_not_drawn_yet_has_not_failed(reading):
    words = ["https://www.douyin.com/aweme/v1/web/hot/search/list/", json.dumps({"data": {"word_list": [{"word": "快乐"}]}})]
    seen = reading(Drawn('<ul data-e2e="hot-list"></ul>', [[words]]), of=("douyin", "https://www.douyin.com/hot", "trending"))
    assert (list(seen.words), seen.failure) == (["快乐"], None)


def test_a_page_that_leaves_while_it_is_asked_ends_nothing(reading):
    left = JavascriptException("document unloaded while waiting for result")
    page = Drawn(EMPTY, [[reply(IDS[0])], left, [reply(IDS[1], more=False)]])
    assert set(reading(page, quiet_s=60).posts) == set(IDS)


def test_a_list_that_asks_not_to_train_machines_is_left_alone(reading):
    with pytest.raises(Refused, match="noai") as refusal:
        reading(Drawn(EMPTY, [[reply(IDS[0])]], "noai, noindex"), robots_exception="")
    assert refusal.value.cause == "robots"
    assert reading(Drawn(EMPTY, [[reply(IDS[0], more=False)]], "noindex"), robots_exception="").posts, "a list is only passed through"
    assert reading(Drawn(EMPTY, [[reply(IDS[0], more=False)]], "noai")).posts, "the stage says why"


class Cards(Drawn):
    """Cards without addresses: which posts a click opens, also such as were asked for by the click before."""

    def __init__(self, opens: dict[int, list[str]]) -> None:
        super().__init__("<html><body>nothing</body></html>")
        self.opens, self.open = opens, []

    def find_elements(self, by: str, xpath: str) -> list:
        if "close" in xpath:
            return ["close"] if self.open else []
        return [Card(place) for place in range(len(self.opens))]

    def back(self) -> None:
        raise AssertionError("a page further back is another one")

    def execute_script(self, script: str, *given: object) -> object:
        if script == scripts.ADDRESS:
            return (
                f"https://www.kuaishou.com/short-video/{self.open[0]}"
                if self.open
                else "https://www.kuaishou.com/search/video?searchKey=joy"
            )
        if script == scripts.CLICK and given[0] == "close":
            self.open.pop(0)
            return None
        if script == scripts.CLICK:
            self.open += self.opens[given[0].place]
            return None
        if script == scripts.REPLIES:
            return []
        return super().execute_script(script, *given)


class Card:
    text = "a card"

    def __init__(self, place: int) -> None:
        self.place = place

    def is_displayed(self) -> bool:
        return True


def test_a_card_that_is_slow_to_open_is_noted_all_the_same(db, settings):
    settings.CRAWL_REPLICA = "127.0.0.1:1"
    here, page, seen = Browser(client_for("kuaishou", Manner())), Cards({0: ["3xaaaaaaaa"], 1: [], 2: ["3xbbbbbbbb", "3xcccccccc"]}), Seen()
    cards = here.adapter.clickable("search")
    here._open_cards(page, cards, 0, seen, Budget(), time.monotonic() + 60)
    here._open_cards(page, cards, 3, seen, Budget(), time.monotonic() + 60)
    assert set(seen.posts) == {"3xaaaaaaaa", "3xbbbbbbbb", "3xcccccccc"}
    assert not page.open


def test_chromium_is_ended_when_its_driver_is_gone(db, tmp_path):
    """quit() finds nobody to talk to: the browser behind the driver must not live on."""
    profile = tmp_path / f"{PROFILE}1-x"
    profile.mkdir()
    chromium = running(profile)
    here = Browser(client_for("tiktok", Manner()))
    here.profile, here.driver = profile, Gone()
    try:
        here.quit()
        assert chromium.wait(timeout=60) == -9
        assert not profile.exists()
    finally:
        chromium.kill()


class Gone:
    def quit(self) -> None:
        raise MaxRetryError(None, "/session", "connection refused")
