"""What the commands share: files written or refused in one line, seeds that a row can hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management.base import CommandError

from qa.rules.variants import MOST_SEED


def seed_check(seed: int) -> None:
    """Raises CommandError for a seed that a release's or a study's row could not keep."""
    if not 0 <= seed <= MOST_SEED:
        raise CommandError(f"--seed must be 0 to {MOST_SEED:,}, got {seed:,}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises CommandError where the file system refuses what the block writes."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"--out {path}: {error.strerror or error}; choose a place that can be written") from error
