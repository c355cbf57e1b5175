"""Background work of the site itself; it can run twice."""

from celery import shared_task
from django.db import OperationalError
from django.utils import timezone

from config import retention
from crawler.storage import Away

MOST_S = 15 * 60


@shared_task(
    autoretry_for=(OperationalError, Away), retry_backoff=True, max_retries=3, soft_time_limit=2 * MOST_S, time_limit=2 * MOST_S + 60
)
def retention_sweep() -> dict[str, int]:
    """Removes what the RETAIN_*_DAYS settings no longer keep; answers how much of each kind."""
    return {swept.kind.name: swept.removed for swept in retention.sweep(now=timezone.now(), most_s=MOST_S)}
