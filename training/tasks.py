"""Training by the queue `gpu`, and the sweeps that keep it honest."""

from celery import shared_task
from django.db import OperationalError

from crawler.services import Away
from training import services
from training.launch import FolderBusy, NoFreeDevice

WEEK_S = 8 * 24 * 3600  # longer than any run's own time limit, which ends it with a checkpoint
LONG = {"time_limit": WEEK_S, "soft_time_limit": WEEK_S - 600}  # both: the soft one of other tasks is less than an hour
ONCE_FREE = {"default_retry_delay": 30, "max_retries": None, **LONG}


@shared_task(autoretry_for=(NoFreeDevice, FolderBusy), **ONCE_FREE)
def start_run(run_id: int) -> None:
    services.run_execute(run_id)


@shared_task(autoretry_for=(NoFreeDevice, FolderBusy, Away), **ONCE_FREE)
def offer_prelabels(run_id: int) -> None:
    services.prelabels_offer(run_id)


@shared_task(autoretry_for=(NoFreeDevice, FolderBusy, Away), **ONCE_FREE)
def write_windows(run_id: int) -> None:
    services.windows_write(run_id)


@shared_task(**LONG)
def prepare_releases() -> None:
    services.releases_prepare()


@shared_task(autoretry_for=(OperationalError,), retry_backoff=True, max_retries=3)
def resume_stale() -> None:
    services.runs_resume_stale()
    services.requests_resend()


@shared_task(autoretry_for=(OperationalError,), retry_backoff=True, max_retries=3)
def run_scheduled(schedule_id: int) -> None:
    services.schedule_run(schedule_id)
