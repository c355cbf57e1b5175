"""The database as one file and back, in three ways: SQLite's backup API, pg_dump, and plain JSON lines that fit any database.

Each way is one consistent moment, and its restoring is one transaction: it happens wholly or not at all, and not at all where the
rows that came back are not as many as were written.
"""

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Any, ClassVar

from django.apps import apps
from django.core import serializers
from django.core.management import CommandError, call_command
from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error, connection, transaction

from config import append_only, audit

SKIPPED = ("sessions.session",)  # nobody is signed in again by a restored backup


class DumpError(RuntimeError):
    """The database could not be written out or read back; nothing was changed."""


def tables() -> list[str]:
    """Every table of the site's models, those of many-to-many fields too."""
    models = (model for model in apps.get_models(include_auto_created=True) if model._meta.managed and not model._meta.proxy)
    return sorted({model._meta.db_table for model in models if model._meta.label_lower not in SKIPPED})


def row_counts() -> dict[str, int]:
    """Rows by table, of those tables that exist."""
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
        return {table: _count(cursor, table) for table in tables() if table in there}


def _count(cursor: Any, table: str) -> int:
    cursor.execute(f"SELECT COUNT(*) FROM {connection.ops.quote_name(table)}")  # noqa: S608 - a table's own name
    return int(cursor.fetchone()[0])


def differing(expected: dict[str, int], found: dict[str, int]) -> str:
    """The tables that hold another number of rows than they should, as a sentence; "" where all are as expected."""
    wrong = [f"{table} has {found.get(table, 0)} rows, not {rows}" for table, rows in expected.items() if found.get(table, 0) != rows]
    return "; ".join([*wrong[:3], *([f"and {len(wrong) - 3} more tables"] if len(wrong) > 3 else [])])


def holds_data() -> bool:
    """Whether someone has worked with this database: it has a user."""
    return row_counts().get("auth_user", 0) > 0


