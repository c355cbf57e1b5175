"""Announcements: written with what they tell of, sent after the commit, signed, at least once, and only to where they may go."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotation.models import Delivery, Webhook
from annotation.rules.webhooks import ATTEMPTS, signature, wait_after
from annotation.services import (
    announce,
    deliveries_due,
    delivery_repeat,
    delivery_send,
    sample_reopen,
    vote_undo,
    webhook_add,
    webhook_renew,
    webhook_switch,
)
from annotation.tasks import deliver_due
from config.models import Event
from crawler.fetch import Refused, message_check, message_post
from tests.annotation.conftest import say
from tests.factories import PersonFactory

# --- rules ----------------------------------------------------------------------------------------------------------


def test_the_signature_is_the_hmac_of_time_dot_body():
    by_hand = hmac.new(b"geheim", b'1700000000.{"a":"\xe6\x83\x85"}', hashlib.sha256).hexdigest()
    assert signature("geheim", 1_700_000_000, '{"a":"情"}') == f"sha256={by_hand}"


def test_waiting_doubles_up_to_six_hours_and_then_ends():
    waits = [wait_after(attempts) for attempts in range(1, ATTEMPTS + 1)]
    assert waits[:3] == [timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=2)]
    assert waits[-2:] == [timedelta(hours=6), None]
    assert timedelta(days=1) < sum(waits[:-1], timedelta()) < timedelta(days=2)


# --- where messages may go ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/hook",
        "ftp://example.org/",
        "https://user@example.org/",
        "https://example.org:22/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://10.1.2.3/",
        "https://localhost/",
        "https://[broken",
        "https:///nowhere",
    ],
)
def test_no_message_goes_inside_or_in_the_clear(url: str):
    with pytest.raises(Refused):
        message_check(url)


def test_a_public_name_that_resolves_inside_is_refused_when_it_is_asked(monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", _resolved)
    message_check("https://hooks.example.org/")
    with pytest.raises(Refused, match=r"10\.0\.0\.7"):
        message_post("https://hooks.example.org/", body=b"{}", headers={})


def _resolved(host, port, flags=0, **kwargs):
    if flags:
        raise OSError("no literal")
    return [(2, 1, 6, "", ("10.0.0.7", port))]


# --- a receiver -----------------------------------------------------------------------------------------------------


@dataclass
class Receiver:
    """A small server of the test's own; `answers` are given in turn, then 204."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], str]] = field(default_factory=list)

    def bodies(self) -> list[dict]:
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
def receiver(settings):
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            found.got.append((dict(self.headers), body))
            self.send_response(found.answers.pop(0) if found.answers else 204)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.WEBHOOK_INNER_HOSTS = [f"127.0.0.1:{server.server_port}"]
    found.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def told(receiver, db) -> str:
    """The receiver is told of decided labels and of releases; its secret."""
    _, secret = webhook_add(url=receiver.url, events=["label.decided", "release.made"], by=None)
    return secret


