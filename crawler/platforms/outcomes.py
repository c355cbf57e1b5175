"""What a page can turn out to be: a video, a list of posts, or one of the named failures. Plain values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """Why a page gave no video. Seven different answers, never an empty list in disguise."""

    BLOCKED = "blocked"  # the platform refuses this client: empty body, 403, challenge page
    CAPTCHA = "captcha"  # a puzzle is shown: reported, never solved
    LOGIN = "login"  # a sign-in wall
    GONE = "gone"  # deleted or never there
    PRIVATE = "private"  # the author shows it to some people only
    REGION = "region"  # not shown in this country
    NOT_VIDEO = "not-video"  # a slideshow, an advertisement, a live room
    RULE_FAILED = "rule-failed"  # no rule of ours reads this page: it changed


# What a page's status says of it where the page itself does not.
STATUS_OUTCOMES = {401: Outcome.LOGIN, 403: Outcome.BLOCKED, 404: Outcome.GONE, 410: Outcome.GONE, 451: Outcome.REGION}


@dataclass(frozen=True)
class Failure:
    outcome: Outcome
    detail: str = ""
    rule_version: str = ""


@dataclass(frozen=True)
class PostRef:
    """The address of one post as a list shows it."""

    platform: str
    platform_id: str
    url: str
    title: str = ""


@dataclass(frozen=True)
class TrendingWord:
    """A word of a platform's trending board. heat is the platform's own figure, 0 when it gives none."""

    text: str
    rank: int
    heat: int = 0


@dataclass(frozen=True)
class ListPage:
    posts: tuple[PostRef, ...]
    words: tuple[TrendingWord, ...] = ()
    ended: bool = False
    rule_version: str = ""


@dataclass(frozen=True)
class VideoPage:
    """One post as its page describes it: units are seconds and whole numbers, the author is a keyed hash."""

    platform: str
    platform_id: str
    url: str
    rule_version: str
    title: str = ""
    hashtags: tuple[str, ...] = ()
    author_hash: str = ""
    published_at: datetime | None = None
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    media: tuple[str, ...] = ()  # addresses of the clip, best first, mirrors after
    notes: tuple[str, ...] = ()  # doubts that fail nothing: "id says 2025-07-09, page says 2021-01-01"
    raw: dict[str, Any] = field(default_factory=dict)
