import pytest
from django.test import Client

from tests.factories import UserFactory
from training import services
from training.models import Run

pytestmark = pytest.mark.django_db
URL = "/api/v1/runs"


@pytest.fixture
def dana_client(dana):
    client = Client()
    client.force_login(dana)
    return client


def post(client, url, body=None):
    return client.post(url, body or {}, content_type="application/json")


def test_a_run_is_started_listed_and_followed(dana_client, release):
    answer = post(dana_client, URL, {"recipe": "debug", "release": "all-1", "seed": 7, "overrides": {"epochs": 1}})
    assert answer.status_code == 201
    run = answer.json()
    assert (run["state"], run["requested_by"], run["release"], run["seed"]) == ("queued", "dana", "all-1", 7)
    again = post(dana_client, URL, {"recipe": "debug", "release": "all-1", "seed": 7, "overrides": {"epochs": 1}})
    assert (again.status_code, again.json()["id"]) == (200, run["id"])
    assert [one["id"] for one in dana_client.get(URL).json()["results"]] == [run["id"]]
    assert dana_client.get(f"{URL}/{run['id']}").json() == run
    followed = dana_client.get(f"{URL}/{run['id']}/metrics").json()
    assert followed == {"state": "queued", "is_live": True, "progress": {}, "far": None, "curves": {}}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid"),
        ({"recipe": "nonsense", "release": "all-1"}, 400, "unknown_recipe"),
        ({"recipe": "debug", "release": "absent"}, 404, "not_found"),
        ({"recipe": "debug", "release": "all-1", "seed": -1}, 400, "invalid"),
        ({"recipe": "debug", "release": "all-1", "overrides": {"colour": 1}}, 400, "bad_override"),
        ({"recipe": "debug", "release": "all-1", "overrides": {"lr": 1e400}}, 400, None),
        ({"recipe": "debug", "release": "all-1", "overrides": {"init_from": "a\x00b"}}, 400, "bad_override"),
        ({"recipe": "debug", "release": "all-1", "overrides": {"epochs": {"a": [1]}}}, 400, "bad_override"),
    ],
)
def test_bad_requests_are_refused_with_a_code(dana_client, release, body, status, code):
    answer = post(dana_client, URL, body)
    assert answer.status_code == status
    assert code in (None, answer.json()["code"])
    assert not Run.objects.exists()


@pytest.fixture
def danas_run(release, dana):
    return services.run_start(recipe="debug", release=release, user=dana)


@pytest.mark.parametrize(("verb", "path"), [("get", "log"), ("post", "cancel"), ("post", "retry")])
def test_another_persons_run_is_as_absent_as_none(erin, admin, danas_run, verb, path):
    client = Client()
    client.force_login(erin)
    foreign = getattr(client, verb)(f"{URL}/{danas_run.pk}/{path}")
    absent = getattr(client, verb)(f"{URL}/999999/{path}")
    assert (foreign.status_code, absent.status_code) == (404, 404)
    assert foreign.json() == absent.json()
    client.force_login(admin)
    assert getattr(client, verb)(f"{URL}/{danas_run.pk}/{path}").status_code != 404


def test_the_owner_cancels_and_retries(dana_client, danas_run):
    assert post(dana_client, f"{URL}/{danas_run.pk}/cancel").json()["state"] == "cancelled"
    assert post(dana_client, f"{URL}/{danas_run.pk}/retry").json()["state"] == "queued"
    assert post(dana_client, f"{URL}/{danas_run.pk}/retry").json()["code"] == "not_over"


def test_the_curves_and_the_log_come_from_the_run_folder(dana_client, danas_run, fake_engine):
    services.run_execute(danas_run.pk)
    curves = dana_client.get(f"{URL}/{danas_run.pk}/metrics").json()["curves"]
    assert [row["epoch"] for row in curves["val"]] == [0, 1, 2]
    assert "fake engine" in dana_client.get(f"{URL}/{danas_run.pk}/log").json()["log"]


def test_who_may_not_see_runs_gets_403_and_a_stranger_401_or_403(client, danas_run):
    assert client.get(URL).status_code in (401, 403)
    client.force_login(UserFactory(role="annotator"))
    assert client.get(URL).status_code == 403
    assert post(client, URL, {"recipe": "debug", "release": "all-1"}).status_code == 403
    assert client.get(f"{URL}/{danas_run.pk}/log").status_code == 403