def test_an_announcement_is_signed_so_that_the_receiver_can_check_it(receiver, told, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        announce("release.made", {"release": "full-v1", "rows": 27_996})
        assert receiver.got == []  # nothing leaves before the commit
    [(headers, body)] = receiver.got
    expected = hmac.new(told.encode(), f"{headers['X-Emotions-Timestamp']}.{body}".encode(), hashlib.sha256).hexdigest()
    assert headers["X-Emotions-Signature"] == f"sha256={expected}"
    assert json.loads(body)["data"] == {"release": "full-v1", "rows": 27_996}
    assert json.loads(body)["id"] == headers["X-Emotions-Id"]
    assert Delivery.objects.get().state == "delivered"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_message_goes_to_the_address_that_was_given_and_nowhere_else(receiver, status):
    """The receiver sends it on to a path of its own, by POST or by GET: neither is asked."""
    receiver.answers = [status]
    assert message_post(receiver.url, body=b"{}", headers={}).status == status
    assert receiver.bodies() == [{}]


def test_an_event_that_nobody_asked_for_is_not_written(told):
    announce("report.made", {})
    assert not Delivery.objects.exists()
    with pytest.raises(ValueError, match="is no event"):
        announce("label.guessed", {})


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_never_told(receiver, settings):
    webhook_add(url=receiver.url, events=["release.made"], by=None)
    with transaction.atomic():
        announce("release.made", {})
        transaction.set_rollback(True)
    assert (receiver.got, Delivery.objects.count()) == ([], 0)


def test_a_decided_label_is_told_and_a_reopened_one_too(receiver, told, staff, sample, django_capture_on_commit_callbacks):
    Webhook.objects.update(events=["label.decided", "label.reopened"])
    with django_capture_on_commit_callbacks(execute=True):
        say(sample, "Fear")
        say(sample, "Fear")
        last = say(sample, "Tension")
        vote_undo(last, now=last.created_at)
        say(sample, "Sadness")
        sample_reopen(sample, by=staff.manager, reason="a complaint", now=timezone.now())
    told_of = [(body["event"], body["data"]["emotion"], body["data"]["sample"]) for body in receiver.bodies()]
    decided, reopened = ("label.decided", "Fear", sample.pk), ("label.reopened", "Fear", sample.pk)
    assert sorted(told_of) == sorted([decided, reopened, decided, reopened])


def test_a_broker_that_is_away_does_not_undo_the_work(told, monkeypatch, django_capture_on_commit_callbacks):
    def away(*args, **kwargs):
        raise ConnectionError("no broker")

    monkeypatch.setattr("celery.canvas.Signature.apply_async", away)
    with django_capture_on_commit_callbacks(execute=True):
        announce("release.made", {})
    assert Delivery.objects.get().state == "waiting"


# --- trying again ---------------------------------------------------------------------------------------------------


@pytest.fixture
def waiting(told) -> Delivery:
    announce("release.made", {"release": "full-v1"})
    return Delivery.objects.get()


def test_a_refused_message_is_sent_again_later_with_the_same_id(receiver, waiting):
    receiver.answers = [500, 302]
    now = timezone.now()
    assert not delivery_send(waiting.pk, now=now)
    assert deliveries_due(now=now + timedelta(seconds=29)) == []
    later = now + timedelta(seconds=31)
    assert deliveries_due(now=later) == [waiting.pk]
    assert not delivery_send(waiting.pk, now=later)  # a redirect is not followed
    assert delivery_send(waiting.pk, now=later + timedelta(minutes=2))
    ids = {headers["X-Emotions-Id"] for headers, _ in receiver.got}
    stamps = [headers["X-Emotions-Timestamp"] for headers, _ in receiver.got]
    assert (len(receiver.got), ids, len(set(stamps))) == (3, {str(waiting.event_id)}, 3)


def test_it_is_given_up_after_the_last_attempt_and_can_be_sent_by_hand(receiver, waiting, django_capture_on_commit_callbacks):
    receiver.answers = [410] * ATTEMPTS
    now = timezone.now()
    for _ in range(ATTEMPTS):
        delivery_send(waiting.pk, now=now)
        now += timedelta(hours=7)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.status, waiting.attempts) == ("given_up", 410, ATTEMPTS)
    assert not delivery_send(waiting.pk, now=now)
    with django_capture_on_commit_callbacks(execute=True):
        delivery_repeat(waiting, now=timezone.now())
    waiting.refresh_from_db()
    assert (waiting.state, waiting.attempts) == ("delivered", 1)


def test_two_workers_send_one_message_once(receiver, waiting):
    now = timezone.now()
    assert [delivery_send(waiting.pk, now=now), delivery_send(waiting.pk, now=now)] == [True, False]
    assert len(receiver.got) == 1


def test_a_message_whose_worker_died_is_sent_again(receiver, waiting, monkeypatch):
    now = timezone.now()
    with monkeypatch.context() as killed:
        killed.setattr("crawler.fetch.message_post", _die)
        with pytest.raises(KeyboardInterrupt):
            delivery_send(waiting.pk, now=now)
    assert deliveries_due(now=now + timedelta(minutes=1)) == []
    assert delivery_send(waiting.pk, now=now + timedelta(minutes=3))


def _die(*args, **kwargs):
    raise KeyboardInterrupt


def test_the_sweep_sends_what_is_due_and_forgets_what_is_old(receiver, waiting):
    Delivery.objects.create(
        webhook=waiting.webhook, event="release.made", event_id="00000000-0000-4000-8000-000000000001", body="{}", state="delivered",
        next_at=timezone.now(), created_at=timezone.now() - timedelta(days=31),
    )  # fmt: skip
    assert deliver_due() == 1
    assert list(Delivery.objects.values_list("pk", "state")) == [(waiting.pk, "delivered")]


def test_a_stopped_receiver_is_told_nothing_until_it_resumes(receiver, waiting):
    webhook_switch(waiting.webhook, active=False)
    announce("release.made", {})
    assert (deliver_due(), Delivery.objects.count()) == (0, 1)
    webhook_switch(waiting.webhook, active=True)
    assert (deliver_due(), len(receiver.got)) == (1, 1)


