"""Who works on a row right now: one conditional update takes it, and a dead worker's claim is taken over."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db.models import Model
from django.utils import timezone

LEASE = timedelta(minutes=10)  # longer than any single step; a claim of a machine we cannot see is believed so long


def name() -> str:
    """This worker: machine, process, moment of the claim, and a random part that tells threads apart."""
    return f"{socket.gethostname()}:{os.getpid()}:{int(time.time())}:{secrets.token_hex(4)}"


def is_alive(claim: str) -> bool:
    """Whether the worker behind a claim may still be at work."""
    host, pid, moment, _ = claim.rsplit(":", 3)
    if time.time() - int(moment) > LEASE.total_seconds():
        return False
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def claimed(row: Model, **unchanged: Any) -> Iterator[bool]:
    """Whether this worker holds the row while the block runs. unchanged: what must still be so for the claim to be taken."""
    model, mine = type(row), name()
    known = model._default_manager.filter(pk=row.pk).values_list("claimed_by", flat=True).first()
    free = known == "" or (known is not None and not is_alive(known))
    # One conditional update: of two workers that saw the row free, one changes it.
    taken = free and bool(
        model._default_manager.filter(pk=row.pk, claimed_by=known, **unchanged).update(claimed_by=mine, **_touched(model))
    )
    try:
        yield taken
    finally:
        if taken:
            model._default_manager.filter(pk=row.pk, claimed_by=mine).update(claimed_by="")


def _touched(model: type[Model]) -> dict[str, Any]:
    return {"touched_at": timezone.now()} if any(field.name == "touched_at" for field in model._meta.fields) else {}
