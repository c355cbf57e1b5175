"""What Dawid–Skene, GLAD and MACE say of every person and every sample, as CSV and parquet; the vote stays the label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qa.export.tables import Table, as_csv


def write_opinions(folder: Path, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Path]:
    """<name>.csv and <name>.parquet for each table of rows with the same keys; each file whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, rows in tables.items():
        columns = tuple(rows[0]) if rows else ()
        for suffix in (".csv", ".parquet"):
            path = folder / f"{name}{suffix}"
            part = path.with_name(f".{path.name}.part")
            if suffix == ".csv":
                part.write_text(as_csv(Table(name, columns, [tuple(row.values()) for row in rows])), encoding="utf-8")
            else:
                pq.write_table(pa.Table.from_pylist(list(rows)), part)
            part.replace(path)
            written.append(path)
    return written
