"""Every route of the site × every role: who gets through the gate. A route without a row here fails."""

import pytest
from django.test import Client
from django.urls import NoReverseMatch, reverse

from tests.factories import PersonFactory
from tests.security.site import routes

pytestmark = pytest.mark.django_db

ROLES = ("annotator", "leader", "expert", "manager", "data_engineer", "researcher", "admin")
ANYONE = "anyone"  # not signed in either
SIGNED_IN = " ".join(ROLES)  # rows of others are 404 inside
LABELS = "annotator leader expert"
SEES_COLLECTION = "manager data_engineer admin"
RUNS_STAGES = "data_engineer admin"
PEOPLE = "manager admin"
QUALITY = "manager researcher admin"
DATASET = "manager data_engineer researcher admin"
TRAINING = "researcher admin"
# Example values of the arguments: no row has them.
ARGUMENTS = {
    "pk": 999_999,
    "token": "x",
    "uidb64": "x",
    "action": "keep",
    "stage": "sA",
    "letter": "A",
    "index": 0,
    "name": "x",
    "number": 1,
    "emotion": "Fear",
}

EXPECTED: dict[str, dict[str, str]] = {
    # the site
    "login": {"get": ANYONE, "post": ANYONE},
    "account_login": {"get": ANYONE, "post": ANYONE},  # the same page, by the name that allauth looks for
    "mfa_authenticate": {"get": ANYONE, "post": ANYONE},  # leads away who has not given a password: test_second_factor.py
    "openid_connect_login": {"get": ANYONE},  # 404 unless there is a sign-in server: test_single_sign_on.py
    "openid_connect_callback": {"get": ANYONE},
    "first_password": {"get": ANYONE, "post": ANYONE},  # the token says whose: tests/annotation/test_invitations.py
    "logout": {"post": ANYONE},
    "set_language": {"post": ANYONE},
    "schema": {"get": ANYONE},
    "metrics": {"get": ANYONE},  # asks for the token or for this machine: tests/config/test_status.py
    "healthz": {"get": ANYONE},
    "readyz": {"get": ANYONE},
    "home": {"get": SIGNED_IN},
    "status": {"get": PEOPLE},
    "audit": {"get": PEOPLE},
    "failed_tasks": {"get": PEOPLE},
    "failed_task_settle": {"post": "admin"},
    "account": {"get": SIGNED_IN},
    "password_change": {"post": SIGNED_IN},
    "account_reauthenticate": {"get": SIGNED_IN, "post": SIGNED_IN},
    "mfa_reauthenticate": {"get": SIGNED_IN, "post": SIGNED_IN},
    "mfa_index": {"get": SIGNED_IN},
    "mfa_activate_totp": {"get": SIGNED_IN, "post": SIGNED_IN},
    "mfa_deactivate_totp": {"get": SIGNED_IN, "post": SIGNED_IN},
    "mfa_view_recovery_codes": {"get": SIGNED_IN},
    "mfa_generate_recovery_codes": {"get": SIGNED_IN, "post": SIGNED_IN},
    "sessions_close": {"post": SIGNED_IN},
    "key_make": {"post": SIGNED_IN},
    "key_revoke": {"post": SIGNED_IN},
    # crawler
    "crawler:collect": {"get": SEES_COLLECTION},
    "crawler:funnel": {"get": SEES_COLLECTION},
    "crawler:stage-new": {"post": RUNS_STAGES},
    "crawler:stage-start": {"post": RUNS_STAGES},
    "crawler:stage-stop": {"post": RUNS_STAGES},
    "crawler:term-block": {"post": RUNS_STAGES},
    "crawler:review": {"get": RUNS_STAGES},
    "crawler:decide": {"post": RUNS_STAGES},
    "crawler:clip": {"get": SIGNED_IN},  # the token names the person it is for
    # annotation
    "annotation:annotate": {"get": "annotator"},
    "annotation:qualify": {"get": "annotator"},
    "annotation:leader": {"get": "leader", "post": "leader"},
    "annotation:expert": {"get": "expert"},
    "annotation:me": {"get": SIGNED_IN, "post": SIGNED_IN},
    "annotation:people": {"get": PEOPLE, "post": PEOPLE},
    "annotation:samples": {"get": "manager data_engineer admin", "post": PEOPLE},
    "annotation:hints": {"get": QUALITY},
    "annotation:gold": {"get": PEOPLE, "post": PEOPLE},
    "annotation:webhooks": {"get": PEOPLE, "post": PEOPLE},
    "annotation:api-next": {"post": LABELS},
    "annotation:api-draft": {"put": LABELS},
    "annotation:api-submit": {"post": LABELS},
    "annotation:api-skip": {"post": LABELS},
    "annotation:api-flag": {"post": LABELS},
    "annotation:api-heartbeat": {"post": LABELS},
    "annotation:api-hint": {"post": LABELS},
    "annotation:api-undo": {"post": LABELS},
    "annotation:api-adjectives": {"get": SIGNED_IN},
    "annotation:api-my-progress": {"get": SIGNED_IN},
    "annotation:api-my-votes": {"get": SIGNED_IN},
    "annotation:api-preferences": {"get": SIGNED_IN, "put": SIGNED_IN},
    "annotation:api-qualification": {"post": "annotator"},
    "annotation:api-qualification-submit": {"post": "annotator"},
    "annotation:api-samples": {"get": "leader manager data_engineer admin"},
    "annotation:api-timeline": {"get": SIGNED_IN},
    "annotation:api-reopen": {"post": PEOPLE},
    "annotation:api-restore": {"post": PEOPLE},
    "annotation:api-batches": {"get": "leader", "post": "leader"},
    "annotation:api-batch": {"get": "leader"},
    "annotation:api-collect": {"post": "leader"},
    "annotation:api-groups": {"get": "manager data_engineer admin"},
    "annotation:api-groups-assign": {"post": PEOPLE},
    "annotation:api-people": {"get": PEOPLE},
    "annotation:api-people-import": {"post": PEOPLE},
    "annotation:api-people-swap": {"post": PEOPLE},
    "annotation:api-person": {"get": PEOPLE},
    "annotation:api-pause": {"post": PEOPLE},
    "annotation:api-resume": {"post": PEOPLE},
    # qa
    "qa:quality": {"get": QUALITY},
    "qa:measure": {"post": QUALITY},
    "qa:behind": {"get": QUALITY},
    "qa:design": {"get": QUALITY, "post": QUALITY},
    "qa:design_table": {"get": QUALITY},
    "qa:quality_table": {"get": QUALITY},
    "qa:opinions_file": {"get": QUALITY},
    "qa:ratio": {"get": QUALITY},
    "qa:rows": {"get": QUALITY},
    "qa:replace": {"post": PEOPLE},
    "qa:propose": {"post": PEOPLE},
    "qa:step": {"post": PEOPLE},
    "qa:dataset": {"get": DATASET},
    "qa:figure": {"get": DATASET},
    "qa:table": {"get": DATASET},
    "qa:lineage": {"get": "manager data_engineer admin"},
    "qa:release": {"get": DATASET},
    "qa:release_new": {"get": "data_engineer admin", "post": "data_engineer admin"},
    "qa:release_download": {"get": DATASET},
    "qa:release_verify": {"post": DATASET},
    "qa:release_diff": {"get": DATASET},
    "qa:mos": {"get": "expert"},
    "qa:mos_study": {"get": "expert", "post": "expert"},
    "qa:mos_clip": {"get": "expert"},
    "qa:api_consistency": {"get": QUALITY},
    "qa:api_releases": {"get": DATASET},
    # training
    "training:runs": {"get": TRAINING},
    "training:run": {"get": TRAINING},
    "training:run_file": {"get": TRAINING},
    "training:compare": {"get": TRAINING},
    "training:run_start": {"post": TRAINING},
    "training:run_cancel": {"post": TRAINING},
    "training:run_retry": {"post": TRAINING},
    "training:prelabels_ask": {"post": TRAINING},
    "training:windows_ask": {"post": TRAINING},
    "training:schedule_save": {"post": TRAINING},
    "training:schedule_delete": {"post": TRAINING},
    "training:api-run-list": {"get": TRAINING, "post": TRAINING},
    "training:api-run-detail": {"get": TRAINING},
    "training:api-run-metrics": {"get": TRAINING},
    "training:api-run-log": {"get": TRAINING},
    "training:api-run-cancel": {"post": TRAINING},
    "training:api-run-retry": {"post": TRAINING},
}
METHODS = ("get", "post", "put", "patch", "delete")
UNNAMED = {"healthz", "readyz"}  # the same views under their short addresses


