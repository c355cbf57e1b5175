"""Text as platforms wrap it, back to plain values: nested encodings, counters, units, ids, personal details."""

from __future__ import annotations

import hashlib
import hmac
import html
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

COUNTER = re.compile(r"^\s*([\d,]*\.?\d+)\s*([十百千]?[万萬亿億]|千|[wkmb])?\+?\s*$", re.IGNORECASE)
COUNTER_UNITS = {"": 1, "万": 10**4, "萬": 10**4, "w": 10**4, "亿": 10**8, "億": 10**8, "k": 10**3, "m": 10**6, "b": 10**9, "千": 10**3}
COUNTER_TIMES = {"十": 10, "百": 100, "千": 1000}
DECIMAL_COMMA = re.compile(r"^(\s*\d+),(\d{1,2})(?!\d)")  # "1,2 M", as half of Europe writes it
# Kuaishou writes the account's id behind the name: @小明(O3xabc…).
MENTION = re.compile(r"[@＠](?:[^@＠#＃\s()（）]{0,40}[(（]O?[0-9a-z]{6,24}[)）]|[\w.\-·]+)")
EMAIL = re.compile(r"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9._%+\-]{1,64}[@＠][A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+")
# Mainland mobile numbers and international ones, also spaced or dashed, and with Chinese words close on both sides; hashtags and years stay.
PHONE = re.compile(
    r"(?<![0-9A-Za-z_#＃+])(?:\(?\+?\d{1,3}\)?[ -]?)?(?:1[3-9]\d[ -]?\d{4}[ -]?\d{4}|\(?\d{3}\)?[ -]\d{3}[ -]\d{4})(?![0-9A-Za-z_])"
    r"|(?<![0-9A-Za-z_#＃])\+[1-9]\d{0,2}(?:[ .()-]{0,2}\d){7,12}(?![0-9A-Za-z_])"
)
HASHTAG = re.compile(r"[#＃]([^\s#＃@＠,，。!！?？;；:：]+)")
BARE_UNDEFINED = re.compile(r"(?<=[:,\[])\s*(?:undefined|NaN|void 0)(?=\s*[,}\]])")
INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
MAX_TITLE = 2200
EARLIEST = datetime(2012, 1, 1, tzinfo=UTC)


def json_at(text: str, start: int) -> str:
    """The balanced JSON object or array that begins at or after `start`; braces inside strings do not count.

    Raises ValueError when none begins or the text ends before it closes.
    """
    opening = re.compile(r"[\[{]").search(text, start)
    if opening is None:
        raise ValueError("no JSON begins here")
    depth, in_string, index = 0, False, opening.start()
    for match in re.compile(r'\\.|["{}\[\]]', re.DOTALL).finditer(text, index):
        sign = match.group()
        if sign == '"':
            in_string = not in_string
        elif in_string or sign[0] == "\\":
            continue
        elif sign in "{[":
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return text[index : match.end()]
    raise ValueError("the JSON never closes: the page is cut short")


def undefined_to_null(text: str) -> str:
    """JavaScript's bare undefined, NaN and void 0 as null, outside strings only."""
    pieces = re.split(r'("(?:\\.|[^"\\])*")', text)
    # A value is preceded by ':' ',' or '[' in the same piece or by a string's end, so each outer piece stands alone.
    return "".join(piece if piece.startswith('"') else BARE_UNDEFINED.sub("null", piece) for piece in pieces)


def parse_json(text: str) -> Any:
    """The JSON value; a string that itself holds an object or array is parsed once more. Raises ValueError."""
    value = json.loads(text, strict=False)
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        value = json.loads(value, strict=False)
    return value


DECODERS: dict[str, Callable[[Any], Any]] = {
    "percent": lambda text: unquote(text, errors="strict"),
    "entities": html.unescape,
    "undefined_to_null": undefined_to_null,
    "brace_cut": lambda text: json_at(text, 0),
    "json": parse_json,
}


def decode(text: str, steps: list[str]) -> Any:
    """The text after each named decoder in turn. Raises ValueError if one of them cannot read it."""
    value: Any = text
    for step in steps:
        try:
            value = DECODERS[step](value)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{step}: {error}") from error
    return value


def counter(value: Any) -> int | None:
    """12345 from 12345, "12,345", "1.2万" (12000), "3千", "2百万", "3.4亿", "1.1M", "1,1M"; None when it is no count."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return int(value) if 0 <= value < 1e15 else None
    match = COUNTER.match(DECIMAL_COMMA.sub(r"\1.\2", str(value)))
    if not match:
        return None
    unit = (match[2] or "").lower()
    times = COUNTER_TIMES.get(unit[0], 1) if len(unit) == 2 else 1
    return round(float(match[1].replace(",", "")) * times * COUNTER_UNITS[unit[-1:]])


def seconds(value: Any, unit: str) -> float | None:
    """A length of time in seconds, from a number in `unit` ("s" or "ms"); None when absent or nonsense."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    number = number / 1000 if unit == "ms" else number
    return number if 0 < number < 10**6 else None


def moment(value: Any, unit: str) -> datetime | None:
    """A point in time (UTC) from Unix seconds or milliseconds; None when absent or before short videos existed."""
    try:
        number = float(value) / (1000 if unit == "ms" else 1)
        when = datetime.fromtimestamp(number, tz=UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return when if when > EARLIEST else None


def id_time(platform_id: str) -> datetime | None:
    """The time written in the upper 32 bits of a 19-digit post id (TikTok and Douyin); None for other ids."""
    return moment(int(platform_id) >> 32, "s") if re.fullmatch(r"\d{18,20}", platform_id, re.ASCII) else None


def clean_title(text: Any) -> str:
    """The title without @mentions, e-mail addresses, phone numbers, control and direction characters, at most 2,200 characters."""
    if not isinstance(text, str):
        return ""
    text = INVISIBLE.sub("", text.encode("utf-8", "ignore").decode("utf-8"))
    return re.sub(r"[ \t]+", " ", PHONE.sub("", MENTION.sub("", EMAIL.sub("", text)))).strip()[:MAX_TITLE]


def hashtags_in(title: str) -> list[str]:
    return [tag.strip("_-.·") for tag in HASHTAG.findall(title) if tag.strip("_-.·")]


def keyed_hash(key: str, platform: str, author: str) -> str:
    """HMAC-SHA256 that stands for an author; the same author on the same platform gives the same value."""
    return hmac.new(key.encode(), f"{platform}:{author}".encode(), hashlib.sha256).hexdigest() if author else ""


def full_url(url: Any, base: str) -> str:
    """An https address from a protocol-relative, relative or full one; "" when it is none."""
    if not isinstance(url, str) or not url.strip():
        return ""
    url = url.strip()
    if url.startswith("//"):
        return "https:" + url
    if url.startswith("/"):
        return base.rstrip("/") + url
    return url if url.startswith(("https://", "http://")) else ""
