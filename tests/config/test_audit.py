"""The audit log: what is written, that it stays, and that it can be read, filtered and sorted."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from annotation import services as annotation
from config import append_only
from config.models import AppendOnly, Event
from crawler.services import video_takedown
from tests.factories import PersonFactory, SampleFactory, UserFactory, VideoFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager():
    client = Client()
    client.force_login(PersonFactory(role="manager", user__username="mia").user)
    return client


def last(**where: object) -> Event:
    found = Event.objects.filter(**where).first()
    assert found, f"no line {where}"
    return found


@pytest.fixture
def locked():
    """As every database but the tests' own has it."""
    append_only.lock()
    yield
    append_only.unlock()


REPLACE = "INSERT OR REPLACE INTO config_event SELECT id, at, kind, 'nobody', user_id, what, about, row, before, after, address, request_id, key FROM config_event"
WHOLE = {"sqlite": REPLACE, "postgresql": "TRUNCATE config_event"}


@pytest.mark.parametrize("statement", ["UPDATE config_event SET who = 'nobody'", "DELETE FROM config_event", WHOLE])
def test_the_database_itself_refuses_to_change_or_forget(locked, statement):
    UserFactory()
    statement = statement if isinstance(statement, str) else statement[connection.vendor]
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert last(what="auth.User").who != "nobody"


def test_the_program_refuses_too():
    UserFactory()
    event = Event.objects.first()
    for attempt in (event.save, event.delete, Event.objects.all().delete, lambda: Event.objects.update(who="nobody")):
        with pytest.raises(AppendOnly):
            attempt()


def test_a_role_given_by_an_admin_names_the_admin_the_role_and_the_address():
    root = User.objects.create_superuser("root", password="a long password")
    client = Client(REMOTE_ADDR="192.0.2.7")
    client.force_login(root)
    user = UserFactory(username="ann")
    url = reverse("admin:auth_user_change", args=[user.pk])
    joined = user.date_joined
    data = {"username": "ann", "date_joined_0": joined.date(), "date_joined_1": joined.time(), "is_active": "on", "is_staff": "on"}
    client.post(url, {**data, "groups": [Group.objects.get(name="expert").pk]})
    given = last(about="ann", after={"roles": ["expert"]})
    assert (given.who, given.user_id, given.address, given.kind) == ("root", root.pk, "192.0.2.7", "changed")
    assert last(about="ann", after={"is_staff": True}).before == {"is_staff": False}
    client.post(url, data)
    assert last(about="ann", before={"roles": ["expert"]}).after == {}


def test_a_password_is_told_as_changed_and_never_shown():
    user = UserFactory(username="ann")
    user.set_password("another long password")
    user.save()
    event = last(about="ann", kind="changed")
    assert event.after == {"password": "…"}


def test_people_settings_and_take_downs_are_told_with_before_and_after():
    person = PersonFactory(full_name="Ann Lee")
    person.education = 80
    person.save()
    told = last(what="annotation.Person", kind="changed")
    assert (told.before, told.after) == ({"education": 0.0}, {"education": 80.0})
    task = PeriodicTask.objects.create(name="x", task="y", crontab=CrontabSchedule.objects.create())
    assert not Event.objects.filter(what="django_celery_beat.PeriodicTask").exists(), "no person asked for it"
    task.enabled = False
    task.save()
    assert last(what="django_celery_beat.PeriodicTask", kind="changed").after == {"enabled": False}
    every = task.crontab
    every.hour = "5"
    every.save()
    assert last(what="django_celery_beat.CrontabSchedule", kind="changed").after == {"hour": "5"}
    video_takedown(VideoFactory(number=77).pk, reason="asked for by the author")
    assert last(what="crawler.Tombstone").after["reason"] == "asked for by the author"


def test_saving_without_a_change_writes_no_line():
    person = PersonFactory()
    before = Event.objects.count()
    person.save()
    person.user.save()
    assert Event.objects.count() == before


def test_what_is_rolled_back_leaves_no_line():
    with transaction.atomic():
        UserFactory(username="ghost")
        transaction.set_rollback(True)
    assert not Event.objects.filter(about="ghost").exists()


def test_a_deleted_account_stays_in_the_log():
    user = UserFactory(username="gone")
    user.delete()
    assert last(about="gone", kind="deleted").before["username"] == "gone"


def test_signing_in_and_out_is_told():
    UserFactory(username="ann")
    client = Client()
    client.post(reverse("login"), {"username": "ann", "password": "a long password"})
    client.post(reverse("logout"))
    assert [event.kind for event in Event.objects.filter(who="ann")[:2]] == ["signed_out", "signed_in"]


def test_a_password_typed_as_a_name_is_not_kept():
    Client().post(reverse("login"), {"username": "my secret pass phrase", "password": "x"})
    event = last(kind="sign_in_failed")
    assert "secret" not in f"{event.about}{event.who}{event.key}{event.after}"


def test_the_page_filters_and_sorts(manager):
    for name in ("bob", "ann", "cyd"):
        client = Client()
        client.post(reverse("login"), {"username": UserFactory(username=name).username, "password": "a long password"})
    url = reverse("audit")
    names = lambda answer: [line.who for line in answer.context["lines"]]  # noqa: E731 - a name for one question
    assert names(manager.get(url, {"kind": "signed_in", "sort": "who"})) == ["ann", "bob", "cyd", "mia"]
    assert names(manager.get(url, {"kind": "signed_in", "who": "bo"})) == ["bob"]
    assert names(manager.get(url, {"kind": "signed_in", "until": (timezone.now() - timedelta(days=1)).date()})) == []
    assert "no line fits" in manager.get(url, {"who": "nobody at all"}).content.decode().lower()


@pytest.mark.parametrize("query", ["sort=password", "sort=user__password", "log=nothing", "since=yesterday", "page=x"])
def test_a_query_that_makes_no_sense_shows_the_log_all_the_same(manager, query):
    assert manager.get(f"{reverse('audit')}?{query}").status_code == 200


def test_the_page_shows_the_other_histories_too(manager):
    person = PersonFactory(full_name="Ann Lee")
    annotation.person_pause(person, reason="on holiday", by=User.objects.get(username="mia"))
    sample = SampleFactory()
    sample.timeline.create(kind="distributed", detail={"group": "A"})
    page = manager.get(reverse("audit"), {"log": "staff"}).content.decode()
    assert "on holiday" in page
    assert "Ann Lee" in page
    assert "distributed" in manager.get(reverse("audit"), {"log": "labels"}).content.decode()
    for log in ("review", "adjustments"):
        assert manager.get(reverse("audit"), {"log": log}).status_code == 200
