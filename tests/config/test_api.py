import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import InterfaceError, OperationalError
from django.http import Http404
from kombu.exceptions import OperationalError as BrokerError
from rest_framework import exceptions

from config import api, views
from tests.factories import PersonFactory


def answer(error):
    response = api.exception_handler(error, {})
    assert response is not None
    return response.status_code, response.data


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ValidationError("Confidence is missing.", code="confidence_missing"), 400, "confidence_missing"),
        (PermissionDenied("Not your turn."), 403, "permission_denied"),
        (Http404(), 404, "not_found"),
        (exceptions.NotAuthenticated(), 401, "not_authenticated"),
        (exceptions.Throttled(wait=3), 429, "throttled"),
    ],
)
def test_every_error_has_a_detail_and_a_code(error, status, code):
    got_status, data = answer(error)
    assert (got_status, data["code"]) == (status, code)
    assert isinstance(data["detail"], str)
    assert data["detail"]


def test_a_bad_form_names_its_fields():
    status, data = answer(exceptions.ValidationError({"confidence": ["A number is required."]}))
    assert status == 400
    assert data["code"] == "invalid"
    assert data["fields"]["confidence"] == ["A number is required."]


def test_a_bug_is_not_dressed_up_as_an_answer():
    assert api.exception_handler(RuntimeError("bug"), {}) is None


@pytest.mark.django_db
def test_the_site_says_that_it_is_ready(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/api/v1/readyz").json() == {"status": "ready", "checks": {"database": "ok", "disk": "ok", "clips": "ok"}}


@pytest.mark.django_db
def test_a_full_disk_makes_the_site_not_ready(client, monkeypatch):
    monkeypatch.setattr(api, "LEAST_FREE_BYTES", 2**80)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "MiB free" in response.json()["checks"]["disk"]


def test_what_django_refuses_is_json_to_programs_and_a_page_to_people(client):
    answer = client.get("/api/v1/people/none-of-a-number")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert client.get("/nowhere/").headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("error", [OperationalError("server closed the connection"), InterfaceError("connection already closed")])
def test_a_database_that_is_away_is_a_503_that_may_be_sent_again(error):
    answer = api.exception_handler(error, {})
    assert (answer.status_code, answer.data["code"], answer.headers["Retry-After"]) == (503, "unavailable", "1")
    assert "closed" not in answer.data["detail"], "what the database said is for the log"


@pytest.mark.parametrize("query", ["limit=many", "limit=0", "limit=-1", "offset=-1", "offset=1e3", "limit=٣", "limit=9999999999"])
@pytest.mark.parametrize("path", ["runs", "releases", "people", "samples", "me/votes"])
@pytest.mark.django_db
def test_a_page_that_makes_no_sense_is_refused(client, path, query):
    person = PersonFactory(role="admin")
    client.force_login(person.user)
    answer = client.get(f"/api/v1/{path}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert client.get(f"/api/v1/{path}?limit=3&offset=0").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("error", [BrokerError("no broker"), OperationalError("no database")])
def test_a_page_says_what_is_away_and_that_it_may_be_asked_again(client, monkeypatch, error):
    def away(*args, **kwargs):
        raise error

    client.raise_request_exception = False
    client.force_login(PersonFactory(role="manager").user)
    monkeypatch.setattr(views, "status", away)
    answered = client.get("/status/")
    assert (answered.status_code, answered["Retry-After"]) == (503, "60")
    assert "Back in a moment" in answered.content.decode()
    monkeypatch.setattr(views, "status", lambda: 1 / 0)
    assert client.get("/status/").status_code == 500
