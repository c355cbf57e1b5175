"""Clips that are on this machine already: they take the way of downloaded ones from where their file is here on.

A list (CSV) may say what a page would have said: file, url or platform and id, title, hashtags, author, published_at, counts' names.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from crawler.fetch.downloads import MAX_BYTES, container
from crawler.models import Platform, Video
from crawler.platforms import PLATFORMS, decoding
from crawler.platforms.adapter import COUNTS
from crawler.services.videos import posts_insert

SUFFIXES = {".mp4", ".m4v", ".mov", ".webm", ".mkv"}
COLUMNS = ("file", "url", "platform", "id", "title", "hashtags", "author", "published_at", *COUNTS)
BATCH = 50  # clips stored between two looks at the database
BLOCK = 2**20


class BadList(ValueError):
    """The list cannot be taken; `lines` say where and why."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines[:3]))
        self.lines = lines


@dataclass(frozen=True)
class Brought:
    """A file, and what was said of it: columns of Video."""

    path: Path
    said: dict[str, Any] = field(default_factory=dict)


@dataclass
class Report:
    """How many clips were new, which files were no clips and why."""

    new: list[int] = field(default_factory=list)  # ids
    known: int = 0
    refused: list[str] = field(default_factory=list)


def clips_bring(folder: Path, listed: Path | None = None, *, basis: str = "", progress: Callable[[int, int], None] | None = None) -> Report:
    """Copies the clips of a folder to where clips are kept, as videos that wait to be cleaned. Run again, it takes what is new.

    listed: a CSV of COLUMNS, whose files are taken and no others. basis: by what right they are used; kept with each.
    Raises BadList before anything is taken, FileNotFoundError for a folder that is not there.
    """
    brought = read_list(listed, folder) if listed else [Brought(path) for path in _files(folder)]
    report = Report()
    for start in range(0, len(brought), BATCH):
        posts = []
        for place, clip in enumerate(brought[start : start + BATCH], start=start + 1):
            try:
                posts.append(_post(clip, folder, basis))
            except (ValueError, PermissionError) as error:  # one bad file stops no other
                report.refused.append(str(error))
            if progress:
                progress(place, len(brought))
        new = posts_insert(posts)
        report.new += new
        report.known += len(posts) - len(new)
    return report


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def _post(clip: Brought, folder: Path, basis: str) -> dict[str, Any]:
    """Columns of a new video whose file is stored now. Raises ValueError for what is no video that browsers or FFmpeg here can open."""
    with clip.path.open("rb") as file:
        suffix = container(file.read(64))
    size = clip.path.stat().st_size
    if suffix is None or size > MAX_BYTES:
        problem = f"larger than {MAX_BYTES // 2**20} MiB" if suffix else "no MP4, MOV, WebM or MKV (make one by: ffmpeg -i FILE FILE.mp4)"
        raise ValueError(f"{clip.path}: {problem}")
    digest = _keep(clip.path, suffix)
    named = clip.path.relative_to(folder).as_posix() if clip.path.is_relative_to(folder) else clip.path.name
    return {
        "platform": Platform.OTHER,
        "platform_id": digest[:40],
        **clip.said,
        "raw": {"file": named, **({"basis": basis} if basis else {})},
        "state": Video.State.MEDIA,
        "file": f"{digest[:2]}/{digest}{suffix}",
        "sha256": digest,
        "size_bytes": size,
    }


def _keep(path: Path, suffix: str) -> str:
    """The sha256 of the file, which lies under MEDIA_ROOT from then on."""
    root = Path(settings.MEDIA_ROOT)
    part = root / "parts" / f"brought-{os.getpid()}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    try:
        with path.open("rb") as source, part.open("wb") as target:
            while block := source.read(BLOCK):
                digest.update(block)
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
        name = digest.hexdigest()
        (root / name[:2]).mkdir(parents=True, exist_ok=True)
        os.replace(part, root / name[:2] / f"{name}{suffix}")
    finally:
        part.unlink(missing_ok=True)
    return name


# --- the list ---------------------------------------------------------------------------------------------------


def read_list(listed: Path, folder: Path) -> list[Brought]:
    """The list's clips, in its order. Raises BadList with every line that cannot be taken."""
    clips, errors = [], []
    for number, row in _rows(listed):
        try:
            clips.append(_line({key: (value or "").strip() for key, value in row.items() if key}, folder))
        except ValueError as error:
            errors.append(f"{listed.name}:{number}: {error}")
    named = [(clip.said.get("platform"), clip.said["platform_id"]) for clip in clips if "platform_id" in clip.said]
    errors += [f"{listed.name}: post {name} of {platform} comes {n} times" for (platform, name), n in Counter(named).items() if n > 1]
    if errors:
        raise BadList(errors)
    return clips


def _rows(listed: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, columns) of the list. Raises BadList for what is no such table."""
    try:
        with listed.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            wrong = [f"column {name!r} is unknown; known are {', '.join(COLUMNS)}" for name in header if name not in COLUMNS]
            if wrong or "file" not in header:
                raise BadList([f"{listed.name}:1: {problem}" for problem in wrong or ["column file is missing"]])
            for row in reader:
                yield reader.line_num, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadList([f"{listed.name}: no CSV in UTF-8 ({error})"]) from None


def _line(row: dict[str, str], folder: Path) -> Brought:
    path = folder / row["file"]
    if not row["file"] or not path.is_file():
        raise ValueError(f"there is no file {row['file']!r} in {folder}")
    title = decoding.clean_title(row.get("title", ""))
    tags = [decoding.clean_title(tag).lstrip("#＃") for tag in re.split(r"[\s,;]+", row.get("hashtags", ""))]
    said: dict[str, Any] = dict(_identity(row))
    said["title"] = title
    said["hashtags"] = list(dict.fromkeys(tag[:100] for tag in [*tags, *decoding.hashtags_in(title)] if tag))[:50]
    said["author_hash"] = decoding.keyed_hash(settings.AUTHOR_HASH_KEY, said.get("platform", Platform.OTHER), row.get("author", ""))
    said["counts"] = dict(_counts(row))
    if row.get("published_at"):
        said["published_at"] = _moment(row["published_at"])
    return Brought(path, said)


def _identity(row: dict[str, str]) -> Iterator[tuple[str, str]]:
    """platform, platform_id and url as far as the row tells them."""
    url, platform, name = row.get("url", ""), row.get("platform", "").lower(), row.get("id", "")
    if url:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or len(url) > 500:
            raise ValueError(f"{url[:100]!r} is no web address of at most 500 characters")
        yield "url", url
        for known, adapter in PLATFORMS.items():
            if adapter.allows(parts.hostname) and not (platform or name):
                platform, name = known, adapter.post_id(url)
                if not name:
                    raise ValueError(f"{url} names no post of {known}; give its platform and id")
    if platform and platform not in Platform.values:
        raise ValueError(f"platform {platform!r} is not one of {', '.join(Platform.values)}")
    if platform in PLATFORMS and not name:
        raise ValueError(f"a post of {platform} needs its id, or its url")
    if len(name) > 64:
        raise ValueError("the id is longer than 64 signs")
    if platform:
        yield "platform", platform
    if name:
        yield "platform_id", name
    if platform in PLATFORMS and not url:
        yield "url", PLATFORMS[platform].address("video", name)


def _counts(row: dict[str, str]) -> Iterator[tuple[str, int]]:
    for name in COUNTS:
        if row.get(name):
            count = decoding.counter(row[name])
            if count is None:
                raise ValueError(f"{name} {row[name]!r} is not a number")
            yield name, count


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"published_at {text!r} is not an ISO 8601 date") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
