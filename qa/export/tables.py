"""Numbers as people and programs want them: aligned text, CSV, JSON, a page of HTML without scripts."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from qa.export.formats import cell

FORMATS = ("table", "json", "csv", "html")


@dataclass(frozen=True)
class Table:
    """A titled table; cells are plain values, None where there is nothing to say."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


def render(tables: Sequence[Table], numbers: Mapping[str, Any] | Sequence[Any], *, format: str, title: str) -> str:
    """The tables as text, CSV or HTML; for JSON the numbers they were made from."""
    if format == "json":
        return json.dumps(numbers, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    if format == "csv":
        return "".join(f"# {table.title}\n{as_csv(table)}\n" for table in tables)
    if format == "html":
        return _as_page(tables, title)
    if format == "table":
        return "\n".join(_as_text(table) for table in tables)
    raise ValueError(f"unknown format {format!r}: choose from {', '.join(FORMATS)}")


def as_csv(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([cell(value) for value in row] for row in table.rows)
    return text.getvalue()


def shown(value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 10 else f"{value:.3f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def _as_text(table: Table) -> str:
    rows = [list(table.columns), *([shown(value) for value in row] for row in table.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.columns))]
    right = [any(isinstance(row[i], (int, float)) for row in table.rows) for i in range(len(table.columns))]
    lines = [
        "  ".join(
            value.rjust(width) if is_right else value.ljust(width) for value, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]
    return f"{table.title}\n" + "\n".join([lines[0], "─" * sum([*widths, 2 * (len(widths) - 1)]), *lines[1:]]) + "\n"


def _as_page(tables: Sequence[Table], title: str) -> str:
    parts = []
    for table in tables:
        head = "".join(f"<th scope=col>{escape(name)}</th>" for name in table.columns)
        body = "".join("<tr>" + "".join(f"<td>{escape(shown(value))}</td>" for value in row) + "</tr>\n" for row in table.rows)
        parts.append(
            f"<table>\n<caption>{escape(table.title)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"
        )
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n<h1>{escape(title)}</h1>\n'
        + "\n".join(parts)
        + "\n</html>\n"
    )
