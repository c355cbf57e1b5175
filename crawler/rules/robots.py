"""robots.txt as RFC 9309 reads it: groups by product token, * and $ in paths, the longest match wins, Allow wins a tie."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

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
