"""votes.csv as text: its lines, each checked by itself, and its writing."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TextIO

from annotation.models import Rung
from annotation.rules import exchange, taxonomy
from annotation.rules.csv_text import unreadable
from annotation.selectors import votes_for_export
from annotation.services.refusals import BadLines
from crawler.models import Platform

REQUIRED = ("video", "annotator", "rung", "adjective", "emotion", "confidence", "created_at")
OPTIONAL = ("adjective_table", "platform", "duration_s", "frames", "title")
LARGEST = 2**31 - 1  # what the columns hold
LONGEST = {"video": 64, "annotator": 150, "title": 10_000}


@dataclass
class Line:
    """One vote of the file, checked by itself."""

    number: int
    video: str
    annotator: str
    rung: str
    adjective: str
    table: int
    emotion: str
    confidence: float | None
    created_at: datetime
    platform: str = ""
    duration_s: float | None = None
    frames: int | None = None
    title: str = ""


def votes_read(source: str | Path | TextIO) -> tuple[str, str]:
    if isinstance(source, str):
        return "votes.csv", source.removeprefix("\ufeff")
    if not isinstance(source, Path):
        return getattr(source, "name", "votes.csv"), source.read().removeprefix("\ufeff")
    try:
        return source.name, source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadLines([f"{source.name}: not UTF-8: {error.reason} at byte {error.start}"]) from None


def votes_parse(name: str, text: str) -> tuple[list[Line], list[str]]:
    if unread := unreadable(name, text):
        raise BadLines(unread)
    reader = csv.DictReader(io.StringIO(text, newline=""))
    header = list(reader.fieldnames or [])
    missing = [column for column in REQUIRED if column not in header and column not in {"adjective", "emotion"}]
    if not {"adjective", "emotion"} & set(header):
        missing.append("emotion")
    wrong = [f"column {column} is missing" for column in missing]
    wrong += [f"column {column!r} is unknown" for column in header if column not in (*REQUIRED, *OPTIONAL)]
    if wrong or len(set(header)) < len(header):
        raise BadLines([f"{name}:1: {'; '.join(wrong) or 'a column comes twice'}"])
    lines, errors = [], []
    for row in reader:
        problems: list[str] = []
        if None in row or None in row.values():
            problems.append(f"{len(header)} columns expected")
        else:
            line = _line(reader.line_num, {key: value.strip() for key, value in row.items()}, problems)
            if line:
                lines.append(line)
        errors += [f"{name}:{reader.line_num}: {problem}" for problem in problems]
    if not lines and not errors:
        errors.append(f"{name}:2: no votes in the file")
    return lines, errors


def _line(number: int, row: dict[str, str], problems: list[str]) -> Line | None:
    problems += [f"{key} is empty" for key in ("video", "annotator") if not row[key]]
    if row["rung"] not in Rung.values:
        problems.append(f"rung {row['rung']!r} is not one of {', '.join(Rung.values)}")
    asked = _number(row.get("adjective_table", ""), "adjective_table", int, problems)
    table = taxonomy.TABLE_VERSION if asked is None else asked
    adjective, emotion = _feeling(row, table, problems)
    confidence = _number(row["confidence"], "confidence", float, problems)
    if confidence is not None and not 0 <= confidence <= 1:
        problems.append(f"confidence {row['confidence']} is outside 0..1")
    created_at = _moment(row["created_at"], problems)
    platform = row.get("platform", "").lower()
    if platform and platform not in Platform.values:
        problems.append(f"platform {platform!r} is not one of {', '.join(Platform.values)}")
    duration_s = _number(row.get("duration_s", ""), "duration_s", float, problems)
    frames = _number(row.get("frames", ""), "frames", int, problems)
    problems += [f"{key} is negative" for key, value in (("duration_s", duration_s), ("frames", frames)) if value is not None and value < 0]
    problems += [f"{key} is too large" for key, value in (("duration_s", duration_s), ("frames", frames)) if value and value > LARGEST]
    problems += [f"{key} is longer than {most} signs" for key, most in LONGEST.items() if len(row.get(key, "")) > most]
    if problems or created_at is None:
        return None
    return Line(
        number, row["video"], row["annotator"], row["rung"], adjective, table, emotion, confidence, created_at,
        platform, duration_s, frames, row.get("title", ""),
    )  # fmt: skip


def _feeling(row: dict[str, str], table: int, problems: list[str]) -> tuple[str, str]:
    """(adjective key, emotion); either may be given alone, and with both they must agree."""
    adjective, emotion = row.get("adjective", ""), row.get("emotion", "")
    if not adjective and not emotion:
        problems.append("neither adjective nor emotion is given")
        return "", ""
    try:
        said = taxonomy.parse_emotion(emotion) if emotion else ""
        taxonomy.table(table)  # also for an emotion alone: the vote keeps the number
        found = taxonomy.adjective(adjective, version=table) if adjective else None
    except ValueError as error:
        problems.append(str(error))
        return "", ""
    if found and said and found.emotion != said:
        problems.append(f"adjective {adjective!r} stands for {found.emotion}, but emotion says {said}")
    return (found.key, found.emotion) if found else ("", said)


def _number(text: str, name: str, kind: type, problems: list[str]):
    if not text:
        return None
    try:
        value = kind(text)
    except ValueError:
        problems.append(f"{name} {text!r} is not a number")
        return None
    if value != value or value in (float("inf"), float("-inf")):
        problems.append(f"{name} {text!r} is not a number")
        return None
    return value


def _moment(text: str, problems: list[str]) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        problems.append(f"created_at {text!r} is not ISO 8601, such as 2025-03-01T09:30:00+08:00")
        return None
    if moment.tzinfo is None:
        problems.append(f"created_at {text!r} has no time zone, such as +08:00")
        return None
    if not 1970 <= moment.year <= 2200:
        problems.append(f"created_at {text!r} is outside the years 1970 to 2200")
        return None
    return moment


def number_of(name: str) -> int | None:
    """The video number that a name such as 12 or 00000012.mp4 stands for; None for a platform's own id."""
    stem = name.removesuffix(".mp4")
    return int(stem) if stem.isascii() and stem.isdigit() and len(stem) <= (9 if name.endswith(".mp4") else 8) and int(stem) > 0 else None


