"""Lists of any length: pages by their keys, counts that stop, and counts that are kept for a minute."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.core.paginator import Paginator
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crawler.models import Video
from crawler.selectors import KeyedPages, LongList, long_lists, remembered
from tests.factories import VideoFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def videos() -> None:
    VideoFactory.create_batch(7)


@pytest.mark.parametrize("pages", [KeyedPages, LongList])
def test_the_pages_are_those_of_a_plain_paginator(videos: None, pages: type[Paginator]) -> None:
    rows = Video.objects.select_related("stage").order_by("-number")
    plain, keyed = Paginator(rows, 3), pages(rows, 3)
    assert keyed.num_pages == plain.num_pages == 3
    assert [list(keyed.page(n)) for n in (1, 2, 3)] == [list(plain.page(n)) for n in (1, 2, 3)]
    assert list(keyed.get_page("nonsense")) == list(plain.get_page(1))


def test_a_long_list_is_counted_no_further_than_anybody_turns_its_pages(videos: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_lists, "COUNTED", 4)
    pages = LongList(Video.objects.filter(number__gt=0).order_by("-number"), 3)
    with CaptureQueriesContext(connection) as queries:
        assert (pages.count, pages.num_pages) == (4, 2)
    assert len(queries) == 1
    assert "LIMIT 4" in queries[0]["sql"]


def test_a_whole_table_in_postgresql_is_not_counted_but_asked_for(videos: None, monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no such estimate")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE crawler_video")
    monkeypatch.setattr(long_lists, "COUNTED", 4)
    assert LongList(Video.objects.order_by("-pk"), 3).count == 7
    assert LongList(Video.objects.filter(number__gt=0).order_by("-pk"), 3).count == 4


def test_counts_are_fresh_in_a_small_collection_and_kept_in_a_large_one(videos: None, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.delete("counted.videos")
    assert remembered("videos", Video.objects.count) == 7
    VideoFactory()
    assert remembered("videos", Video.objects.count) == 8
    monkeypatch.setattr(long_lists, "LARGE", 0)
    assert remembered("videos", Video.objects.count) == 8
    VideoFactory()
    assert remembered("videos", Video.objects.count) == 8
    cache.delete("counted.videos")
    assert remembered("videos", Video.objects.count) == 9
    cache.delete("counted.videos")
