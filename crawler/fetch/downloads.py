"""A clip from its address to its verified file: streamed to .part, resumed by Range, checked, then renamed in one step."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from crawler.fetch import politeness
from crawler.fetch.client import Client
from crawler.fetch.errors import Expired, FetchError, Gone, Refused, Unreachable
from crawler.storage import Away

CHUNK = 256 * 1024
MAX_BYTES = 300 * 2**20
MAX_SECONDS = 300.0
MIN_BYTES_PER_S = 2_000  # slower than this after the grace time is a slow drip that would hold a worker for ever
GRACE_S = 15.0
EXPIRED = {HTTPStatus.FORBIDDEN, HTTPStatus.GONE, HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND}


@dataclass(frozen=True)
class Downloaded:
    name: str  # below the storage folder: "ab/ab12….mp4"
    sha256: str
    size_bytes: int
    url: str


class Short(Exception):
    """The body ended before its announced length, or the connection was cut: what came is kept for a Range request."""


def download(client: Client, urls: tuple[str, ...], page_url: str, folder: Path, part_name: str) -> Downloaded:
    """The file from the first address that gives all of it; the others are mirrors.

    Raises Expired when every address says no (the page has fresh ones), Unreachable when trying again may help, Refused or Gone else,
    and Away when the disk does not take it.
    """
    if not urls:
        raise Refused(f"{page_url} names no address of its clip", cause="no-media")
    part = folder / "parts" / f"{part_name}.part"
    with _writing(part):
        part.parent.mkdir(parents=True, exist_ok=True)
    problems: list[FetchError] = []
    for url in urls:
        try:
            return _from(client, url, page_url, folder, part)
        except FetchError as error:
            problems.append(error)
            if isinstance(error, Refused):  # too large, perhaps: nobody comes back for it
                _discard(part)
    raise _worst(problems)


@contextmanager
def _writing(part: Path) -> Iterator[None]:
    """A full disk is no fault of the line's, nor of the clip's."""
    try:
        yield
    except OSError as error:
        raise Away(f"{part.parent} cannot be written: {error}") from error


def _worst(problems: list[FetchError]) -> FetchError:
    """What to report when all mirrors failed: a fresh address is the best hope, then time, then nothing."""
    for kind in (Expired, Unreachable, Refused, Gone):
        for problem in problems:
            if isinstance(problem, kind):
                return problem
    return problems[0]


def _from(client: Client, url: str, page_url: str, folder: Path, part: Path) -> Downloaded:
    """All of the file from one address, in as many Range requests as its cut connections need. Raises FetchError."""
    problem = ""
    for attempt in range(1, client.manner.attempts + 1):
        try:
            return _keep(part, folder, url, _stream(client, url, page_url, part))
        except Short as error:
            problem = str(error)
        except Unreachable as error:
            if attempt == client.manner.attempts:
                raise
            problem = str(error)
        client.back_off(attempt)
    _discard(part)
    raise Unreachable(f"{urlsplit(url).hostname}: {problem} ({client.manner.attempts} times)", cause="truncated")


def _stream(client: Client, url: str, page_url: str, part: Path) -> str:
    """Adds what is still missing to the part file; the sha256 of all of it. Raises Short, Expired, Refused or Unreachable."""
    have, known = _held(part)
    headers = {**client.adapter.media_headers(page_url), "Accept-Encoding": "identity", "Accept": "*/*"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with client.open(url, headers=headers) as response:
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            _discard(part)
            raise Short("the server refuses the rest (416); begun anew")
        if response.status_code in EXPIRED:
            raise Expired(f"{response.status_code} for the clip at {urlsplit(url).hostname}")
        if response.status_code not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            raise Unreachable(f"{response.status_code} for the clip at {urlsplit(url).hostname}")
        begin, total = _extent(response)
        identity = {"etag": response.headers.get("ETag", ""), "total": total}
        if have and (begin != have or identity != known):
            begin = 0 if response.status_code == HTTPStatus.OK else -1
        if begin < 0:  # a different file than the one begun: start over
            _discard(part)
            raise Short("the rest belongs to another file; begun anew")
        if total is not None and total > MAX_BYTES:
            raise Refused(f"the clip has {total} bytes, more than {MAX_BYTES}", cause="too-large")
        with _writing(part):
            _notes(part).write_text(json.dumps(identity))
        digest = _write(response, part, begin)
        if total is not None and part.stat().st_size != total:
            raise Short(f"{part.stat().st_size} of {total} bytes")
        return digest


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """(first byte, size of the whole file if it is told) of this answer."""
    if response.status_code == HTTPStatus.PARTIAL_CONTENT:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if match is None:
            return -1, None
        return int(match[1]), int(match[2]) if match[2] != "*" else None
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _write(response: requests.Response, part: Path, begin: int) -> str:
    """Writes the body behind the first `begin` bytes; the sha256 of the whole, taken while waiting for the line."""
    started, count = time.monotonic(), 0
    digest = _digest_of(part) if begin else hashlib.sha256()
    try:
        with _writing(part), part.open("r+b" if begin else "wb") as file:
            file.seek(begin)
            for chunk in _body(response):
                file.write(chunk)
                digest.update(chunk)
                count += len(chunk)
                _watch(begin + count, count, time.monotonic() - started)
            file.flush()
            os.fsync(file.fileno())
    finally:
        politeness.received(urlsplit(response.url).hostname or "", count)
    return digest.hexdigest()


def _body(response: requests.Response) -> Iterator[bytes]:
    """What has come, not full chunks: a cut line loses nothing. Raises Short."""
    count = 0
    try:
        while chunk := response.raw.read1(CHUNK):
            count += len(chunk)
            yield chunk
    except (requests.RequestException, HTTPError, OSError) as error:
        raise Short(f"cut after {count} bytes ({type(error).__name__})") from error


def _digest_of(part: Path) -> Any:
    with part.open("rb") as file:
        return hashlib.file_digest(file, "sha256")


def _watch(size: int, count: int, elapsed_s: float) -> None:
    if size > MAX_BYTES:
        raise Refused(f"the clip is larger than {MAX_BYTES} bytes", cause="too-large")
    if elapsed_s > MAX_SECONDS or (elapsed_s > GRACE_S and count / elapsed_s < MIN_BYTES_PER_S):
        raise Unreachable(f"only {count} bytes in {elapsed_s:.0f} s", cause="slow")


def _keep(part: Path, folder: Path, url: str, digest: str) -> Downloaded:
    """Checks the first bytes, names the file after its content and moves it into place. Raises Expired for what is no video."""
    with part.open("rb") as file:
        head = file.read(64)
    suffix = container(head)
    size = part.stat().st_size
    if suffix is None:
        _discard(part)
        cause = "html-body" if head.lstrip()[:1] == b"<" else "empty-body" if not size else "wrong-type"
        raise Expired(f"{urlsplit(url).hostname} sent {size} bytes that are no video (they begin {head[:12]!r})", cause=cause)
    name = f"{digest[:2]}/{digest}{suffix}"
    target = folder / name
    with _writing(part):
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, target)
    _notes(part).unlink(missing_ok=True)
    return Downloaded(name, digest, size, url)


def container(head: bytes) -> str | None:
    """The file's suffix by its first bytes; None when no video container begins so."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"styp"):
        return ".mp4"
    return ".webm" if head.startswith(b"\x1a\x45\xdf\xa3") else None


def _held(part: Path) -> tuple[int, dict[str, object]]:
    """How much of the file is here, and what it said of itself; (0, {}) when that is unknown."""
    try:
        return part.stat().st_size, json.loads(_notes(part).read_text())
    except (OSError, ValueError):
        return 0, {}


def _notes(part: Path) -> Path:
    return part.with_suffix(".json")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)
