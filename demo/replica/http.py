"""Requests and responses as plain values."""

from __future__ import annotations

import html
import json
import re
import urllib.parse
from dataclasses import dataclass, field
from email.message import Message
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, Self

ASSETS = Path(__file__).parent / "assets"
# What HTTP libraries call themselves when nobody tells them otherwise; the media hosts turn these away.
LIBRARY_AGENTS = re.compile(r"^(python-|curl/|wget|libwww|go-http|java/|okhttp|aiohttp|scrapy|$)", re.I)


@dataclass(frozen=True)
class Request:
    method: str
    host: str
    path: str
    query: dict[str, str]
    headers: Message[str, str]
    cookies: dict[str, str]
    body: bytes = b""
    target: str = ""

    @classmethod
    def parse(cls, method: str, target: str, headers: Message[str, str], body: bytes = b"") -> Self:
        parts = urllib.parse.urlsplit(target)
        host = (headers.get("Host") or "").rsplit(":", 1)[0].lower()
        query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        return cls(method, host, urllib.parse.unquote(parts.path), query, headers, cookies_of(headers.get("Cookie") or ""), body, target)

    @property
    def agent(self) -> str:
        return self.headers.get("User-Agent") or ""

    @property
    def is_library(self) -> bool:
        return bool(LIBRARY_AGENTS.match(self.agent))

    @property
    def is_mobile(self) -> bool:
        return bool(re.search(r"Mobile|Android|iPhone", self.agent))

    def number(self, name: str, default: int = 0) -> int:
        value = self.query.get(name, "")
        return int(value) if value.isdigit() else default


def cookies_of(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}


@dataclass
class Response:
    status: int = 200
    body: bytes = b""
    content_type: str = "text/html; charset=utf-8"
    headers: list[tuple[str, str]] = field(default_factory=list)
    claimed_length: int | None = None  # what Content-Length says, where that is a lie
    cut_at: int | None = None  # the connection breaks after so many bytes
    drip_bytes: int = 0  # so many bytes every tenth of a second

    @classmethod
    def page(cls, text: str, *, status: int = 200) -> Self:
        return cls(status, text.encode("utf-8", "surrogatepass"), headers=[("Cache-Control", "no-store")])

    @classmethod
    def json(cls, value: Any, *, status: int = 200) -> Self:
        return cls(
            status, json.dumps(value, ensure_ascii=False).encode(), "application/json; charset=utf-8", [("Cache-Control", "no-store")]
        )

    @classmethod
    def text(cls, text: str, *, status: int = 200) -> Self:
        return cls(status, text.encode(), "text/plain; charset=utf-8")

    @classmethod
    def redirect(cls, url: str, *, status: int = 302) -> Self:
        return cls(status, b"", headers=[("Location", url)])

    @property
    def breaks(self) -> bool:
        return self.claimed_length is not None or self.cut_at is not None

    def cookie(self, name: str, value: str, *, domain: str, max_age: int = 86400) -> Self:
        self.headers.append(("Set-Cookie", f"{name}={value}; Domain={domain}; Path=/; Max-Age={max_age}; Secure; SameSite=None"))
        return self


def asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def fill(template: str, **parts: str) -> str:
    """The template with every {{name}} replaced; a name without a part is an error."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def escaped_json(value: Any) -> str:
    r"""JSON as the platforms put it into a script: `/`, `&` and `<` written \u002F, \u0026, \u003C."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return (
        text.replace("/", "\\u002F")
        .replace("&", "\\u0026")
        .replace("<", "\\u003C")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


def attribute(text: str) -> str:
    return html.escape(text, quote=True)


def counted(number: int, *, language: str) -> str:
    """A counter as people see it: 1.2万 and 3.4亿, or 12.3K and 1.1M."""
    steps = ((100_000_000, "亿"), (10_000, "万")) if language == "zh" else ((1_000_000, "M"), (10_000, "K"))
    for size, unit in steps:
        if number >= size:
            return f"{number / (1000 if unit == 'K' else size):.1f}{unit}"
    return f"{number:,}" if language == "en" else str(number)
