"""What a site says to robots: robots.txt as RFC 9309 reads it (groups by product token, * and $ in paths, the longest match wins,
Allow wins a tie), and the words of X-Robots-Tag headers and of meta elements."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

PRODUCT = "eMotionsResearchBot"  # what we are called there
NAMES = frozenset({"robots", PRODUCT.lower()})  # of meta elements that speak to us
NO_AI = frozenset({"noai", "noimageai"})
NO_USE = NO_AI | {"noindex", "noimageindex", "none"}  # of a post's page or its clip, which would enter an index and a training set
VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})  # words with a colon of their own
MAX_BYTES = 500 * 1024


@dataclass(frozen=True)
class Robots:
    rules: tuple[tuple[bool, str], ...] = ()  # (allowed, path pattern)
    crawl_delay_s: float | None = None

    def allows(self, url: str) -> bool:
        parts = urlsplit(url)
        target = unquote(parts.path or "/") + (f"?{unquote(parts.query)}" if parts.query else "")
        matching = [(len(pattern), allowed) for allowed, pattern in self.rules if matches(pattern, target)]
        return max(matching)[1] if matching else True


def matches(pattern: str, target: str) -> bool:
    anchored = pattern.endswith("$")
    body = ".*".join(re.escape(part) for part in pattern.removesuffix("$").split("*"))
    return re.match(body + ("$" if anchored else ""), target) is not None


def parse(text: str, agent: str) -> Robots:
    """The rules that hold for this product token: its own group if there is one, else that of *."""
    groups: dict[str, list[tuple[bool, str]]] = {}
    delays: dict[str, float] = {}
    names: list[str] = []
    in_rules = False
    for line in text[:MAX_BYTES].removeprefix("\ufeff").splitlines():
        key, _, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if key == "user-agent":
            names = [value.lower()] if in_rules else [*names, value.lower()]
            in_rules = False
            groups.setdefault(value.lower(), [])
        elif key in ("allow", "disallow"):
            in_rules = True
            if value:
                for name in names:
                    groups[name].append((key == "allow", unquote(value)))
        elif key == "crawl-delay" and re.fullmatch(r"\d+(\.\d+)?", value):
            in_rules = True
            delays.update(dict.fromkeys(names, float(value)))
    name = agent.lower() if agent.lower() in groups else "*"
    return Robots(tuple(groups.get(name, ())), delays.get(name))


def wishes(lines: Iterable[str]) -> frozenset[str]:
    """The words in these header lines or meta contents that are said to every robot or to ours; another robot's lines are left out."""
    said: set[str] = set()
    for line in lines:
        name, colon, rest = line.lower().partition(":")
        named = bool(colon) and "," not in name and name.strip() not in VALUED
        if not named or name.strip() in NAMES | {"*"}:
            said |= {word.strip() for word in (rest if named else line.lower()).split(",")}
    return frozenset(said - {""})
