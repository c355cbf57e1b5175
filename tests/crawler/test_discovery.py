"""Found posts become rows once, and counts tell what became of them."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from crawler import selectors, services
from crawler.models import Video, Visit
from crawler.platforms import Failure, Outcome
from tests.crawler.pipeline import EXPLORE, post, seen, stage

pytestmark = pytest.mark.django_db
State = Video.State


def test_found_posts_are_handed_to_the_queue(board, django_capture_on_commit_callbacks):
    board.shows = {EXPLORE: seen("1")}
    handed = []
    with django_capture_on_commit_callbacks(execute=True):
        services.stage_crawl(stage().pk, dispatch=handed.append)
    assert handed == [Video.objects.get().pk]


@pytest.mark.django_db(transaction=True)
def test_eight_workers_on_one_topic_store_each_post_once_and_one_of_them_calls_it_new():
    rows = [{"platform": "tiktok", "platform_id": str(n), "url": f"https://www.tiktok.com/@/video/{n}"} for n in range(300)]

    def work(number: int) -> list[int]:
        mine = random.Random(number).sample(rows, len(rows))
        try:
            return [pk for start in range(0, len(mine), 50) for pk in services.posts_insert(mine[start : start + 50])]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        new = [pk for found in pool.map(work, range(8)) for pk in found]
    assert Video.objects.count() == len(rows)
    assert sorted(new) == sorted(Video.objects.values_list("pk", flat=True))


def test_ten_thousand_rows_twice_are_ten_thousand_rows():
    rows = [{"platform": "tiktok", "platform_id": str(n), "url": f"https://www.tiktok.com/@/video/{n}"} for n in range(2000)]
    assert len(services.posts_insert(rows)) == 2000
    assert services.posts_insert(rows) == []


def test_the_funnel_counts_by_platform_stage_and_cause(board, world):
    world["pages"]["2"] = Failure(Outcome.GONE, "x")
    board.shows = {EXPLORE: seen("1", "2")}
    services.stage_crawl(stage().pk)
    row = selectors.funnel()["stages"]["one"]["tiktok"]
    assert (row["found"], row["fetched"], row["accepted"], row["failed"]) == (2, 1, 1, {"gone": 1})


def test_only_the_latest_pages_say_whether_a_platform_changed(monkeypatch):
    monkeypatch.setattr("crawler.selectors.collection.RECENT_PAGES", 20)
    for number in range(40):
        post(str(number), state=State.ACCEPTED, number=number + 1, rule_version="tiktok/video.1")
    assert selectors.rule_matches() == [
        {"platform": "tiktok", "rules": {"tiktok/video.1": 40}, "failed": 0, "failed_share": 0.0, "alarm": False}
    ]
    for number in range(100, 103):
        post(str(number), state=State.FAILED, reason="rule-failed: no rule reads it")
    (changed,) = selectors.rule_matches()
    assert (changed["failed_share"], changed["alarm"]) == (3 / 20, True)
    for number in range(200, 220):
        post(str(number), state=State.FAILED, reason="gone: deleted", rule_version="tiktok/video.2")
    (mended,) = selectors.rule_matches()
    assert (mended["failed"], mended["alarm"]) == (3, False), "a page that says that its post is gone was read"


def test_lists_that_no_rule_reads_raise_the_alarm_too():
    for number in range(4):
        Visit.objects.create(
            stage=stage(), platform="tiktok", kind="tag", subject=str(number), state=Visit.State.FAILED, outcome="rule-failed"
        )
    (row,) = selectors.rule_matches()
    assert (row["failed_share"], row["alarm"]) == (1.0, True)
