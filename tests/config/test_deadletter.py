"""The dead-letter page: what failed, for whom to see, and one button that works once."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from config import deadletter
from config.celery import app
from config.models import Event, FailedTask
from tests.factories import PersonFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def failed():
    deadletter.keep("a" * 36, "qa.tasks.verify_release", [7], {}, ValueError("the <b>disk</b> is gone"), "Traceback …")
    return FailedTask.objects.get()


def client(role: str) -> Client:
    found = Client(raise_request_exception=False)
    found.force_login(PersonFactory(role=role).user)
    return found


def test_the_page_tells_what_failed_as_text_and_gives_the_button_to_admins_only(failed):
    button = reverse("failed_task_settle", args=[failed.pk, "again"])
    page = client("manager").get(reverse("failed_tasks")).content.decode()
    assert "ValueError: the &lt;b&gt;disk&lt;/b&gt; is gone" in page
    assert button not in page
    assert button in client("admin").get(reverse("failed_tasks")).content.decode()


def test_the_button_sends_the_task_once_and_the_log_says_who(failed, monkeypatch, django_capture_on_commit_callbacks):
    sent = []
    monkeypatch.setattr(app, "send_task", lambda name, **options: sent.append((name, options["args"])))
    admin = client("admin")
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(2):
            assert admin.post(reverse("failed_task_settle", args=[failed.pk, "again"])).status_code == 302
    assert sent == [("qa.tasks.verify_release", [7])]
    event = Event.objects.filter(what="config.FailedTask").get()
    assert (event.before, event.after) == ({"state": "waiting"}, {"state": "sent_again"})
    assert admin.post(reverse("failed_task_settle", args=[failed.pk, "delete"])).status_code == 404


def test_what_could_not_be_sent_still_waits(failed, monkeypatch):
    def away(*args, **options):
        raise BrokerError("no route to the broker")

    monkeypatch.setattr(app, "send_task", away)
    assert client("admin").post(reverse("failed_task_settle", args=[failed.pk, "again"])).status_code == 503
    assert FailedTask.objects.get().state == "waiting"


def test_what_is_put_aside_raises_no_alarm_and_is_not_sent(failed, monkeypatch):
    monkeypatch.setattr(app, "send_task", lambda *args, **options: pytest.fail("it was put aside"))
    assert deadletter.put_aside(failed.pk)
    assert not deadletter.send_again(failed.pk)


def test_odd_arguments_and_a_second_failure_are_kept_in_one_row():
    for text in ("first", "second \0 half"):
        deadletter.keep("b" * 36, "x", [timezone.now(), object(), "a\0b"], {"when": b"\xff"}, ValueError(text), "")
    assert FailedTask.objects.get().error == "ValueError: second  half"
    assert FailedTask.objects.get().args[2] == "ab"