@dataclass(frozen=True)
class SqliteDump:
    kind: ClassVar[str] = "sqlite"
    name: ClassVar[str] = "database.sqlite3"

    def write(self, target: Path) -> dict[str, int]:
        """Copies the database as it is at one moment; gives back the copy's row counts."""
        connection.ensure_connection()
        try:
            with closing(sqlite3.connect(target)) as copy:
                connection.connection.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")
                copy.execute("PRAGMA secure_delete=ON")
                copy.execute("DELETE FROM django_session")
                copy.commit()
                return self._checked(copy)
        except sqlite3.Error as error:  # a full disk is a disk I/O error to SQLite
            raise DumpError(f"the database cannot be copied: {error}") from error

    def read(self, source: Path, rows: dict[str, int]) -> None:
        try:
            with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as copy:
                if wrong := differing(rows, self._checked(copy)):
                    raise DumpError(f"the backup does not hold what it says: {wrong}")
                connection.ensure_connection()
                copy.backup(connection.connection)
        except sqlite3.Error as error:
            raise DumpError(f"the database cannot be replaced: {error}") from error
        finally:
            connection.close()

    @staticmethod
    def _checked(copy: sqlite3.Connection) -> dict[str, int]:
        try:
            answer = copy.execute("PRAGMA integrity_check").fetchone()[0]
            broken = copy.execute("PRAGMA foreign_key_check").fetchone()
            there = {row[0] for row in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            counts = {
                table: copy.execute(f'SELECT COUNT(*) FROM "{table}"').fetchone()[0]  # noqa: S608 - a table's own name
                for table in tables()
                if table in there
            }
        except sqlite3.DatabaseError as error:
            raise DumpError(f"the copy of the database cannot be read: {error}") from error
        if answer != "ok" or broken:
            raise DumpError(f"the copy of the database is damaged: {answer if answer != 'ok' else broken}")
        return counts


@dataclass(frozen=True)
class PostgresDump:
    kind: ClassVar[str] = "postgresql"
    name: ClassVar[str] = "database.pgdump"

    def write(self, target: Path) -> dict[str, int]:
        """pg_dump and the row counts see the same snapshot."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")  # this session only waits while pg_dump writes
            counts = row_counts()
            cursor.execute("SELECT pg_export_snapshot()")
            snapshot = cursor.fetchone()[0]
            options = ["--format=custom", "--no-owner", "--no-privileges", "--exclude-table-data=django_session"]
            self._run("pg_dump", *options, f"--snapshot={snapshot}", f"--file={target}")
        return counts

    def read(self, source: Path, rows: dict[str, int]) -> None:
        """Tables that are there now and that the backup does not know, of a later version, go with the rest."""
        script, check = source.with_suffix(".sql"), source.with_suffix(".check.sql")
        _run("pg_restore", "--clean", "--if-exists", "--no-owner", "--no-privileges", f"--file={script}", str(source))
        with connection.cursor() as cursor:
            there = ", ".join(map(connection.ops.quote_name, connection.introspection.table_names(cursor)))
            cursor.execute("SELECT current_schema()")
            schema = connection.ops.quote_name(cursor.fetchone()[0])
        connection.close()
        check.write_text("".join(self._check(schema, table, number) for table, number in rows.items()), encoding="utf-8")
        empty = f"DROP TABLE IF EXISTS {there} CASCADE" if there else "SELECT"
        options = ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
        self._run("psql", *options, f"--command={empty}", f"--file={script}", f"--file={check}")

    @staticmethod
    def _check(schema: str, table: str, rows: int) -> str:
        """Ends the transaction where the table holds another number of rows. Its name comes from a file: it is plain, or refused."""
        if not re.fullmatch(r"[a-z0-9_]+", table):
            raise DumpError(f"{table!r} is no table of this project")
        problem = f"the backup does not hold what it says: {table} has % rows, not {int(rows)}"
        count = f'(SELECT count(*) FROM {schema}."{table}")'  # noqa: S608 - letters, digits and underscores
        return f"DO $$ BEGIN IF {count} <> {int(rows)} THEN RAISE EXCEPTION '{problem}', {count}; END IF; END $$;\n"

    @staticmethod
    def _run(program: str, *options: str) -> None:
        """Where the database is, and how the line to it is sealed, goes in by the environment: a process list shows it to nobody."""
        made = connection.settings_dict
        address = {"HOST": made["HOST"], "PORT": made["PORT"], "USER": made["USER"], "PASSWORD": made["PASSWORD"], "DATABASE": made["NAME"]}
        sealed = {name.upper(): made["OPTIONS"].get(name) for name in ("sslmode", "sslrootcert", "sslcert", "sslkey")}
        _run(program, *options, **{f"PG{name}": str(value) for name, value in {**address, **sealed}.items() if value})


def _run(program: str, *options: str, **environment: str) -> None:
    done = subprocess.run([program, *options], env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DumpError(f"{program}: {done.stderr.strip()[-1000:] or f'status {done.returncode}'}")


class LosslessEncoder(DjangoJSONEncoder):
    """Times to the microsecond; Django's own encoder cuts them to milliseconds."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime | time) else super().default(o)


@dataclass(frozen=True)
class PortableDump:
    """Slower, and fits any database: the way from SQLite to PostgreSQL."""

    kind: ClassVar[str] = "portable"
    name: ClassVar[str] = "database.jsonl"

    def write(self, target: Path) -> dict[str, int]:
        with _one_moment():
            models = serializers.sort_dependencies([(app, None) for app in apps.get_app_configs() if app.models_module])
            with target.open("w", encoding="utf-8") as file:
                for model in models:
                    if model._meta.label_lower not in SKIPPED and model._meta.managed and not model._meta.proxy:
                        rows = model._base_manager.order_by("pk").iterator(chunk_size=1000)
                        serializers.serialize("jsonl", rows, stream=file, cls=LosslessEncoder)
            return row_counts()

    def read(self, source: Path, rows: dict[str, int]) -> None:
        try:
            with transaction.atomic(), append_only.unlocked(), audit.replay():
                call_command("flush", interactive=False, inhibit_post_migrate=True, verbosity=0)
                call_command("loaddata", str(source), verbosity=0)
                if wrong := differing(rows, row_counts()):
                    raise DumpError(f"the backup does not hold what it says: {wrong}")
        except (serializers.base.DeserializationError, CommandError, Error) as error:
            raise DumpError(f"this version cannot read its rows: {' '.join(str(error).split())[:500]}") from error


@contextmanager
def _one_moment() -> Iterator[None]:
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


Dump = SqliteDump | PostgresDump | PortableDump


def dump_for(*, portable: bool = False) -> Dump:
    """The quickest way that this database and this machine offer."""
    if portable:
        return PortableDump()
    if connection.vendor == "sqlite":
        return SqliteDump()
    if connection.vendor == "postgresql" and all(map(shutil.which, ("pg_dump", "pg_restore", "psql"))):
        return PostgresDump()
    return PortableDump()


def dump_of(kind: str) -> Dump:
    """How to read a backup of this kind. Raises DumpError if this database cannot take it."""
    known: dict[str, Dump] = {dump.kind: dump for dump in (SqliteDump(), PostgresDump(), PortableDump())}
    if kind not in known:
        raise DumpError(f"a backup of kind {kind!r} is unknown here")
    if kind not in (connection.vendor, PortableDump.kind):
        raise DumpError(f"a {kind} backup does not fit a {connection.vendor} database: make it with --portable")
    return known[kind]
