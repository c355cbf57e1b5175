"""Stages: what they ask for, in which order, when they stop, and what a killed one goes on with."""

import threading
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from crawler import fetch, selectors, services
from crawler.fetch import Interrupted
from crawler.models import Stage, Term, Video, Visit
from crawler.platforms import Failure, Outcome
from crawler.services import claims, manners, stages
from tests.crawler.pipeline import EXPLORE, TAG, Board, seen, stage

pytestmark = pytest.mark.django_db
State = Video.State


def test_words_of_stage_one_lead_to_posts_and_their_keywords_steer_stage_two(board, world, other_clip):
    board.shows = {EXPLORE: seen(words=("dance", "cat")), TAG + "dance": seen("1"), TAG + "sea": seen("2")}
    world["files"]["2"] = other_clip
    counts = services.stage_crawl(stage("one").pk)
    assert counts["accepted"] == 1
    assert board.asked == [EXPLORE, TAG + "dance", TAG + "cat"]
    sea = Term.objects.get(text="sea")
    assert (sea.why["source"], sea.first_stage.name) == ("hashtag", "one")
    board.asked.clear()
    services.stage_crawl(stage("two", trending=False, terms_per_platform=1).pk)
    assert board.asked == [TAG + "sea"], "the keyword of what was kept outweighs the words that gave little"
    assert Video.objects.get(platform_id="2").term == Term.objects.get(text="sea")
    assert Stage.objects.get(name="two").state == Stage.State.DONE


def test_a_finished_stage_run_again_asks_and_stores_nothing_twice(board):
    board.shows = {EXPLORE: seen("1", words=("dance",)), TAG + "dance": seen("1")}
    first = services.stage_crawl(stage().pk)
    asked = len(board.asked)
    assert services.stage_crawl(stage().pk) == first
    assert len(board.asked) == asked
    assert Video.objects.count() == 1


