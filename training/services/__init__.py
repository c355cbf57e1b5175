"""Everything that changes a training run or a schedule."""

from training.services.asked import requests_resend
from training.services.execute import run_execute, run_finish
from training.services.prelabels import prelabels_ask, prelabels_offer
from training.services.runs import release_find, run_cancel, run_retry, run_start, runs_resume_stale
from training.services.schedules import schedule_delete, schedule_run, schedule_save
from training.services.stores import is_prepared, releases_prepare
from training.services.windows import windows_ask, windows_write

__all__ = [
    "is_prepared",
    "prelabels_ask",
    "prelabels_offer",
    "release_find",
    "releases_prepare",
    "requests_resend",
    "run_cancel",
    "run_execute",
    "run_finish",
    "run_retry",
    "run_start",
    "runs_resume_stale",
    "schedule_delete",
    "schedule_run",
    "schedule_save",
    "windows_ask",
    "windows_write",
]
