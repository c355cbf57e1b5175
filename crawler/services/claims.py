"""Who works on a row right now: one conditional update takes it, and a dead worker's claim is taken over."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from crawler.models import Video

LEASE = timedelta(minutes=10)  # so long a claim of a machine we cannot see is believed, after it was last renewed
RENEW_S = 60.0
MAX_DEATHS = 5  # of workers over one video or one list: the next one is spared
CLOCK_S = 2  # between the system's account of when a process began and ours


class Overtaken(Exception):
    """The video was decided about while a step was at work on it: taken down, or dropped for a better copy. What the step found is left."""


class TakenDown(Exception):
    """The same content was taken down under another id, for the reason that is the message: this post has to go in the same way."""


def name() -> str:
    """This worker: machine, process, moment of the claim, and a random part that tells threads apart."""
    return f"{socket.gethostname()}:{os.getpid()}:{int(time.time())}:{secrets.token_hex(4)}"


def is_alive(claim: str) -> bool:
    """Whether the worker behind a claim may still be at work: on this machine as long as its process lives, elsewhere for the lease."""
    host, pid, moment, _ = claim.rsplit(":", 3)
    if host != socket.gethostname():
        return time.time() - int(moment) <= LEASE.total_seconds()
    began = began_at(int(pid))
    return began is not None and began <= int(moment) + CLOCK_S  # else another process has got its number, as in a restarted container


def began_at(pid: int) -> float | None:
    """When the process of this machine began; 0 where the system does not tell, None when there is no such process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        up_s = time.clock_gettime(time.CLOCK_BOOTTIME)  # not /proc/stat's btime: some containers are told another
    except (OSError, AttributeError):
        return 0.0
    return time.time() - up_s + ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def claimed(row: Model, **unchanged: Any) -> Iterator[bool]:
    """Whether this worker holds the row while the block runs. unchanged: what must still be so for the claim to be taken.

    Work that may outlast the lease calls `renew` between its steps.
    """
    model, mine = type(row), name()
    known = model._default_manager.filter(pk=row.pk).values_list("claimed_by", flat=True).first()
    free = known == "" or (known is not None and not is_alive(known))
    # One conditional update: of two workers that saw the row free, one changes it.
    taken = free and bool(
        model._default_manager.filter(pk=row.pk, claimed_by=known, **unchanged).update(claimed_by=mine, **_touched(model))
    )
    if taken:
        row.claimed_by = mine  # type: ignore[attr-defined]  # every row that is claimed has it
    try:
        yield taken
    finally:
        if taken:
            model._default_manager.filter(pk=row.pk, claimed_by__endswith=mine.rpartition(":")[2]).update(claimed_by="")


def renew(row: Any) -> bool:
    """Whether the claim on this row is still ours; it counts from now again. Asks the database once a minute at most."""
    host, pid, moment, token = row.claimed_by.rsplit(":", 3)
    if time.time() - int(moment) < RENEW_S:
        return True
    fresh = f"{host}:{pid}:{int(time.time())}:{token}"
    kept = type(row)._default_manager.filter(pk=row.pk, claimed_by=row.claimed_by).update(claimed_by=fresh, **_touched(type(row)))
    row.claimed_by = fresh
    return bool(kept)


def _touched(model: type[Model]) -> dict[str, Any]:
    return {"touched_at": timezone.now()} if any(field.name == "touched_at" for field in model._meta.fields) else {}


@transaction.atomic
def save(video: Video, **also: Any) -> None:
    """Saves what a step found out. Raises Overtaken when the video was dropped meanwhile. also: fields of Model.save."""
    # Lock the video: the look and the save are one.
    if Video.objects.select_for_update().filter(pk=video.pk).values_list("state", flat=True).first() == Video.State.DROPPED:
        raise Overtaken(str(video))
    video.save(**also)
