"""Tasks that never end well, for a worker started with --include tests.faults.poison."""

import os
import signal

from celery import shared_task

from config.models import FailedTask


@shared_task
def stumbles(number: int) -> None:
    raise ZeroDivisionError(f"{number} by nothing")


@shared_task
def stumbles_once(number: int) -> None:
    """As after a repair: what failed before goes through."""
    if not FailedTask.objects.filter(name=stumbles_once.name, args=[number]).exists():
        raise ZeroDivisionError


@shared_task(max_retries=2, default_retry_delay=0)
def kills_its_worker() -> None:
    """As a clip whose decoding eats all memory would."""
    os.kill(os.getpid(), signal.SIGKILL)
