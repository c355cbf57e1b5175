"""Requests without a browser: guarded, polite, robots-obeying, redirects followed one by one, bodies of bounded size."""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from django.conf import settings
from django.utils import timezone
from urllib3.exceptions import HTTPError

from crawler.fetch import agents, cookies, guard, politeness
from crawler.fetch.errors import Gone, Refused, Unreachable
from crawler.models import Host
from crawler.platforms import PLATFORMS, Adapter
from crawler.rules import robots

MAX_PAGE_BYTES = 12 * 2**20
MAX_REDIRECTS = 6
TIMEOUT_S = (10, 20)  # to connect, between two bytes
ROBOTS_AGE = timedelta(hours=24)
LONGEST_CRAWL_DELAY_S = 60.0
LONGEST_RETRY_S = 24 * 3600.0  # a host that asks for more is asked once a day


@dataclass(frozen=True)
class Manner:
    """How a stage asks; recorded with the stage as it was in force."""

    user_agent: str = field(default_factory=lambda: settings.CRAWL_USER_AGENT)
    delay_s: float = field(default_factory=lambda: settings.CRAWL_DELAY_S)
    proxy: str = field(default_factory=lambda: settings.CRAWL_PROXY)
    cookies: str = field(default_factory=lambda: settings.CRAWL_COOKIES)  # a cookies.txt; empty: none but those we are given on the way
    robots_exception: str = ""  # why robots.txt is not obeyed; empty: it is
    attempts: int = 4
    backoff_s: float = 1.0
    requests_per_day: int = 20_000
    bytes_per_day: int = 50 * 2**30
    pause_hours: float = 6.0


@dataclass(frozen=True)
class Reply:
    url: str
    status: int
    text: str
    headers: dict[str, str]
    wishes: frozenset[str] = frozenset()  # what its headers ask of robots

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


