"""What a finished run is asked for: each request is a column, so that one whose message was lost is sent again."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from celery import signature
from django.db import transaction
from django.utils import timezone

from crawler.services import Away
from training.launch import FolderBusy, NoFreeDevice
from training.models import Run
from training.services.runs import RESEND_AFTER, BrokerError

log = logging.getLogger(__name__)
PRELABELS, WINDOWS = "prelabels_asked_at", "windows_asked_at"
TASKS = {PRELABELS: "training.tasks.offer_prelabels", WINDOWS: "training.tasks.write_windows"}


def request_send(run: Run, request: str) -> None:
    """Notes the request and queues its task once the transaction commits. When the broker is away the sweep sends it later."""
    Run.objects.filter(pk=run.pk).update(**{request: timezone.now()})

    def send() -> None:
        try:
            signature(TASKS[request], args=(run.pk,)).apply_async()
        except BrokerError as error:
            log.warning("%s of run %s waits for the broker: %s", request, run.pk, error)

    transaction.on_commit(send)


@contextmanager
def answering(run_id: int, request: str) -> Iterator[None]:
    """The request is settled when this ends, well or badly, unless it only waits for a place or for the store of the clips."""
    try:
        yield
    except (NoFreeDevice, FolderBusy, Away):
        raise
    except Exception:
        Run.objects.filter(pk=run_id).update(**{request: None})
        raise
    Run.objects.filter(pk=run_id).update(**{request: None})


def requests_resend(*, now: datetime | None = None) -> int:
    """Sends again what was asked for so long ago that its message may be lost; returns how many. Twice does no harm: one execution finds the folder taken, or nothing left."""
    before, sent = (now or timezone.now()) - RESEND_AFTER, 0
    for request in TASKS:
        for run in Run.objects.filter(**{f"{request}__lt": before}):
            with transaction.atomic():
                request_send(run, request)
            sent += 1
    return sent
