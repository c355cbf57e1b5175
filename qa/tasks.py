"""Background work of quality assurance: each task calls one service and can run twice."""

from celery import shared_task
from django.db import OperationalError

from qa import services


@shared_task(autoretry_for=(OperationalError,), retry_backoff=True, max_retries=3)
def consistency_report() -> int:
    """Measures everything and keeps the numbers; by schedule and on demand."""
    return services.report_make().pk


@shared_task(autoretry_for=(OperationalError,), retry_backoff=True, max_retries=3)
def verify_release(release_id: int) -> int:
    """Compares a release's files with its manifest; answers how many things are wrong."""
    return len(services.release_check(release_id))