class Client:
    """One conversation with one platform: its cookies, its headers, its pace. Not shared between threads.

    Raises Unreachable when the cookies it should take along cannot be read.
    """

    def __init__(self, adapter: Adapter, manner: Manner, *, seed: str = "0") -> None:
        self.adapter, self.manner = adapter, manner
        self.delays: dict[str, float] = {}  # what each host's robots.txt asks for
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy, .netrc or CA from the surroundings
        self.session.headers.clear()
        self.session.headers.update(agents.headers(manner.user_agent, f"{seed}:{adapter.name}"))
        self.cookies = cookies.given(manner.cookies, adapter)
        for cookie in self.cookies:
            self.session.cookies.set_cookie(cookie)
        self.session.mount("https://", guard.GuardedAdapter())
        self.session.mount("http://", guard.GuardedAdapter())
        if settings.CRAWL_REPLICA_CA:
            self.session.verify = settings.CRAWL_REPLICA_CA
        if manner.proxy and not settings.CRAWL_REPLICA:
            self.session.proxies = {"http": manner.proxy, "https": manner.proxy}

    def close(self) -> None:
        self.session.close()

    def get(self, url: str, *, headers: dict[str, str] | None = None) -> Reply:
        """The page at this address, redirects followed. Raises Unreachable, Gone or Refused; 403 and the like are replies."""
        for attempt in range(1, self.manner.attempts + 1):
            try:
                with self.open(url, headers=headers) as response:
                    if response.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
                        raise Gone(f"{response.status_code} for {url}")
                    return Reply(response.url, response.status_code, self._text(response), dict(response.headers), _wishes(response))
            except Unreachable:
                if attempt == self.manner.attempts:
                    raise
                self.back_off(attempt)
        raise AssertionError("the loop above returns or raises")

    def back_off(self, attempt: int) -> None:
        time.sleep(min(60.0, self.manner.backoff_s * 2 ** (attempt - 1)) * (0.5 + random.random() / 2))  # noqa: S311 - no secret

    @contextmanager
    def open(self, url: str, *, headers: dict[str, str] | None = None, check_robots: bool = True) -> Iterator[requests.Response]:
        """A streaming answer after its redirects; the pace is kept and robots.txt asked before every hop."""
        seen: set[str] = set()
        response = None
        try:
            while True:
                if url in seen or len(seen) > MAX_REDIRECTS:
                    raise Refused(f"redirects in a circle at {url}", cause="redirect-loop")
                seen.add(url)
                if response is not None:
                    response.close()
                response = self._ask(url, headers, check_robots)
                if not response.is_redirect:
                    break
                url = self._next(url, response)
            if check_robots:  # a robots.txt is often kept out of an index itself
                self.refuse_wish(response.url, _wishes(response) & robots.NO_USE)
            yield response
        except (requests.RequestException, HTTPError, OSError) as error:
            raise Unreachable(f"{urlsplit(url).hostname}: {type(error).__name__}: {str(error)[:200]}") from error
        finally:
            if response is not None:
                response.close()

    def _ask(self, url: str, headers: dict[str, str] | None, check_robots: bool) -> requests.Response:
        host = self.permit(url) if check_robots else guard.check(url)
        self.take_slot(host)
        response = self.session.get(url, headers=headers, stream=True, allow_redirects=False, timeout=TIMEOUT_S)
        if passes(response.status_code):
            response.close()
            raise self.fault(host, response.status_code, response.headers.get("Retry-After"))
        return response

    def fault(self, host: str, status: int = 0, wait: str | None = None) -> Unreachable:
        """What a host's passing fault is to whoever asked; status 0: no answer at all. wait: its Retry-After header."""
        hurried, wait_s = status == HTTPStatus.TOO_MANY_REQUESTS, retry_after(wait)
        if wait_s is not None or hurried:  # all workers together were too quick, so all of them wait
            politeness.hold_back(host, self.manner.backoff_s if wait_s is None else wait_s)
        told = f"{status} from {host}" if status else f"no answer from {host}"
        return Unreachable(told, cause="rate-limited" if hurried else "unreachable")

    def _next(self, url: str, response: requests.Response) -> str:
        """Where a redirect leads; one that leaves the platform or ends at its sign-in page is refused."""
        target = urljoin(url, response.headers["Location"])
        try:
            inside = self.adapter.allows(guard.check(target))
        except Refused as error:
            raise Refused(f"redirect from {url} is not followed: {error}", cause="off-site-redirect") from error
        if not inside:
            raise Refused(f"redirect from {url} leaves the platform for {urlsplit(target).hostname}", cause="off-site-redirect")
        if urlsplit(target).path.rstrip("/").endswith("/login"):
            raise Refused(f"{url} redirects to the sign-in page", cause="login")
        return target

    def refuse_wish(self, url: str, wishes: frozenset[str]) -> None:
        """Raises Refused where a page asks not to be used and the stage does not say why it disregards that."""
        if wishes and not self.manner.robots_exception:
            raise Refused(f"{url} asks not to be used (robots: {', '.join(sorted(wishes))})", cause="robots")

    def _text(self, response: requests.Response) -> str:
        body = bytearray()
        for chunk in response.iter_content(64 * 1024):
            body += chunk
            if len(body) > MAX_PAGE_BYTES:
                raise Refused(f"{response.url} is larger than {MAX_PAGE_BYTES} bytes", cause="too-large")
        politeness.received(urlsplit(response.url).hostname or "", len(body))
        return bytes(body).decode("utf-8", errors="replace")

    # --- permission and pace ---

    def take_slot(self, host: str) -> None:
        manner = self.manner
        politeness.slot(host, delay_s=self._delay_s(host), requests_per_day=manner.requests_per_day, bytes_per_day=manner.bytes_per_day)

    def book(self, host: str, calls: int, num_bytes: int) -> None:
        """Counts what a page in a browser asked of this host by itself."""
        politeness.called(host, calls, num_bytes, delay_s=self._delay_s(host))

    def _delay_s(self, host: str) -> float:
        return max(self.manner.delay_s, self.delays.get(host, 0.0))

    def permit(self, url: str) -> str:
        """The host, if the guard and robots.txt let us ask for this address. Raises Refused."""
        host = guard.check(url)
        if not self.manner.robots_exception:
            told = self._robots(host)
            if not told.allows(url):
                raise Refused(f"robots.txt of {host} disallows {urlsplit(url).path}", cause="robots")
            self.delays[host] = min(told.crawl_delay_s or 0.0, LONGEST_CRAWL_DELAY_S)
        return host

    def _robots(self, host: str) -> robots.Robots:
        """The host's robots.txt, asked once a day. None there (4xx): all allowed; unreachable: nothing asked now (RFC 9309)."""
        row, _ = Host.objects.get_or_create(name=host)
        if row.robots_at is None or row.robots_at < timezone.now() - ROBOTS_AGE:
            text = ""
            for attempt in range(1, self.manner.attempts + 1):
                try:
                    with self.open(f"https://{host}/robots.txt", check_robots=False) as response:
                        text = self._text(response).replace("\0", "") if response.status_code == HTTPStatus.OK else ""
                    break
                except Unreachable:
                    if attempt == self.manner.attempts:
                        raise
                    self.back_off(attempt)
            Host.objects.filter(name=host).update(robots=text[: robots.MAX_BYTES], robots_at=timezone.now())
            row.robots = text
        return robots.parse(row.robots, robots.PRODUCT)


def _wishes(response: requests.Response) -> frozenset[str]:
    return robots.wishes(response.raw.headers.getlist("X-Robots-Tag"))


def passes(status: int) -> bool:
    """Whether this status tells of a fault of the host that another try may not meet."""
    return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header, given as seconds or as a date, a day at most; None when absent or unreadable."""
    if not value:
        return None
    if re.fullmatch(r"[0-9]+", value.strip()):
        return min(float(value), LONGEST_RETRY_S)
    try:
        wait_s = (parsedate_to_datetime(value).astimezone(UTC) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(0.0, wait_s), LONGEST_RETRY_S)


def client_for(platform: str, manner: Manner | None = None, *, seed: Any = 0) -> Client:
    return Client(PLATFORMS[platform], manner or Manner(), seed=str(seed))