def test_a_stage_killed_between_lists_goes_on_where_it_was(board):
    board.shows = {EXPLORE: seen(words=("dance", "cat")), TAG + "dance": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        services.stage_crawl(stage().pk)
    board.shows[TAG + "dance"] = seen("1")
    board.asked.clear()
    assert services.stage_crawl(stage().pk)["accepted"] == 1
    assert EXPLORE not in board.asked


def test_a_stage_killed_between_two_of_its_words_asks_for_them_all(board, monkeypatch):
    plan, planned = stages._Round._plan, []

    def killed(self, platform, kind, subject, term=None):
        if planned.append(subject) or subject == "cat":
            raise KeyboardInterrupt
        plan(self, platform, kind, subject, term)

    board.shows = {EXPLORE: seen(words=("dance", "cat"))}
    monkeypatch.setattr(stages._Round, "_plan", killed)
    with pytest.raises(KeyboardInterrupt):
        services.stage_crawl(stage().pk)
    assert planned == ["", "dance", "cat"]
    monkeypatch.setattr(stages._Round, "_plan", plan)
    services.stage_crawl(stage().pk)
    assert board.asked == [EXPLORE, TAG + "dance", TAG + "cat"]


@pytest.mark.parametrize("trending", [False, True])
@pytest.mark.parametrize("given", [["sea"], ["sea", "sky"]])
def test_words_that_are_given_come_first_and_then_the_chosen_ones(board, trending, given):
    board.shows = {EXPLORE: seen(words=("dance",))}
    services.stage_crawl(stage("before", terms_per_platform=0).pk)
    board.asked.clear()
    services.stage_crawl(stage(terms={"tiktok": given}, trending=trending).pk)
    assert board.asked == [*[EXPLORE] * trending, *(f"https://www.tiktok.com/search?q={word}" for word in given), TAG + "dance"]


@pytest.mark.parametrize("outcome", [Outcome.CAPTCHA, Outcome.LOGIN])
def test_a_wall_is_reported_and_the_host_left_alone(board, outcome):
    board.shows = {EXPLORE: seen("1", failure=Failure(outcome, "wall"))}
    counts = services.stage_crawl(stage().pk)
    assert counts[f"list: {outcome}"] == 1
    assert selectors.hosts()[0].pause_reason.startswith(outcome)
    assert counts["found"] == 1, "what was seen before the wall is kept"


def test_a_list_that_kills_its_worker_is_read_last_and_then_no_more(board, monkeypatch):
    """The count is on the row while the list is read: whoever dies then cannot count any more."""
    monkeypatch.setattr(
        Board, "collect", lambda self, url, kind, budget: Board.asked.append((url, Visit.objects.get(kind=kind).deaths)) or seen()
    )
    chosen = stage(terms={"tiktok": ["dance"]})
    services.stage_crawl(chosen.pk)
    assert Board.asked == [(EXPLORE, 1), ("https://www.tiktok.com/search?q=dance", 1)]
    assert set(Visit.objects.values_list("deaths", flat=True)) == {0}, "nobody died"
    Board.asked.clear()
    Visit.objects.update(state=Visit.State.WAITING)
    Visit.objects.filter(kind="trending").update(deaths=1)
    Stage.objects.update(state=Stage.State.RUNNING)
    services.stage_crawl(chosen.pk)
    assert [deaths for _, deaths in Board.asked] == [1, 2]
    Board.asked.clear()
    Visit.objects.filter(kind="trending").update(state=Visit.State.WAITING, deaths=claims.MAX_DEATHS)
    Stage.objects.update(state=Stage.State.RUNNING)
    services.stage_crawl(chosen.pk)
    poison = Visit.objects.get(kind="trending")
    assert (Board.asked, poison.state, poison.outcome) == ([], Visit.State.FAILED, "worker-killed")
    assert poison.detail == "5 workers died while they read it"
    services.stage_reopen(chosen.pk)
    poison.refresh_from_db()
    assert (poison.state, poison.deaths) == (Visit.State.WAITING, 0)


def test_what_a_list_showed_before_the_browser_died_is_kept(board):
    board.shows = {EXPLORE: Interrupted("tab crashed", cause="browser", seen=seen("1"))}
    services.stage_crawl(stage().pk)
    visit = Visit.objects.get()
    assert (visit.state, visit.outcome, visit.found, visit.new) == (Visit.State.FAILED, "browser", 1, 1)
    assert Video.objects.get().state == State.ACCEPTED


def test_a_list_that_our_own_code_stumbles_over_costs_the_stage_no_other(board):
    board.shows = {EXPLORE: seen(words=("dance", "cat")), TAG + "dance": ValueError("odd"), TAG + "cat": seen("1")}
    assert services.stage_crawl(stage().pk)["accepted"] == 1
    visit = Visit.objects.get(subject="dance")
    assert (visit.outcome, visit.detail, visit.attempts) == ("error", "ValueError: odd", stages.MAX_VISIT_ATTEMPTS)


def test_whoever_interrupts_a_stage_does_not_wait_for_its_whole_line(monkeypatch):
    round_, begun, go_on = stages._Round(stage(), stages._silent, None, 1), threading.Event(), threading.Event()
    at_work = round_.pool.submit(lambda: begun.set() or go_on.wait(60))
    in_line = [round_.pool.submit(int) for _ in range(3)]
    round_.futures = [at_work, *in_line]

    def interrupted():
        begun.wait(60)
        threading.Timer(0.2, go_on.set).start()
        raise KeyboardInterrupt

    monkeypatch.setattr(round_, "_read_lists", interrupted)
    with pytest.raises(KeyboardInterrupt):
        round_.run()
    assert at_work.done()
    assert all(future.cancelled() for future in in_line)


def test_the_budget_bounds_what_is_discovered(board):
    board.shows = {EXPLORE: seen("1", "2", "3", words=("dance",)), TAG + "dance": seen("4")}
    services.stage_crawl(stage(video_budget=2).pk)
    assert Video.objects.count() == 2
    assert TAG + "dance" not in board.asked


def test_a_stopped_stage_stops(board, monkeypatch):
    chosen = stage()
    board.shows = {EXPLORE: seen("1", words=("dance",))}
    monkeypatch.setattr(Board, "collect", lambda self, url, kind, budget: services.stage_stop(chosen.pk) and Board.shows[url])
    services.stage_crawl(chosen.pk)
    chosen.refresh_from_db()
    assert chosen.state == Stage.State.STOPPED
    assert Video.objects.get().state == State.DISCOVERED


def test_a_stage_reads_no_list_after_its_end(board):
    chosen = stage(ends_at=timezone.now() - timedelta(minutes=1))
    board.shows = {EXPLORE: seen("1", words=("dance",))}
    services.stage_crawl(chosen.pk)
    chosen.refresh_from_db()
    assert chosen.state == Stage.State.DONE
    assert not Video.objects.exists()


def test_a_stage_in_other_hands_is_busy(board):
    chosen = stage()
    Stage.objects.filter(pk=chosen.pk).update(claimed_by=claims.name())
    with pytest.raises(services.StageBusy):
        services.stage_crawl(chosen.pk)


@pytest.mark.parametrize(
    "settings",
    [
        {"speed": 9},
        {"user_agent": "liar"},
        {"delay_s": -1},
        {"attempts": 0},
        {"terms": {"myspace": ["x"]}},
        {"terms": {"tiktok": "dance"}},
        {"users": {"tiktok": [""]}},
        {"steer": "no"},
        {"proxy": 8080},
        {"platforms": ["myspace"]},
        {"links": ["see you there"]},
    ],
)
def test_nonsense_in_a_stage_is_refused(settings):
    with pytest.raises(ValidationError):
        services.stage_create(**{"name": "bad", "platforms": ["tiktok"], **settings})
    assert not Stage.objects.exists()


def test_a_stage_records_how_it_introduces_itself(settings):
    settings.CRAWL_USER_AGENT = "pool"
    begun = stage("one")
    settings.CRAWL_USER_AGENT = "honest"
    assert begun.settings["user_agent"] == "pool"
    assert manners.manner_of(begun).user_agent == "pool", "a stage that goes on keeps the name it began with"


def test_a_stage_records_whether_it_takes_cookies_along(settings, tmp_path):
    assert not stage("before").settings["cookies"], "the site has none"
    settings.CRAWL_COOKIES = str(tmp_path / "cookies.txt")
    with pytest.raises(ValidationError, match="cannot be read"):
        stage("one")
    (tmp_path / "cookies.txt").write_text("# Netscape HTTP Cookie File\n")
    begun, without = stage("one"), stage("two", cookies=False)
    assert (begun.settings["cookies"], manners.manner_of(begun).cookies) == (True, settings.CRAWL_COOKIES)
    assert (without.settings["cookies"], manners.manner_of(without).cookies) == (False, "")


def test_a_stage_records_the_pace_it_keeps(settings):
    settings.CRAWL_DELAY_S = 3.5
    begun = stage("one")
    settings.CRAWL_DELAY_S = 0.0
    assert begun.settings["delay_s"] == 3.5
    assert manners.manner_of(begun).delay_s == 3.5
    assert stage("two", delay_s=1).settings["delay_s"] == 1


SHARED = "7.43 复制打开抖音 https://vm.tiktok.com/ZS8abcdef/ 看看 #老屋"


@pytest.mark.parametrize(
    ("target", "asked", "found"),
    [
        ("https://www.tiktok.com/@nick/video/7525082444551310602?_r=1", [], ["7525082444551310602"]),
        ("https://www.tiktok.com/tag/sea?_r=1", [TAG + "sea"], ["1"]),
    ],
)
def test_what_people_paste_begins_a_stage(board, monkeypatch, target, asked, found):
    opened = []

    @contextmanager
    def open_(self, url):
        opened.append(url)
        yield SimpleNamespace(url=target)

    monkeypatch.setattr(fetch.Client, "open", open_)
    board.shows = {TAG + "sea": seen("1")}
    services.stage_crawl(stage(trending=False, terms_per_platform=0, links=[SHARED, "https://www.douyin.com/hot"]).pk)
    assert opened == ["https://vm.tiktok.com/ZS8abcdef/"]
    assert board.asked == asked
    assert list(Video.objects.values_list("platform_id", flat=True)) == found
    assert not Visit.objects.exclude(state=Visit.State.DONE).exists()


def test_a_short_link_to_nowhere_says_where_it_leads(board, monkeypatch):
    nowhere = "https://www.tiktok.com/about"
    monkeypatch.setattr(fetch.Client, "open", contextmanager(lambda self, url: iter([SimpleNamespace(url=nowhere)])))
    services.stage_crawl(stage(trending=False, terms_per_platform=0, links=[SHARED]).pk)
    visit = Visit.objects.get()
    assert (visit.outcome, visit.detail) == ("rule-failed", f"it leads to {nowhere}, which is no page that we read")


def test_a_blocked_term_is_never_asked_for(board):
    board.shows = {EXPLORE: seen(words=("dance", "cat"))}
    chosen = stage()
    Term.objects.create(platform="tiktok", text="dance", first_stage=chosen, blocked=True)
    services.stage_crawl(chosen.pk)
    assert board.asked == [EXPLORE, TAG + "cat"]
