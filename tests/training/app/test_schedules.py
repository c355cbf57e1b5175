import json

import pytest
from django.core.exceptions import ValidationError
from django_celery_beat.models import PeriodicTask

from qa.models import Release
from training import services, tasks
from training.models import Run, Schedule

pytestmark = pytest.mark.django_db


@pytest.fixture
def schedule(dana):
    return services.schedule_save(name="sunday", recipe="debug", cron="0 3 * * 0", overrides={"epochs": 1}, user=dana)


def newer(release: Release, **values: object) -> Release:
    fields = {"name": "all-2", "variant": "all", "seed": 1, "path": release.path, "sha256": "1" * 64, "counts": {}}
    return Release.objects.create(**{**fields, **values})


def test_a_schedule_trains_on_each_new_release_once(schedule, release, dana):
    first = services.schedule_run(schedule.pk)
    assert (first.release, first.requested_by, first.schedule, first.overrides) == (release, dana, schedule, {"epochs": 1})
    assert services.schedule_run(schedule.pk) is None
    second = newer(release)
    assert services.schedule_run(schedule.pk).release == second
    assert Run.objects.count() == 2


def test_only_good_releases_of_its_variant_count(schedule, release):
    newer(release, name="balanced-1", variant="balanced")
    newer(release, name="all-3", superseded_reason="a video was taken down")
    assert services.schedule_run(schedule.pk).release == release


def test_without_a_release_nothing_happens(schedule):
    assert services.schedule_run(schedule.pk) is None
    assert services.schedule_run(schedule.pk + 999) is None


def test_beat_is_told_and_a_second_save_changes_the_same_entry(schedule, dana):
    services.schedule_save(name="sunday", recipe="small", cron="30 4 * * 1", user=dana)
    task = PeriodicTask.objects.get(name="train: sunday")
    assert task.task == tasks.run_scheduled.name
    assert json.loads(task.args) == [schedule.pk]
    assert (task.crontab.minute, task.crontab.hour, task.crontab.day_of_week) == ("30", "4", "1")
    assert Schedule.objects.get().recipe == "small"
    services.schedule_delete(Schedule.objects.get())
    assert not PeriodicTask.objects.filter(name="train: sunday").exists()


@pytest.mark.parametrize("cron", ["", "0 3 * *", "61 3 * * 0", "0 3 * * someday", "0 3 * * 0 0"])
def test_a_time_table_that_makes_no_sense_is_refused(dana, cron):
    with pytest.raises(ValidationError):
        services.schedule_save(name="sunday", recipe="debug", cron=cron, user=dana)
    assert not Schedule.objects.exists()
