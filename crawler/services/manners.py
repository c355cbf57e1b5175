"""How a stage asks: its settings, checked by name and kind, and the conversations held open with the platforms."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError

from crawler.fetch import Budget, Client, Manner, Unreachable, cookies
from crawler.models import Stage
from crawler.platforms import PLATFORMS

LONGEST_LINK = 200  # as long as a visit's subject may be


@dataclass(frozen=True)
class StageSettings:
    """Everything a stage can be told beside its name, platforms, seed and video budget."""

    user_agent: str = ""  # honest or pool; empty: as the site is set
    delay_s: float | None = None  # least time between two requests to one host; empty: as the site is set
    proxy: str | None = None
    cookies: bool = True  # whether the cookies that the site was given (CRAWL_COOKIES) are sent
    robots_exception: str = ""  # why robots.txt is not obeyed
    requests_per_day: int = 20_000
    bytes_per_day: int = 50 * 2**30
    attempts: int = 4
    backoff_s: float = 1.0
    pause_hours: float = 6.0
    terms_per_platform: int = 5  # chosen of what is known; those of `terms` come on top
    items_per_list: int = 200
    seconds_per_list: float = 90.0
    quiet_s: float = 3.0
    terms: dict[str, list[str]] = field(default_factory=dict)  # platform -> words to begin with, before any is chosen
    users: dict[str, list[str]] = field(default_factory=dict)  # platform -> target user groups
    links: list[str] = field(default_factory=list)  # posts, users, tags … as people paste them, short links too
    trending: bool = True
    steer: bool = True  # whether keywords of kept videos choose what is asked next


def settings_checked(given: dict[str, Any]) -> dict[str, Any]:
    """The settings as they will be stored, complete. Raises ValidationError for an unknown name or a wrong kind of value."""
    known = {item.name: item for item in fields(StageSettings)}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValidationError(f"unknown stage setting {', '.join(unknown)}; known are {', '.join(known)}")
    whole = asdict(StageSettings(**given))
    for name in ("delay_s", "backoff_s", "seconds_per_list", "quiet_s", "pause_hours"):
        if whole[name] is not None and (not isinstance(whole[name], int | float) or whole[name] < 0):
            raise ValidationError(f"{name}={whole[name]!r} is not a length of time")
    for name in ("requests_per_day", "bytes_per_day", "attempts", "terms_per_platform", "items_per_list"):
        if not isinstance(whole[name], int) or whole[name] < (1 if name == "attempts" else 0):
            raise ValidationError(f"{name}={whole[name]!r} is not a whole number, or too small")
    if whole["user_agent"] not in ("", "honest", "pool"):
        raise ValidationError(f"user_agent={whole['user_agent']!r} is neither honest nor pool")
    # Recorded as they are in force. Not so the site's proxy, whose address may hold a password, nor what is in its cookies.
    whole["user_agent"] = whole["user_agent"] or settings.CRAWL_USER_AGENT
    whole["delay_s"] = settings.CRAWL_DELAY_S if whole["delay_s"] is None else whole["delay_s"]
    for name in ("terms", "users"):
        if not isinstance(whole[name], dict) or set(whole[name]) - set(PLATFORMS) or not all(map(_are_words, whole[name].values())):
            raise ValidationError(f"{name} must map platform names ({', '.join(PLATFORMS)}) to lists of words")
    for name in ("trending", "steer", "cookies"):
        if not isinstance(whole[name], bool):
            raise ValidationError(f"{name}={whole[name]!r} is neither true nor false")
    for name in ("proxy", "robots_exception"):
        if not isinstance(whole[name] or "", str):
            raise ValidationError(f"{name}={whole[name]!r} is no text")
    whole["cookies"] = bool(whole["cookies"] and settings.CRAWL_COOKIES)
    if whole["cookies"]:
        try:
            cookies.read(settings.CRAWL_COOKIES)
        except Unreachable as error:
            raise ValidationError(str(error)) from error
    if not isinstance(whole["links"], list):
        raise ValidationError("links must be a list of addresses")
    for text in whole["links"]:
        link_of(text)
    return whole


def _are_words(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(word, str) and word.strip() and "\0" not in word for word in value)


def link_of(text: Any) -> tuple[str, str]:
    """(platform, address) in what somebody pasted: an address, or a whole share text around it. Raises ValidationError."""
    match = re.search(r"https?://[^\s\"'<>，。！]+", str(text))
    host = urlsplit(match[0]).hostname or "" if match else ""
    for platform, adapter in PLATFORMS.items():
        if match and adapter.allows(host) and len(match[0]) <= LONGEST_LINK:
            return platform, match[0]
    raise ValidationError(f"there is no address of {', '.join(PLATFORMS)}, of at most {LONGEST_LINK} characters, in {str(text)[:100]!r}")


def settings_of(stage: Stage | None) -> StageSettings:
    """The stage's settings; names that an older version stored and this one has not are left out."""
    known = {item.name for item in fields(StageSettings)}
    return StageSettings(**{name: value for name, value in (stage.settings if stage else {}).items() if name in known})


def settings_chosen(stage: Stage) -> dict[str, Any]:
    """What this stage was told otherwise than any is, by name; of a proxy, which may hold a password, its host alone."""
    plain = asdict(StageSettings())
    chosen = {name: value for name, value in asdict(settings_of(stage)).items() if value != plain[name]}
    if chosen.get("proxy"):
        chosen["proxy"] = urlsplit(chosen["proxy"]).hostname
    return chosen


def settings_parsed(texts: Iterable[str]) -> dict[str, Any]:
    """Settings written NAME=VALUE, as on a command line: VALUE is JSON, or else the text as it stands. Raises ValidationError."""
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise ValidationError(
                f'{text!r} is no setting; write NAME=VALUE, such as quiet_s=5 or \'users={{"douyin": ["MS4wLjABAAAA"]}}\''
            )
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value
    return found


def manner_of(stage: Stage | None) -> Manner:
    told = settings_of(stage)
    chosen: dict[str, Any] = {
        name: getattr(told, name)
        for name in ("robots_exception", "attempts", "backoff_s", "requests_per_day", "bytes_per_day", "pause_hours")
    }
    if told.user_agent:
        chosen["user_agent"] = told.user_agent
    if told.delay_s is not None:
        chosen["delay_s"] = told.delay_s
    if not told.cookies:
        chosen["cookies"] = ""
    if told.proxy is not None:
        chosen["proxy"] = told.proxy
    return Manner(**chosen)


def budget_of(stage: Stage, left: int) -> Budget:
    told = settings_of(stage)
    return Budget(items=min(told.items_per_list, left), seconds=told.seconds_per_list, quiet_s=told.quiet_s)


_open = threading.local()


def client_of(stage: Stage | None, platform: str) -> Client:
    """The conversation that this thread holds with the platform for this stage; cookies live as long as the thread."""
    conversations: dict[tuple[Any, ...], Client] = _open.__dict__.setdefault("clients", {})
    manner, seed = manner_of(stage), stage.seed if stage else 0
    # Which network it speaks to is part of a conversation: another replica has another certificate, and none is the open Internet.
    network = (settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA)
    key = (platform, seed, network, tuple(sorted(asdict(manner).items())))
    if key not in conversations:
        conversations[key] = Client(PLATFORMS[platform], manner, seed=str(seed))
    return conversations[key]


def platforms_of(stage: Stage) -> list[str]:
    return list(stage.platforms) or list(PLATFORMS)
