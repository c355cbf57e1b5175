"""The only doors to a run or a schedule that can be changed or read from the inside: absent and not-yours give the same answer."""

from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.http import Http404

from training.models import Run, Schedule


def may_control(user: AbstractUser | AnonymousUser, run: Run) -> bool:
    """Whether this person may cancel, retry and read the log of the run: who asked for it, or an admin."""
    return user.is_active and (run.requested_by_id == user.pk or user.has_perm("training.control_any_run"))


def run_for(user: AbstractUser | AnonymousUser, pk: int) -> Run:
    """The run, if this person may control it. Raises Http404 otherwise."""
    run = Run.objects.select_related("release", "requested_by").filter(pk=pk).first()
    if run is None or not may_control(user, run):
        raise Http404("No such run.")
    return run


def may_change(user: AbstractUser | AnonymousUser, schedule: Schedule) -> bool:
    """Whether this person may change or delete the schedule: who made it, or an admin."""
    return user.is_active and (schedule.created_by_id == user.pk or user.has_perm("training.control_any_run"))


def schedule_for(user: AbstractUser | AnonymousUser, pk: int) -> Schedule:
    """The schedule, if this person may change it. Raises Http404 otherwise."""
    schedule = Schedule.objects.filter(pk=pk).first()
    if schedule is None or not may_change(user, schedule):
        raise Http404("No such schedule.")
    return schedule
