"""Work by the clock; every task can run twice."""

from __future__ import annotations

import numpy as np
from celery import shared_task
from django.db import OperationalError
from django.utils import timezone

from annotation import services


@shared_task(autoretry_for=(OperationalError,), retry_backoff=True, max_retries=3)
def distribute() -> int:
    """Hands out new videos, fills seats that nobody could take before, and mixes in gold items and repeats."""
    services.samples_close_gone()
    made = services.distribute()
    services.samples_repair()
    services.checks_mix_in(rng=np.random.default_rng())
    return made


@shared_task(autoretry_for=(OperationalError,), retry_backoff=True, max_retries=3)
def expire_leases() -> int:
    return services.leases_expire()


@shared_task(soft_time_limit=60, time_limit=90)
def deliver(delivery_id: int) -> bool:
    """Sends one announcement; what fails is tried again by the sweep below, later and later."""
    return services.delivery_send(delivery_id, now=timezone.now())


@shared_task(autoretry_for=(OperationalError,), retry_backoff=True, max_retries=3)
def deliver_due() -> int:
    due = services.deliveries_due(now=timezone.now())
    for delivery_id in due:
        deliver.delay(delivery_id)
    return len(due)
