"""Everything that changes a training run or a schedule."""

from training.services.execute import run_execute, run_finish
from training.services.runs import release_find, run_cancel, run_retry, run_start, runs_resume_stale
from training.services.schedules import schedule_delete, schedule_run, schedule_save

__all__ = [
    "release_find",
    "run_cancel",
    "run_execute",
    "run_finish",
    "run_retry",
    "run_start",
    "runs_resume_stale",
    "schedule_delete",
    "schedule_run",
    "schedule_save",
]
