import json

import pytest
from django.core.exceptions import ValidationError
from django_celery_beat.models import PeriodicTask

from crawler.models import Video
from crawler.services import video_takedown
from qa.models import Release, ReleaseItem
from tests.factories import VideoFactory
from training import services, tasks
from training.models import Run, Schedule

pytestmark = pytest.mark.django_db


@pytest.fixture
def schedule(dana):
    return services.schedule_save(name="sunday", recipe="debug", cron="0 3 * * 0", overrides={"epochs": 1}, user=dana)


def newer(release: Release, **values: object) -> Release:
    fields = {"name": "all-2", "variant": "all", "seed": 1, "path": release.path, "sha256": "1" * 64, "counts": {}}
    return Release.objects.create(**{**fields, **values})


def lose_a_video(release: Release) -> None:
    """One of its videos is taken down; another only leaves the dataset."""
    for reason in ("take-down", "second thoughts"):
        video = VideoFactory()
        ReleaseItem.objects.create(release=release, video=video, split="train", emotion="Fear")
        if reason == "take-down":
            video_takedown(video.pk, reason="the author asked")
        else:
            Video.objects.filter(pk=video.pk).update(state="dropped", reason=reason, number=None, accepted_at=None)


def test_a_schedule_trains_on_each_new_release_once(schedule, release, dana):
    first = services.schedule_run(schedule.pk)
    assert (first.release, first.requested_by, first.schedule, first.overrides) == (release, dana, schedule, {"epochs": 1})
    assert services.schedule_run(schedule.pk) is None
    second = newer(release)
    assert services.schedule_run(schedule.pk).release == second
    assert Run.objects.count() == 2


def test_only_good_releases_of_its_variant_count(schedule, release):
    newer(release, name="balanced-1", variant="balanced")
    lose_a_video(newer(release, name="all-3"))
    assert services.schedule_run(schedule.pk).release == release


def test_an_older_release_is_not_new_when_the_last_one_lost_a_video(schedule, release):
    second = newer(release)
    assert services.schedule_run(schedule.pk).release == second
    lose_a_video(second)
    assert services.schedule_run(schedule.pk) is None
    with pytest.raises(ValidationError, match="taken down since: make a new release"):
        services.run_start(recipe="debug", release=second)
    third = newer(release, name="all-3")
    assert services.schedule_run(schedule.pk).release == third


def test_another_variant_begins_with_its_own_newest(schedule, release, dana):
    balanced = newer(release, name="balanced-1", variant="balanced")
    newest = newer(release)
    assert services.schedule_run(schedule.pk).release == newest
    services.schedule_save(name="sunday", recipe="debug", cron="0 3 * * 0", variant="balanced", user=dana)
    assert services.schedule_run(schedule.pk).release == balanced


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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe": "nonsense"}, "No recipe is called 'nonsense'"),
        ({"overrides": {"epochs": "many"}}, "epochs"),
        ({"overrides": {"init_from": "/etc/passwd"}}, "init_from may not name a file"),
        ({"seed": -1}, "outside 0..2147483647"),
    ],
)
def test_what_no_run_could_use_is_refused_before_sunday(dana, change, words):
    with pytest.raises(ValidationError, match=words):
        services.schedule_save(**{"name": "sunday", "recipe": "debug", "cron": "0 3 * * 0", "user": dana, **change})
    assert not Schedule.objects.exists()


def test_only_who_made_it_or_an_admin_changes_a_schedule(schedule, erin, admin):
    with pytest.raises(ValidationError, match="someone else's: choose another name"):
        services.schedule_save(name="sunday", recipe="small", cron="0 3 * * 0", user=erin)
    services.schedule_save(name="sunday", recipe="small", cron="0 3 * * 0", user=admin)
    schedule.refresh_from_db()
    assert (schedule.recipe, schedule.created_by.username) == ("small", "dana")