def test_a_new_secret_signs_from_now_on(receiver, waiting):
    secret = webhook_renew(waiting.webhook)
    delivery_send(waiting.pk, now=timezone.now())
    [(headers, body)] = receiver.got
    assert headers["X-Emotions-Signature"] == signature(secret, int(headers["X-Emotions-Timestamp"]), body)


def test_another_secret_key_is_told_as_the_cause(receiver, waiting, settings):
    settings.SECRET_KEY = "another key, as after a careless restore of the site"
    delivery_send(waiting.pk, now=timezone.now())
    waiting.refresh_from_db()
    assert (receiver.got, waiting.state) == ([], "waiting")
    assert "SECRET_KEY" in waiting.problem


# --- the page -------------------------------------------------------------------------------------------------------

PAGE = "/people/webhooks/"


@pytest.fixture
def manager(client, db):
    client.force_login(PersonFactory(role="manager").user)
    return client


def test_a_manager_adds_one_and_sees_the_secret_once(manager, receiver):
    answer = manager.post(PAGE, {"action": "add", "url": receiver.url, "events": ["label.decided"]})
    webhook = Webhook.objects.get()
    secret = answer.context["secret"]
    assert (webhook.url, webhook.events, answer["Cache-Control"]) == (receiver.url, ["label.decided"], "no-store")
    assert secret in answer.content.decode()
    assert secret not in webhook.sealed_secret
    assert secret not in manager.get(PAGE).content.decode()


@pytest.mark.parametrize(
    ("url", "events", "problem"),
    [
        ("https://10.0.0.1/", ["label.decided"], "not a public address"),
        ("https://example.org/", [], "Events"),
        ("https://example.org/", ["label.guessed"], "Events"),
        ("nonsense", ["label.decided"], "Address"),
    ],
)
def test_a_bad_one_is_refused_and_what_was_typed_stays(manager, url, events, problem):
    answer = manager.post(PAGE, {"action": "add", "url": url, "events": events})
    assert (answer.status_code, Webhook.objects.count()) == (400, 0)
    assert problem in answer.content.decode()
    assert f'value="{url}"' in answer.content.decode()


def test_an_address_is_added_once(told, receiver):
    with pytest.raises(ValidationError, match="already exists"):
        webhook_add(url=receiver.url, events=["release.made"], by=None)


def test_a_test_message_is_sent_and_sent_again_from_the_page(manager, receiver, told, django_capture_on_commit_callbacks):
    webhook = Webhook.objects.get()
    with django_capture_on_commit_callbacks(execute=True):
        manager.post(PAGE, {"action": "test", "webhook": webhook.pk})
    with django_capture_on_commit_callbacks(execute=True):
        manager.post(PAGE, {"action": "repeat", "delivery": Delivery.objects.get().pk})
    ids = {headers["X-Emotions-Id"] for headers, _ in receiver.got}
    assert (len(receiver.got), len(ids)) == (2, 1)
    assert str(ids.pop()) in manager.get(PAGE).content.decode()


def test_stopping_and_removing(manager, told):
    webhook = Webhook.objects.get()
    stopped = manager.post(PAGE, {"action": "switch", "webhook": webhook.pk}, follow=True)
    webhook.refresh_from_db()
    assert not webhook.active
    assert "is stopped" in stopped.content.decode()
    manager.post(PAGE, {"action": "remove", "webhook": webhook.pk})
    assert not Webhook.objects.exists()


def test_the_page_takes_a_constant_number_of_queries(manager, receiver, told):
    def queries() -> int:
        with CaptureQueriesContext(connection) as count:
            assert manager.get(PAGE).status_code == 200
        return len(count)

    announce("release.made", {})
    few = queries()
    for number in range(7):
        webhook_add(url=f"https://hooks{number}.example.org/", events=["release.made"], by=None)
    for _ in range(3):
        announce("release.made", {})
    assert queries() == few


@pytest.mark.parametrize("role", ["annotator", "leader", "expert", "researcher", "data_engineer"])
def test_nobody_else_comes_in(client, db, role):
    client.force_login(PersonFactory(role=role).user)
    assert client.get(reverse("annotation:webhooks")).status_code == 403


def test_who_is_told_is_in_the_audit_log_without_the_secret(manager, told):
    webhook = Webhook.objects.get()
    manager.post(PAGE, {"action": "switch", "webhook": webhook.pk})
    secret = manager.post(PAGE, {"action": "renew", "webhook": webhook.pk}).context["secret"]
    lines = list(Event.objects.filter(what="annotation.Webhook").order_by("pk").values_list("kind", "after"))
    assert [after.get("active") for _kind, after in lines] == [True, False, None]
    webhook.refresh_from_db()
    assert not any(text in str(lines) for text in (secret, webhook.sealed_secret))
