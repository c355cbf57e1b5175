"""What changes in quality assurance: cross-checks, swaps of people, releases."""

from qa.services.adjustment import Adjustment, member_replace, swap_apply, swap_propose, swap_reject
from qa.services.crosscheck import Drawn, cross_check_draw, cross_check_score
from qa.services.imports import Imported, cross_check_import
from qa.services.jobs import jobs_lost
from qa.services.mos import dataset_import, mos_rate, mos_sample
from qa.services.release_jobs import release_job_run, releases_ask
from qa.services.releases import Difference, Source, release_choose, release_make, release_source, release_verify, releases_diff
from qa.services.reports import opinions_make, release_check, report_make, statistics_make
from qa.services.simulations import FEWEST_SAMPLES, MOST_SAMPLES, simulation_ask, simulation_numbers, simulation_run

__all__ = [
    "FEWEST_SAMPLES",
    "MOST_SAMPLES",
    "Adjustment",
    "Difference",
    "Drawn",
    "Imported",
    "Source",
    "cross_check_draw",
    "cross_check_import",
    "cross_check_score",
    "dataset_import",
    "jobs_lost",
    "member_replace",
    "mos_rate",
    "mos_sample",
    "opinions_make",
    "release_check",
    "release_choose",
    "release_job_run",
    "release_make",
    "release_source",
    "release_verify",
    "releases_ask",
    "releases_diff",
    "report_make",
    "simulation_ask",
    "simulation_numbers",
    "simulation_run",
    "statistics_make",
    "swap_apply",
    "swap_propose",
    "swap_reject",
]
