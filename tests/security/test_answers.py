"""What every answer of the site carries, and that asking changes nothing."""

import re

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import NoReverseMatch, reverse

from tests.security.site import Route, routes

pytestmark = pytest.mark.django_db
WRITES = re.compile(r"^\s*(INSERT|UPDATE|DELETE|REPLACE|CREATE|DROP|ALTER|TRUNCATE)", re.IGNORECASE)
HARMLESS = ("django_session", "SAVEPOINT")  # a session's own row may be prolonged
INLINE = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (rb"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", rb"\sstyle=", rb"\son\w+=", rb"<style")
]
TEXT = ("text/html", "text/plain", "application/json", "application/vnd.oai.openapi", "text/css", "text/javascript", "text/csv")


def get_routes() -> list[Route]:
    return [route for route in routes() if not route.arguments]


@pytest.fixture
def root(monkeypatch):
    monkeypatch.setattr("config.views.workers", lambda: [])
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="a long password"))
    return client


def address(route: Route) -> str:
    try:
        return reverse(route.name)
    except NoReverseMatch:
        return "/" + route.pattern.replace("^", "").replace("$", "")


@pytest.mark.parametrize("route", get_routes(), ids=lambda route: route.name)
def test_every_page_carries_the_headers_and_no_inline_code(root, route):
    answer = root.get(address(route))
    assert answer.status_code < 500
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "object-src 'none'" in policy
    assert "default-src 'self'" in policy
    assert "Content-Security-Policy-Report-Only" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    if answer.status_code == 200 and not answer.streaming:
        assert answer.headers["Content-Type"].partition(";")[0] in TEXT
        if answer.headers["Content-Type"].startswith("text/html"):
            found = [match.group() for pattern in INLINE for match in pattern.finditer(answer.content)]
            assert not found, f"inline code that the policy forbids: {found[:3]}"
            assert not re.search(rb'(src|href)="(https?:)?//', answer.content), "something from elsewhere"


@pytest.mark.parametrize("route", get_routes(), ids=lambda route: route.name)
def test_asking_changes_nothing(root, route):
    written = []

    def watch(execute, sql, params, many, context):
        if WRITES.match(sql) and not any(word in sql for word in HARMLESS):
            written.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        root.get(address(route))
    assert written == []


def test_the_api_is_never_shown_as_a_page(root):
    answer = root.get("/api/v1/runs", headers={"Accept": "text/html"})
    assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("path", ["/api/v1/runs", "/api/v1/samples", "/api/v1/people", "/api/v1/releases", "/api/v1/batches"])
@pytest.mark.parametrize("query", ["requested_by__password__startswith=a", "ordering=requested_by__password", "user__password__regex=.*"])
def test_a_query_reaches_no_field_that_it_should_not(root, path, query):
    plain, odd = root.get(path), root.get(f"{path}?{query}")
    assert odd.status_code in (plain.status_code, 400)
    if odd.status_code == 200:
        assert odd.json() == plain.json()


@pytest.mark.parametrize(
    "path", ["/%00", "/train/99999999999999999999999999/", "/api/v1/runs/999999999999999999", "/train/compare/?run=" + "9" * 40]
)
def test_odd_addresses_are_refused_quietly(root, path):
    assert root.get(path).status_code in (200, 400, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/dataset/lineage/?video=%00",
        "/quality/%00/rows/",
        "/samples/?clip=7%00",
        "/admin/auth/user/?q=%00",
        "/status/audit/?who=%00",
        "/api/v1/samples?state=%00",
    ],
)
def test_an_address_with_a_nul_is_refused_before_the_database_sees_it(root, path):
    answer = root.get(path)
    assert answer.status_code == 400
    if path.startswith("/api/"):
        assert answer.json()["code"]


def test_a_form_without_its_token_is_refused(root):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="root"))
    for name in ("training:run_start", "training:schedule_save", "logout", "set_language"):
        assert strict.post(reverse(name), {}).status_code == 403
    assert strict.post("/api/v1/runs", {}, content_type="application/json").status_code == 403
