import uuid
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler
from kombu.transport import virtual

from annotation.services import leases_expire
from config import status as site
from config.beat import Scheduler
from config.celery import app
from config.models import Backup
from crawler.models import Stage, Tombstone
from qa.models import Release
from tests.factories import AssignmentFactory, UserFactory, VideoFactory, VoteFactory
from training.models import Run

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def healthy(tmp_path):
    """Beat has just sent something and a backup was made."""
    PeriodicTask.objects.filter(name="celery.backend_cleanup").delete()
    PeriodicTask.objects.create(name="something", task="x", crontab=CrontabSchedule.objects.create(), last_run_at=timezone.now())
    file = tmp_path / "site.backup"
    file.write_text("")
    return Backup.objects.create(path=str(file), kind="sqlite", sha256="0" * 64, size_bytes=1, rows=1)


def test_a_healthy_site_raises_no_alarm(healthy, monkeypatch):
    monkeypatch.setattr(site, "LEAST_FREE_SHARE", 0.0)
    assert site.status().alarms == []


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda backup: backup.delete(), "no backup"),
        (lambda backup: Backup.objects.update(created_at=NOW - timedelta(days=3)), "no backup"),
        (lambda backup: Backup.objects.update(path="/nowhere"), "no longer at /nowhere"),
        (lambda backup: PeriodicTask.objects.update(last_run_at=NOW - timedelta(minutes=6)), "Beat has sent nothing"),
        (lambda backup: PeriodicTask.objects.update(last_run_at=NOW + timedelta(hours=2)), "Beat has sent nothing"),
        (lambda backup: PeriodicTask.objects.update(last_run_at=None), "Beat has sent nothing"),
    ],
)
def test_what_is_missing_raises_an_alarm(healthy, monkeypatch, harm, words):
    monkeypatch.setattr(site, "LEAST_FREE_SHARE", 0.0)
    harm(healthy)
    (alarm,) = site.status().alarms
    assert words in alarm


def test_beat_that_has_just_begun_is_starting_and_no_alarm(healthy, monkeypatch, settings, client):
    monkeypatch.setattr(site, "LEAST_FREE_SHARE", 0.0)
    settings.CELERY_BEAT_SCHEDULE = {"minutely": {}, "nightly": {}}
    hours = CrontabSchedule.objects.create(hour="3")
    for name in settings.CELERY_BEAT_SCHEDULE:
        PeriodicTask.objects.create(name=name, task=name, crontab=hours)
    PeriodicTask.objects.update(last_run_at=NOW - timedelta(days=1))  # of the time before the restart
    assert site.status().alarms == []
    client.force_login(UserFactory(role="manager"))
    assert "starting since" in client.get(reverse("status")).content.decode()
    PeriodicTask.objects.filter(name="nightly").update(date_changed=NOW - timedelta(minutes=6))
    (alarm,) = site.status().alarms
    assert "Beat has sent nothing" in alarm, "the minutely entry was saved since, but beat began earlier"


def test_beat_begun_after_the_clock_was_put_back_counts_from_now(healthy, monkeypatch):
    PeriodicTask.objects.update(last_run_at=NOW + timedelta(hours=2))
    earlier = PeriodicTask.objects.create(
        name="earlier", task="y", crontab=CrontabSchedule.objects.create(hour="3"), last_run_at=NOW - timedelta(days=1)
    )
    ahead_when_read = []  # of the schedule, by the library
    monkeypatch.setattr(
        DatabaseScheduler,
        "setup_schedule",
        lambda self: ahead_when_read.append(PeriodicTask.objects.filter(last_run_at__gt=timezone.now()).exists()),
    )
    Scheduler(app=app, lazy=False)
    assert ahead_when_read == [False]
    earlier.refresh_from_db()
    assert earlier.last_run_at == NOW - timedelta(days=1), "what is overdue stays so"
    assert not site.status().beat_is_silent


def test_a_platform_that_changed_and_a_stage_given_up_raise_alarms(healthy, monkeypatch):
    monkeypatch.setattr(site, "LEAST_FREE_SHARE", 0.0)
    Stage.objects.create(name="spring", state="failed", reason="unreachable: douyin (3 of 3 lists)")
    Stage.objects.create(name="summer", state="failed", reason="unreachable: douyin (3 of 3 lists)", retry_at=timezone.now())
    for _number in range(4):
        VideoFactory(platform="kuaishou", state="failed", number=None, reason="rule-failed: no rule reads it")
    alarms = site.status().alarms
    assert len(alarms) == 2
    assert alarms[0].startswith("kuaishou: a share of 1.00 of its pages is read by no rule")
    assert alarms[1].startswith("Stage spring failed and is not tried again: unreachable: douyin")


