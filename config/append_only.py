"""The database's own lock on the audit log: a row that was written is neither changed, replaced nor deleted, whoever asks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

TABLE = "config_event"
REFUSAL = "the audit log is append-only"
LOCK = {
    "sqlite": [
        f"CREATE TRIGGER {TABLE}_no_update BEFORE UPDATE ON {TABLE} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
        f"CREATE TRIGGER {TABLE}_no_delete BEFORE DELETE ON {TABLE} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
        # INSERT OR REPLACE deletes without asking the trigger above.
        f"CREATE TRIGGER {TABLE}_no_replace BEFORE INSERT ON {TABLE} WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",  # noqa: S608 - a table's own name
    ],
    "postgresql": [
        f"CREATE OR REPLACE FUNCTION {TABLE}_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$",
        f"CREATE TRIGGER {TABLE}_locked BEFORE UPDATE OR DELETE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION {TABLE}_refuse()",
        f"CREATE TRIGGER {TABLE}_whole BEFORE TRUNCATE ON {TABLE} FOR EACH STATEMENT EXECUTE FUNCTION {TABLE}_refuse()",
    ],
}
UNLOCK = {
    "sqlite": [f"DROP TRIGGER IF EXISTS {TABLE}_{name}" for name in ("no_update", "no_delete", "no_replace")],
    "postgresql": [f"DROP TRIGGER IF EXISTS {TABLE}_{name} ON {TABLE}" for name in ("locked", "whole")]
    + [f"DROP FUNCTION IF EXISTS {TABLE}_refuse()"],
}


def lock(using: Any = connection) -> None:
    _run(using, LOCK)


def unlock(using: Any = connection) -> None:
    _run(using, UNLOCK)


def is_locked() -> bool:
    triggers = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE %s",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE tgname LIKE %s",
    }
    with connection.cursor() as cursor:
        cursor.execute(triggers[connection.vendor], [f"{TABLE}\\_%"] if connection.vendor == "postgresql" else [f"{TABLE}_%"])
        return cursor.fetchone() is not None


@contextmanager
def unlocked() -> Iterator[None]:
    """For replacing the whole database by a backup, for RETAIN_AUDIT_DAYS, and for nothing else; in a transaction, so that no other sees it."""
    was_locked = is_locked()
    unlock()
    yield
    if was_locked:
        lock()


def _run(using: Any, statements: dict[str, list[str]]) -> None:
    with using.cursor() as cursor:
        for statement in statements.get(using.vendor, []):
            cursor.execute(statement)