def address(name: str, arguments: list[str]) -> str:
    return reverse(name, kwargs={argument: ARGUMENTS[argument] for argument in arguments})


def all_routes() -> list:
    return [route for route in routes() if route.pattern not in UNNAMED]


@pytest.fixture
def clients(monkeypatch):
    """A browser for nobody and one for each role."""
    monkeypatch.setattr("config.views.workers", lambda: [])
    found = {"nobody": Client(raise_request_exception=False)}
    for role in ROLES:
        found[role] = Client(raise_request_exception=False)
        found[role].force_login(PersonFactory(role=role).user)
    return found


def test_every_route_has_a_row_and_every_row_a_route():
    assert {route.name for route in all_routes()} == set(EXPECTED)


def ask(client: Client, method: str, url: str) -> str:
    """gate: sent to sign in or refused; no such: this method does nothing here; else through."""
    body = {} if method == "get" else {"data": {}, "content_type": "application/json"}
    answer = getattr(client, method)(url, **body)
    assert answer.status_code < 500, f"{method} {url}: {answer.status_code}"
    if answer.status_code in (401, 403) or (answer.status_code == 302 and reverse("login") in answer.url):
        return "gate"
    return "no such" if answer.status_code == 405 else "through"


@pytest.mark.parametrize("app", ["", "crawler", "annotation", "qa", "training"])
def test_who_gets_through(clients, app):
    wrong = []
    for route in all_routes():
        row = EXPECTED[route.name]
        if route.name.rpartition(":")[0] != app or ANYONE in row.values():
            continue
        url = address(route.name, route.arguments)
        for method in METHODS:
            for role, client in clients.items():
                outcome = ask(client, method, url)
                allowed = method in row and role in row[method].split()
                if outcome != ("through" if allowed else "gate") and (method in row or outcome == "through"):
                    wrong.append(f"{route.name}: {role} with {method.upper()}: {outcome}")
    assert wrong == []


def test_the_open_routes_are_these_and_no_more():
    open_ones = {name for name, row in EXPECTED.items() if ANYONE in row.values()}
    signing_in = {
        "login",
        "account_login",
        "mfa_authenticate",
        "openid_connect_login",
        "openid_connect_callback",
        "first_password",
        "logout",
    }
    assert open_ones == signing_in | {"set_language", "schema", "metrics", "healthz", "readyz"}
    for name in open_ones - {"first_password"}:  # whose argument is the secret itself
        try:
            reverse(name)
        except NoReverseMatch:
            pytest.fail(f"{name} takes arguments: an open route must take none")