def test_a_broker_that_is_away_and_a_full_disk_raise_alarms(healthy, settings, monkeypatch):
    from celery import Celery

    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(site, "app", Celery(broker=settings.CELERY_BROKER_URL, set_as_current=False))
    monkeypatch.setattr(site, "LEAST_FREE_SHARE", 1.0)
    alarms = " ".join(site.status().alarms)
    assert "broker does not answer" in alarms
    assert "GiB are free" in alarms
    assert site.workers() is None


def test_work_without_a_sign_of_life_is_counted(healthy):
    stale = VideoFactory(state="media", number=None)
    fresh = VideoFactory(state="media", number=None)
    type(stale).objects.filter(pk=stale.pk).update(touched_at=timezone.now() - timedelta(hours=2))
    VideoFactory(state="failed", number=None, platform="tiktok", reason="gone: 404")
    VideoFactory(state="failed", number=None, platform="tiktok", reason="gone: 410")
    now = site.status()
    assert now.stuck["videos"] == 1
    assert now.oldest_s["video"] == pytest.approx(7200, abs=60)
    assert now.videos == {"failed": 2, "media": 2}
    assert now.failures == [{"platform": "tiktok", "cause": "gone", "count": 2}]
    assert fresh.pk


def test_a_doubt_about_an_accepted_clip_waits_as_others_do(healthy):
    VideoFactory(state="review", number=None)
    VideoFactory(doubted_at=timezone.now() - timedelta(hours=1))
    assert site.status().oldest_s["review"] == pytest.approx(3600, abs=60)


def test_messages_in_the_queue_are_counted():
    from django.conf import settings

    before = site.queue_lengths()["gpu"]
    message = settings.QUEUE_DIR / "messages" / "1_2.gpu.msg"
    message.write_text("{}")
    try:
        assert site.queue_lengths()["gpu"] == before + 1
    finally:
        message.unlink()


def test_queues_are_asked_for_as_the_workers_declare_them(settings, monkeypatch):
    """A broker that keeps queues (RabbitMQ) refuses another description of one that is there, which would read as being away."""
    from celery import Celery

    settings.CELERY_BROKER_URL = "memory://"
    asked = []

    def declare(self, queue=None, passive=False, **description):
        asked.append(description)
        return SimpleNamespace(message_count=7)

    monkeypatch.setattr(virtual.Channel, "queue_declare", declare)
    monkeypatch.setattr(site, "app", Celery(broker="memory://", set_as_current=False))
    assert site.queue_lengths() == dict.fromkeys(site.QUEUES, 7)
    assert asked == [{"durable": True, "auto_delete": False}] * 3


def test_what_is_counted_as_ever_growing_never_shrinks(client, healthy):
    """Prometheus takes a counter that went down for one that began anew, and adds all of it once more."""
    vote = VoteFactory()

    def told(name: str) -> float:
        return next(float(line.split()[1]) for line in client.get("/metrics").content.decode().splitlines() if line.startswith(f"{name} "))

    assert told("emotions_votes_total") == 1
    type(vote).objects.filter(pk=vote.pk).update(undone_at=timezone.now())
    assert told("emotions_votes_total") == 1
    turn = AssignmentFactory(state="leased", lease_expires_at=timezone.now() - timedelta(hours=1))
    for _ in range(2):
        leases_expire()
        assert told("emotions_leases_expired_total") == 1
    type(turn).objects.filter(pk=turn.pk).update(state="submitted")
    assert told("emotions_leases_expired_total") == 1


def test_a_counter_does_not_fall_from_one_process_of_a_large_site_to_the_next(client, healthy, monkeypatch):
    """Each process keeps the figures of its own moment: here the one that is asked last looked first, before anything happened."""
    monkeypatch.setattr("crawler.selectors.long_lists.is_large", lambda: True)
    cache.clear()
    site.status()
    VoteFactory()
    AssignmentFactory(state="leased", lease_expires_at=timezone.now() - timedelta(hours=1))
    leases_expire()
    assert (site.status().votes, site.status().leases_expired) == (0, 0), "remembered"
    lines = client.get("/metrics").content.decode().splitlines()
    cache.clear()
    assert {"emotions_votes_total 1", "emotions_leases_expired_total 1"} <= set(lines)


