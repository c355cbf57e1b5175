"""The dead-letter page's other half: keeps a row of every task that failed for good, and sends one again when asked.

A message that no worker understands (unknown name, wrong arguments) is kept as well.
"""

import json
import logging
from typing import Any

from celery.signals import task_failure, task_unknown
from django.db import Error, transaction
from django.utils import timezone

from config.models import FailedTask

log = logging.getLogger(__name__)
LONGEST_TRACEBACK = 20_000


def connect() -> None:
    task_failure.connect(_failed, weak=False, dispatch_uid="deadletter.failed")
    task_unknown.connect(_unknown, weak=False, dispatch_uid="deadletter.unknown")


def _failed(sender: Any, task_id: str, exception: BaseException, args: Any, kwargs: Any, einfo: Any = None, **other: Any) -> None:
    keep(task_id, sender.name, list(args or ()), dict(kwargs or {}), exception, str(getattr(einfo, "traceback", "") or ""))


def _unknown(name: str, id: str, message: Any, exc: BaseException, **other: Any) -> None:
    try:
        args, kwargs = json.loads(message.body)[:2]
    except (TypeError, ValueError, KeyError):  # an object in place of a list: 3.12 looks the slice up as a key
        args, kwargs = [], {}
    keep(id, name, args, kwargs, exc, "")


def keep(task_id: str, name: str, args: list[Any], kwargs: dict[str, Any], error: BaseException, traceback: str) -> None:
    """One row per task, the last error of it; says so in the log when the database cannot take it."""
    row = {
        "name": name[:150],
        "args": _plain(args),
        "kwargs": _plain(kwargs),
        "error": f"{type(error).__name__}: {error}".replace("\0", "")[:500],
        "traceback": traceback.replace("\0", "")[-LONGEST_TRACEBACK:],
        "failed_at": timezone.now(),
        "state": FailedTask.State.WAITING,
    }
    try:
        with transaction.atomic():
            FailedTask.objects.update_or_create(task_id=task_id, defaults=row)
    except Error:
        log.exception("the failure of %s %s is kept nowhere but here", name, task_id)


def _plain(value: Any) -> Any:
    """Fit for a JSON column; PostgreSQL takes no NUL."""
    return json.loads(json.dumps(value, default=repr).replace("\\u0000", ""))


def send_again(pk: int) -> bool:
    """Queues the task anew and says whether it did: two who press the button at once send it once."""
    from config.celery import app

    with transaction.atomic():
        failed = _settled(pk, FailedTask.State.SENT_AGAIN)
        if failed is not None:  # sent before the row says so: where the broker is away it stays waiting
            app.send_task(failed.name, args=failed.args, kwargs=failed.kwargs)
    return failed is not None


def put_aside(pk: int) -> bool:
    with transaction.atomic():
        return _settled(pk, FailedTask.State.PUT_ASIDE) is not None


def _settled(pk: int, state: str) -> FailedTask | None:
    # Lock the row: two may press a button at once.
    failed = FailedTask.objects.select_for_update().filter(pk=pk, state=FailedTask.State.WAITING).first()
    if failed is not None:
        failed.state = state
        failed.save(update_fields=["state"])
    return failed
