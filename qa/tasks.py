"""Background work of quality assurance: each task calls one service and can run twice."""

from celery import shared_task
from django.db import OperationalError

from qa import services


@shared_task(autoretry_for=(OperationalError,), retry_backoff=True, max_retries=3)
def consistency_report() -> int:
    """Measures everything and keeps the numbers; by schedule and on demand."""
    return services.report_make().pk


@shared_task(autoretry_for=(OperationalError,), retry_backoff=True, max_retries=3)
def second_opinions() -> int:
    """Fits the three models of annotators to all votes; by schedule and on demand, apart from the report because it takes longer."""
    return services.opinions_make().pk


@shared_task(autoretry_for=(OperationalError,), retry_backoff=True, max_retries=3)
def dataset_statistics() -> bool:
    """Works out the dataset page's numbers where there are too many videos for the page itself; by schedule."""
    return services.statistics_make() is not None


@shared_task(autoretry_for=(OperationalError,), retry_backoff=True, max_retries=3)
def verify_release(release_id: int) -> int:
    """Compares a release's files with its manifest; answers how many things are wrong."""
    return len(services.release_check(release_id))


@shared_task(soft_time_limit=6 * 60 * 60, time_limit=6 * 60 * 60 + 600)
def make_release(job_id: int) -> None:
    """Makes the release that a job asks for; a job that is over is left alone."""
    services.release_job_run(job_id)


@shared_task(soft_time_limit=600, time_limit=660)
def simulate_protocol(simulation_id: int) -> None:
    """Tries the labelling protocol on simulated annotators; a job that is over is left alone."""
    services.simulation_run(simulation_id)


@shared_task(autoretry_for=(OperationalError,), retry_backoff=True, max_retries=3)
def resume_lost_jobs() -> int:
    """Sends again the releases and simulations that nobody works on."""
    releases, simulations = services.jobs_lost()
    for job_id in releases:
        make_release.delay(job_id)
    for simulation_id in simulations:
        simulate_protocol.delay(simulation_id)
    return len(releases) + len(simulations)