def canonical(name: str) -> str:
    """One spelling per video: 12 and 00000012.mp4 are the same."""
    number = number_of(name)
    return name if number is None else f"{number:08d}.mp4"


def votes_export(file: TextIO) -> int:
    """Writes every vote that counts towards a label, with the columns that let an empty site take them in; returns how many."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*REQUIRED, *OPTIONAL])
    count = 0
    for vote in votes_for_export():
        count += 1
        video = vote.sample.video
        confidence = "" if vote.confidence is None else vote.confidence
        said = [vote.adjective, vote.emotion, confidence, vote.created_at.isoformat(), vote.adjective_table]
        known = [video.platform, "" if video.duration_s is None else video.duration_s, "" if video.frames is None else video.frames]
        writer.writerow([video.public_name, vote.person.user.username, vote.rung, *said, *known, video.title])
    return count


def votes_export_as(kind: str) -> str:
    """Every vote that counts as another product's export: label-studio or doccano."""
    buffer = io.StringIO()
    votes_export(buffer)
    return exchange.WRITERS[kind](csv.DictReader(io.StringIO(buffer.getvalue(), newline="")))


def votes_csv_of(kind: str, text: str) -> str:
    """Another product's export as the text of a votes.csv. Raises BadLines when it is not such an export."""
    try:
        rows = exchange.READERS[kind](text)
    except ValueError as error:
        raise BadLines([str(error)]) from None
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*exchange.COLUMNS, *exchange.EXTRA], restval="", lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
