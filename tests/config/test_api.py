import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404
from rest_framework import exceptions

from config import api


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
    assert client.get("/api/v1/readyz").json() == {"status": "ready", "checks": {"database": "ok", "disk": "ok"}}


@pytest.mark.django_db
def test_a_full_disk_makes_the_site_not_ready(client, monkeypatch):
    monkeypatch.setattr(api, "LEAST_FREE_BYTES", 2**80)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "MiB free" in response.json()["checks"]["disk"]
