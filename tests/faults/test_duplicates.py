"""Every task, delivered twice and late: the second delivery changes nothing."""

import inspect
from contextlib import suppress
from types import SimpleNamespace

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.apps import apps
from django.contrib.auth.models import User
from django.core.exceptions import ObjectDoesNotExist, ValidationError

from annotation.models import Delivery, Group
from annotation.services import announce, webhook_add
from config.celery import app
from crawler import fetch
from crawler.models import Stage
from crawler.tasks import crawl_stage
from qa.models import Release
from qa.rules.protocol import Settings
from qa.services import releases_ask, simulation_ask
from tests.factories import PersonFactory, VideoFactory
from training import services
from training.models import Run, Schedule
from training.tasks import offer_prelabels, write_windows

pytestmark = pytest.mark.django_db
# What a repeated measurement may add: a row of its own, with its time.
MEASUREMENTS = {"qa.consistencyreport"}
# Clocks: they tell when something was last looked at.
CLOCKS = {"touched_at", "queued_at", "heartbeat_at", "last_login", "last_update"}
CLOCKS_OF = {"crawler.stage": {"started_at", "finished_at"}, "qa.release": {"verified_at", "checked_at"}}

app.loader.import_default_modules()


def takes(task) -> list[str]:
    return list(inspect.signature(task.run).parameters)


TASKS = sorted(name for name in app.tasks if not name.startswith("celery."))


@pytest.fixture
def world(tmp_path, settings, monkeypatch):
    """A little of everything: a finished stage, accepted videos, a group at work, a release, one asked for, a run, a schedule, a message to send."""
    settings.RELEASES_DIR, settings.MEDIA_ROOT = tmp_path / "releases", tmp_path / "media"
    settings.EMOTION_WINDOWS = str(tmp_path / "windows")
    monkeypatch.setattr(fetch, "message_post", lambda *args, **kwargs: SimpleNamespace(status=200, reason="OK"))
    settings.TRAIN_ENGINE = "tests.training.app.fake_engine"
    settings.TRAIN_GPUS = ["none"]
    settings.TRAIN_LOCKS_DIR, settings.RUNS_DIR = tmp_path / "locks", tmp_path / "runs"
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "release.json").write_text("{}")
    group = Group.objects.create(letter="A")
    for gender, role in (("M", "annotator"), ("M", "annotator"), ("F", "annotator"), ("F", "leader")):
        PersonFactory(group=group, gender=gender, role=role)
    videos = [VideoFactory() for _ in range(3)]
    for video in videos:
        video.path.parent.mkdir(parents=True, exist_ok=True)
        video.path.write_bytes(b"a clip")
    Stage.objects.update(state="done")
    release = Release.objects.create(name="all-1", variant="all", seed=1, path=str(folder), sha256="0" * 64, counts={})
    schedule = services.schedule_save(name="sunday", recipe="debug", cron="0 3 * * 0")
    run = services.run_start(recipe="debug", release=release, seed=9)
    webhook_add(url="https://receiver.example/", events=["label.decided"], by=None)
    announce("label.decided", {"sample": 1})
    return {
        "delivery_id": Delivery.objects.get().pk,
        "job_id": releases_ask(["all"], seed=1)[0].pk,
        "simulation_id": simulation_ask(num_samples=500, seed=1, settings=Settings()).pk,
        "stage_id": Stage.objects.get().pk,
        "video_id": videos[0].pk,
        "release_id": release.pk,
        "schedule_id": schedule.pk,
        "run_id": run.pk,
    }


def snapshot() -> dict[str, list]:
    tables = {}
    for model in apps.get_models(include_auto_created=True):
        label = model._meta.label_lower
        if label in MEASUREMENTS or label.startswith(("sessions.", "django_celery_beat.")):
            continue
        columns = [field.attname for field in model._meta.concrete_fields if field.attname not in CLOCKS | CLOCKS_OF.get(label, set())]
        tables[label] = list(model._base_manager.order_by("pk").values_list(*columns))
    return tables


@pytest.mark.parametrize("name", TASKS)
def test_a_second_delivery_changes_nothing(world, name, monkeypatch):
    task = app.tasks[name]
    arguments = [world[argument] for argument in takes(task)]
    if name in {offer_prelabels.name, write_windows.name}:
        services.run_execute(world["run_id"])  # only a finished run can predict
    task.run(*arguments)
    before = snapshot()
    task.run(*arguments)
    assert snapshot() == before


@pytest.mark.parametrize("name", [name for name in TASKS if takes(app.tasks[name])])
def test_a_task_about_what_is_gone_ends_quietly_or_says_so(world, name):
    """A late message names a row that was deleted: no row appears, nothing hangs."""
    before = snapshot()
    with suppress(ObjectDoesNotExist, ValidationError, LookupError):
        app.tasks[name].run(999_999)
    assert snapshot() == before


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_bounded_and_retries_only_named_errors(name):
    task = app.tasks[name]
    retried = getattr(task, "autoretry_for", ())
    assert Exception not in retried, "a retry on everything hides mistakes"
    assert BaseException not in retried
    hard, soft = task.time_limit or app.conf.task_time_limit, task.soft_time_limit or app.conf.task_soft_time_limit
    assert 0 < hard - soft <= 15 * 60, "a task without a soft limit of its own is ended by that of all others"
    assert task.acks_late, "a killed worker must not lose the message"


def test_a_stage_that_lasts_longer_than_a_task_may_goes_on_in_the_next(world, monkeypatch):
    def lasts(*args, **kwargs):
        raise SoftTimeLimitExceeded

    sent = []
    monkeypatch.setattr("crawler.services.stage_crawl", lasts)
    monkeypatch.setattr(crawl_stage, "delay", sent.append)
    crawl_stage.run(world["stage_id"])
    assert sent == [world["stage_id"]]


def test_the_world_is_real(world):
    assert (Run.objects.count(), Schedule.objects.count(), User.objects.count()) == (1, 1, 4)
