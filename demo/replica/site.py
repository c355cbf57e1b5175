"""What all platforms of the replica share while it runs: the corpus, the clock, signed media links, once-only faults and their log."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from pathlib import Path

from demo.replica.corpus import Corpus, Post
from demo.replica.faults import FAULTS
from demo.replica.http import Request, Response


class Site:
    def __init__(
        self,
        corpus: Corpus,
        clips: Path,
        state: Path,
        *,
        faults: frozenset[str],
        clock: Callable[[], float],
        hurry_per_s: float,
        latency_s: float,
        link_ttl_s: float,
    ) -> None:
        self.corpus, self.clips, self.covers = corpus, clips, state / "covers"
        self.faults, self.clock = faults, clock
        self.hurry_per_s, self.latency_s, self.link_ttl_s = hurry_per_s, latency_s, link_ttl_s
        self.short_codes = {short_code(post): post for post in corpus.posts}
        self.media_codes = {media_code(post): post for post in corpus.posts}
        self._key = hashlib.sha256(f"replica {corpus.seed}".encode()).digest()
        self._seen: Counter[tuple[str, str]] = Counter()
        self._visits: dict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()
        self._log = (state / "planted.jsonl").open("a", encoding="utf-8")

    def close(self) -> None:
        with self._lock:
            self._log.close()

    def today(self) -> datetime.date:
        return datetime.datetime.fromtimestamp(self.clock(), datetime.UTC).date()

    def body_path(self, post: Post) -> Path:
        return self.clips / post.body  # an absolute body (an edited file) stays as it is

    def wait(self) -> None:
        """What the platforms' own list calls take."""
        if self.latency_s:
            time.sleep(self.latency_s)

    # --- faults -------------------------------------------------------------------------------------------------
    def strikes(self, name: str, post: Post, request: Request, *, times: int | None = None) -> bool:
        """Whether this fault is planted on the post and due now (at most `times` times, None: always); logs it when it is."""
        if post.fault != name:
            return False
        return self.once(name, post.key, times) and self.log(name, request, post=post)

    def once(self, name: str, key: str, times: int | None = 1) -> bool:
        with self._lock:
            self._seen[name, key] += 1
            return times is None or self._seen[name, key] <= times

    def happened(self, name: str, key: str) -> bool:
        with self._lock:
            return self._seen[name, key] > 0

    def demands(self, name: str, request: Request, *, missing: bool, post: Post | None = None) -> bool:
        """Whether the request lacks what this demand asks for; logs it when it does."""
        return missing and name in self.faults and self.log(name, request, post=post)

    def log(self, name: str, request: Request, *, post: Post | None = None) -> bool:
        line = {
            "at": round(self.clock(), 3),
            "fault": name,
            "where": FAULTS[name].where.value,
            "host": request.host,
            "target": request.target[:300],
        }
        if post is not None:
            line |= {"platform": post.platform, "id": post.id, "expected": post.expected}
        with self._lock:
            if not self._log.closed:
                self._log.write(json.dumps(line, ensure_ascii=False) + "\n")
                self._log.flush()
        return True

    def hurried(self, request: Request) -> Response | None:
        """429 for whoever asks one host for pages faster than allowed; every other time without Retry-After."""
        if not self.hurry_per_s or request.path.startswith(("/static/", "/api/", "/aweme/", "/rest/", "/graphql", "/robots.txt")):
            return None
        now = self.clock()
        with self._lock:
            visits = self._visits[request.host]
            while visits and visits[0] <= now - 1:
                visits.popleft()
            visits.append(now)
            too_many = len(visits) > self.hurry_per_s
            self._seen["hurry_429", request.host] += too_many
            polite = self._seen["hurry_429", request.host] % 2 == 1
        return self.too_many(request, "hurry_429", polite=polite) if too_many else None

    def too_many(self, request: Request, name: str, *, polite: bool, post: Post | None = None) -> Response:
        self.log(name, request, post=post)
        response = Response.text("Too Many Requests", status=429)
        if polite:
            response.headers.append(("Retry-After", "1"))
        return response

    def page_fault(self, request: Request, post: Post) -> Response | None:
        """What the post's page answers, the first time, instead of itself."""
        if self.strikes("empty_200", post, request, times=1):
            return Response.page("")
        for name, polite in (("rate_limited", True), ("rate_limited_silent", False)):
            if post.fault == name and self.once(name, post.key):
                return self.too_many(request, name, polite=polite, post=post)
        return None

    def is_struck_list(self, name: str, platform: str, term: str) -> bool:
        """Whether a fault of lists or walls sits on this term: the day's first, second and third word, in the order of the names below."""
        order = ("duplicate_page", "endless_list", "captcha")
        board = self.corpus.board(platform, self.today())
        place = order.index(name)
        return name in self.faults and place < len(board) and board[place].lower() == term.strip().lstrip("#").lower()

    # --- signed links -------------------------------------------------------------------------------------------
    def expiry(self, post: Post) -> int:
        """When links made now end; at once, until somebody has met one, where the fault is an expired link."""
        if post.fault == "expired_link" and not self.happened("expired_link", post.key):
            return int(self.clock()) - 60
        return int(self.clock() + self.link_ttl_s)

    def sign(self, *parts: object) -> str:
        return hmac.new(self._key, "|".join(map(str, parts)).encode(), hashlib.sha256).hexdigest()[:32]


def short_code(post: Post) -> str:
    return "Z" + hashlib.sha256(f"short {post.key}".encode()).hexdigest()[:8].upper()


def media_code(post: Post) -> str:
    """What a post's file is called on the media hosts."""
    return "v0" + hashlib.sha256(f"media {post.key}".encode()).hexdigest()[:26]