def test_gpus_are_told_by_machine_and_every_failure_is_told(client, healthy, tmp_path):
    release = Release.objects.create(name="all-1", variant="all", seed=1, path=str(tmp_path), sha256="0" * 64, counts={})
    for host, device in (("a", "2 × H200 (0, 1)"), ("a", "1 × H200 (2)"), ("b", "CPU")):
        Run.objects.create(recipe="debug", release=release, state="running", lease=uuid.uuid4(), host=host, device=device)
    for number in range(25):
        VideoFactory(state="failed", number=None, platform="douyin", reason=f"odd {number}: x")
    lines = client.get("/metrics").content.decode().splitlines()
    assert {'emotions_gpus_in_use{host="a"} 3', 'emotions_gpus_in_use{host="b"} 0'} <= set(lines)
    assert sum('cause="odd ' in line for line in lines) == 25
    assert 'emotions_video_failures{platform="tiktok",cause="blocked"} 0' in lines


@pytest.fixture
def answering(monkeypatch):
    monkeypatch.setattr("config.views.workers", lambda: ["worker@here"])


@pytest.mark.parametrize(("role", "code"), [("manager", 200), ("admin", 200), ("annotator", 403), ("researcher", 403)])
def test_the_page_is_for_managers(role, code, answering, healthy):
    client = Client()
    client.force_login(UserFactory(role=role))
    answer = client.get(reverse("status"), {"workers": "ask"})
    assert answer.status_code == code
    if code == 200:
        assert "worker@here" in answer.content.decode()


@pytest.mark.parametrize(("found", "told"), [([], "none answers"), (None, "does not answer")])
def test_the_page_waits_for_no_worker_and_tells_of_dead_ones_when_asked(found, told, healthy, monkeypatch):
    client = Client()
    client.force_login(UserFactory(role="manager"))
    monkeypatch.setattr("config.views.workers", lambda: pytest.fail("the page must not wait for workers"))
    assert 'data-ask="?workers=ask"' in client.get(reverse("status")).content.decode()
    monkeypatch.setattr("config.views.workers", lambda: found)
    page = client.get(reverse("status"), {"workers": "ask"}).content.decode()
    assert told in page
    assert "data-ask" not in page


def test_figures_need_the_token(client, settings):
    settings.METRICS_TOKEN = "a token"
    assert client.get("/metrics").status_code == 403
    assert client.get("/metrics", headers={"Authorization": "Bearer another"}).status_code == 403
    answer = client.get("/metrics", headers={"Authorization": "Bearer a token"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_without_a_token_only_this_machine_reads_the_figures(client, settings):
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="10.0.0.9").status_code == 403
    assert client.get("/metrics", headers={"X-Forwarded-For": "10.0.0.9"}).status_code == 403


def test_the_figures_are_well_formed(client, healthy):
    VideoFactory(state="failed", number=None, platform="tiktok", reason='odd "quoted"\nreason: x')
    lines = client.get("/metrics").content.decode().splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert 'emotions_videos{state="failed"} 1' in samples
    assert "emotions_votes_total 0" in samples
    assert any(line.startswith('emotions_video_failures{platform="tiktok",cause="odd \\"quoted\\"\\nreason"}') for line in samples)
    for line in samples:
        name, value = line.rsplit(" ", 1)
        assert name.startswith("emotions_")
        float(value)


def test_a_store_that_is_away_is_told_to_who_may_know_and_takes_no_site_away(healthy, store, client, monkeypatch):
    monkeypatch.setattr(site, "LEAST_FREE_SHARE", 0.0)
    Backup.objects.update(path="s3://clips/site.backup")
    Tombstone.objects.create(platform="tiktok", platform_id="1", reason="asked", leftovers=["ab/abc.mp4"])
    assert site.status().alarms == [
        "1 take-downs wait for the store of the clips: nobody can see these clips, but their files are still there.",
        "The last backup is no longer at s3://clips/site.backup.",
    ]
    with store.refusing(503):
        away, _, backup = site.status().alarms
        cache.delete("clips_away")
        ready = client.get("/readyz")
        assert "emotions_clips_away 1" in client.get("/metrics").content.decode()
    assert "s3://clips at http://127.0.0.1" in away
    assert "answers 503" in away
    assert backup.startswith("Whether the last backup is still there cannot be said: s3://clips/site.backup")
    assert (ready.status_code, ready.json()["checks"]["clips"]) == (200, "away")
    cache.delete("clips_away")
    assert client.get("/readyz").json()["checks"]["clips"] == "ok"
