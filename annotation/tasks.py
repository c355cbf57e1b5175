"""Work by the clock; every task can run twice."""

from __future__ import annotations

import numpy as np
from celery import shared_task
from django.db import OperationalError

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
