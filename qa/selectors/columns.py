"""A query's rows as arrays, in one pass and without an object per row held: 84 thousand votes as 10^7.

PostgreSQL sends them in its binary form of COPY, whose rows of numbers have one length and need no parsing; other databases send rows.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import QuerySet
from numpy.typing import NDArray

CHUNK = 20_000
BUFFER_BYTES = 1 << 20
SENT_AS = {"i8": "int8", "i1": "int2", "f8": "float8"}
HEADER_BYTES = 19  # signature, flags, no extension
END = b"\xff\xff"


def columns_of(rows: QuerySet[Any, tuple[Any, ...]], dtype: np.dtype) -> dict[str, NDArray[Any]]:
    """One array per field of dtype (of the types in SENT_AS, in the query's order), in the database's order. No field may be null."""
    empty = np.empty(0, dtype=dtype)
    try:
        sql, params = rows.query.sql_with_params()
    except EmptyResultSet:
        chunks = [empty]
    else:
        read = _copied if connections[rows.db].vendor == "postgresql" else _fetched
        chunks = [empty, *read(connections[rows.db], sql, params, dtype)]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in dtype.names or ()}


def _fetched(connection: Any, sql: str, params: tuple[Any, ...], dtype: np.dtype) -> Iterator[NDArray[Any]]:
    """Django's own iterator costs several times as much per row."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, params)
        while chunk := cursor.fetchmany(CHUNK):
            yield np.array(chunk, dtype=dtype)


def _copied(connection: Any, sql: str, params: tuple[Any, ...], dtype: np.dtype) -> list[NDArray[Any]]:
    names = dtype.names or ()
    columns = ", ".join(f"{name}::{SENT_AS[dtype[name].str[1:]]}" for name in names)
    with connection.cursor() as cursor:
        text = cursor.mogrify(sql, params).decode()
        taken = _Taken(dtype)
        copy = f"COPY (SELECT {columns} FROM ({text}) AS asked({', '.join(names)})) TO STDOUT (FORMAT binary)"  # noqa: S608 - a query of the ORM's
        with io.BufferedWriter(taken, BUFFER_BYTES) as file:
            cursor.copy_expert(copy, file)
    return taken.chunks


class _Taken(io.RawIOBase):
    """Takes COPY's bytes and keeps their rows; each row is the number of its fields, then size and value of each, big-endian."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype, self.chunks, self.rest, self.skip = dtype, [], b"", HEADER_BYTES  # type: ignore[var-annotated]  # filled below
        wire = {name: ">i2" if dtype[name].itemsize == 1 else f">{dtype[name].str[1:]}" for name in dtype.names or ()}
        sized = [field for name, kind in wire.items() for field in ((f"{name} size", ">i4"), (name, kind))]
        self.row = np.dtype([("fields", ">i2"), *sized])

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        given = self.rest + bytes(data)
        given, self.skip = given[self.skip :], max(0, self.skip - len(given))
        whole = len(given) // self.row.itemsize
        self.rest = given[whole * self.row.itemsize :]
        rows = np.frombuffer(given, dtype=self.row, count=whole)
        kept = np.empty(whole, dtype=self.dtype)
        for name in self.dtype.names or ():
            if (rows[f"{name} size"] != self.row[name].itemsize).any():
                raise ValueError(f"{name} is null, or no number of {self.row[name].itemsize} bytes")
            kept[name] = rows[name]
        self.chunks.append(kept)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            if self.rest not in {b"", END}:
                raise ValueError(f"the database's answer ended within a row ({len(self.rest)} bytes are left)")
