"""Lists of any length: pages found by their keys, counts that stop, and counts that are kept for a minute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.core.cache import cache
from django.core.paginator import Page, Paginator
from django.db import connection
from django.db.models import QuerySet
from django.utils.functional import cached_property

from crawler.models import Video

LARGE = 50_000  # videos; counting fewer takes no time
REMEMBERED_S = 60
COUNTED = 10_000  # rows that a list counts; nobody turns further pages


def is_large() -> bool:
    """Whether there are so many videos that counting them takes longer than a page may."""
    return (Video.objects.order_by("-pk").values_list("pk", flat=True).first() or 0) > LARGE


def remembered(name: str, count: Callable[[], Any]) -> Any:
    """What `count` gives: counted now in a small collection, in a large one as it was at most a minute ago."""
    return cache.get_or_set(f"counted.{name}", count, REMEMBERED_S) if is_large() else count()


class KeyedPages(Paginator):
    """Pages that are found by their keys alone: rows that are only passed over are read from an index, and nothing joined to them."""

    object_list: QuerySet[Any]

    def page(self, number: int | str) -> Page:
        found = super().page(number)
        keys = list(cast("QuerySet[Any]", found.object_list).values_list("pk", flat=True))
        found.object_list = self.object_list.filter(pk__in=keys)  # in the same order
        return found


class LongList(KeyedPages):
    """Pages of a list that may be very long: counts no further than COUNTED rows, or asks PostgreSQL how long a whole table is."""

    @cached_property
    def count(self) -> int:
        return self._about() or self.object_list.order_by()[:COUNTED].count()

    def _about(self) -> int:
        """The server's own estimate for a whole table of more than COUNTED rows, else 0."""
        if connection.vendor != "postgresql" or self.object_list.query.where:
            return 0
        with connection.cursor() as cursor:
            cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [self.object_list.model._meta.db_table])
            about = cursor.fetchone()[0]
        return about if about > COUNTED else 0
