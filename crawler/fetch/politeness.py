"""When a host may be asked again. The clock is a row per host, so that all workers together keep one pace."""

from __future__ import annotations

import random
import time
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from crawler.fetch.errors import Refused, Unreachable
from crawler.models import Host

JITTER = 0.5  # up to half the delay more, so that requests keep no beat
LONGEST_WAIT_S = 90.0  # a longer one is given back to the queue
LONGEST_REST_S = 30.0  # so far, at most, a page's own calls put the next page off


def slot(host: str, *, delay_s: float, requests_per_day: int, bytes_per_day: int) -> None:
    """Waits until this host may be asked, and books the request.

    Raises Refused when the host is paused (captcha, login wall) or the day's budget is spent, Unreachable when the wait is too long.
    """
    with transaction.atomic():
        row = _locked(host)
        now = timezone.now()
        _refuse_if_closed(row, now, requests_per_day, bytes_per_day)
        at = max(now, row.next_at or now)
        if (at - now).total_seconds() > LONGEST_WAIT_S:
            raise Unreachable(f"{host} asked us to wait until {at:%H:%M:%S}", cause="rate-limited")
        row.next_at = at + timedelta(seconds=delay_s * (1 + JITTER * random.random()))  # noqa: S311 - no secret
        _count(row, now, 1)
        row.save()
    pause = (at - timezone.now()).total_seconds()
    if pause > 0:
        time.sleep(pause)


def _locked(host: str) -> Host:
    """The host's row, locked: two workers must not book the same moment."""
    row = Host.objects.select_for_update().filter(name=host).first()
    if row is None:
        Host.objects.get_or_create(name=host)
        row = Host.objects.select_for_update().get(name=host)
    return row


def _refuse_if_closed(row: Host, now: datetime, requests_per_day: int, bytes_per_day: int) -> None:
    if row.paused_until and row.paused_until > now:
        raise Refused(
            f"{row.name} is paused until {row.paused_until:%Y-%m-%d %H:%M}: {row.pause_reason}", cause=row.pause_reason.split(":")[0]
        )
    if row.day == now.date() and (row.requests >= requests_per_day or row.bytes >= bytes_per_day):
        raise Refused(f"today's budget for {row.name} is spent ({row.requests} requests, {row.bytes} bytes)", cause="budget")


def _count(row: Host, now: datetime, requests: int, num_bytes: int = 0) -> None:
    if row.day != now.date():
        row.day, row.requests, row.bytes = now.date(), 0, 0
    row.requests += requests
    row.bytes += num_bytes


@transaction.atomic
def called(host: str, calls: int, num_bytes: int, *, delay_s: float) -> None:
    """Books what a page asked of this host by itself: against the day's budget, and as time before the host's next page."""
    row, now = _locked(host), timezone.now()
    _count(row, now, calls, num_bytes)
    begin = max(now, row.next_at or now)
    row.next_at = max(begin, min(begin + timedelta(seconds=calls * delay_s), now + timedelta(seconds=LONGEST_REST_S)))
    row.save()


def hold_back(host: str, seconds: float) -> None:
    """No request to this host for so long (Retry-After, backoff)."""
    with transaction.atomic():
        row = _locked(host)
        row.next_at = max(row.next_at or timezone.now(), timezone.now() + timedelta(seconds=seconds))
        row.save()


def pause(host: str, reason: str, hours: float) -> None:
    """Stops asking a host after a captcha or a login wall; reported on the collection page, never solved."""
    until = timezone.now() + timedelta(hours=hours)
    Host.objects.update_or_create(name=host, defaults={"paused_until": until, "pause_reason": reason[:200]})


def received(host: str, count: int) -> None:
    """Books what came against the day's budget, in one statement: many workers may say so at once."""
    Host.objects.filter(name=host).update(bytes=F("bytes") + count)
