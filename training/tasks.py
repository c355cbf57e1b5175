"""Training by the queue `gpu`, and the sweeps that keep it honest."""

from celery import shared_task

from crawler.services import Away
from training import services
from training.launch import FolderBusy, NoFreeDevice

WEEK_S = 8 * 24 * 3600  # longer than any run's own time limit, which ends it with a checkpoint


@shared_task(
    autoretry_for=(NoFreeDevice, FolderBusy), default_retry_delay=30, max_retries=None, time_limit=WEEK_S, soft_time_limit=WEEK_S - 600
)
def start_run(run_id: int) -> None:
    services.run_execute(run_id)


@shared_task(autoretry_for=(NoFreeDevice, FolderBusy, Away), default_retry_delay=30, max_retries=None, time_limit=WEEK_S)
def offer_prelabels(run_id: int) -> None:
    services.prelabels_offer(run_id)


@shared_task(autoretry_for=(NoFreeDevice, FolderBusy, Away), default_retry_delay=30, max_retries=None, time_limit=WEEK_S)
def write_windows(run_id: int) -> None:
    services.windows_write(run_id)


@shared_task(time_limit=WEEK_S)
def prepare_releases() -> None:
    services.releases_prepare()


@shared_task
def resume_stale() -> None:
    services.runs_resume_stale()


@shared_task
def run_scheduled(schedule_id: int) -> None:
    services.schedule_run(schedule_id)
