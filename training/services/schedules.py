"""Runs by the calendar: each schedule is a django-celery-beat task that asks whether there is a new release."""

import json
from typing import Any

from celery.schedules import ParseException, crontab
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from qa.models import Release
from training.access import may_change
from training.models import Run, Schedule
from training.selectors import release_newest
from training.services.runs import recipe_check, run_start

TASK = "training.tasks.run_scheduled"


@transaction.atomic
def schedule_save(
    *, name: str, recipe: str, cron: str, variant: str = "all", seed: int = 1, overrides: dict[str, Any] | None = None, user: Any = None
) -> Schedule:
    """The schedule of this name, made or changed, with its entry in beat's table.

    Raises ValidationError for a bad field, or for the name of someone else's schedule.
    """
    recipe_check(recipe, seed, overrides or {})
    named = Schedule.objects.filter(name=name).first()
    if named and user is not None and not may_change(user, named):
        raise ValidationError(f"Schedule {name} is someone else's: choose another name.", code="others")
    crontab_row = _crontab(cron)
    values = {"recipe": recipe, "cron": cron, "variant": variant, "seed": seed, "overrides": overrides or {}}
    schedule, created = Schedule.objects.update_or_create(name=name, defaults=values, create_defaults={**values, "created_by": user})
    schedule.full_clean(exclude=["created_by"])
    task, _ = PeriodicTask.objects.update_or_create(
        name=f"train: {name}", defaults={"task": TASK, "crontab": crontab_row, "args": json.dumps([schedule.pk]), "enabled": True}
    )
    if created or schedule.periodic_task_id != task.pk:
        schedule.periodic_task = task
        schedule.save(update_fields=["periodic_task"])
    return schedule


def _crontab(text: str) -> CrontabSchedule:
    """The row of beat's table for five cron fields. Raises ValidationError if they are not."""
    names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    parts = text.split()
    if len(parts) != len(names):
        raise ValidationError(f"{text!r} must have five parts: minute hour day-of-month month day-of-week.", code="bad_cron")
    values = dict(zip(names, parts, strict=True))
    try:
        crontab(**values)
    except (ParseException, ValueError) as error:
        raise ValidationError(f"{text!r} is no time table: {error}.", code="bad_cron") from error
    row, _ = CrontabSchedule.objects.get_or_create(timezone=settings.TIME_ZONE, **values)
    return row


@transaction.atomic
def schedule_delete(schedule: Schedule) -> None:
    """Takes the schedule and its entry in beat's table away; its runs stay."""
    if schedule.periodic_task:
        schedule.periodic_task.delete()
    schedule.delete()


def schedule_run(schedule_id: int) -> Run | None:
    """The run on the newest release of the schedule's variant, or None when it is no newer than the last one or there is none.

    Locks the schedule: beat may deliver twice.
    """
    with transaction.atomic():
        schedule = Schedule.objects.select_for_update().filter(pk=schedule_id).first()
        release = release_newest(schedule.variant) if schedule else None
        if schedule is None or release is None or not _is_newer(release, schedule.last_release):
            return None
        run = run_start(
            recipe=schedule.recipe, release=release, seed=schedule.seed, overrides=schedule.overrides, user=schedule.created_by,
            schedule=schedule,
        )  # fmt: skip
        schedule.last_release = release
        schedule.save(update_fields=["last_release"])
    return run


def _is_newer(release: Release, last: Release | None) -> bool:
    """Whether it was made after the last one: an older one is the newest good one again when the last is superseded."""
    return last is None or last.variant != release.variant or (release.created_at, release.pk) > (last.created_at, last.pk)
