"""The routes of the site as the URL conf has them, with example values for what they take."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, get_resolver

ARGUMENT = re.compile(r"<(?:(\w+):)?(\w+)>|\(\?P<(\w+)>")


@dataclass(frozen=True)
class Route:
    name: str
    pattern: str
    view: Any

    @property
    def arguments(self) -> list[str]:
        return [match[1] or match[2] for match in ARGUMENT.findall(self.pattern)]


def routes() -> list[Route]:
    """Every route but the admin's own pages."""
    return [route for route in _walk(get_resolver().url_patterns) if not route.name.startswith("admin:")]


def _walk(patterns: list[Any], prefix: str = "", namespace: str = "") -> Iterator[Route]:
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield Route(namespace + (pattern.name or prefix + str(pattern.pattern)), prefix + str(pattern.pattern), pattern.callback)
        else:
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from _walk(pattern.url_patterns, prefix + str(pattern.pattern), inner)
