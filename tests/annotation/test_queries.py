"""How many times the two calls that people wait for ask the database."""

from __future__ import annotations

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation.services import distribute
from tests.annotation.conftest import hire
from tests.factories import VideoFactory

pytestmark = pytest.mark.django_db
NEXT, SUBMIT = 7, 9  # session and user among them


@pytest.fixture
def call(client):
    """Posts as a signed-in member; gives the answer's body and the queries that it took."""
    client.force_login(hire("A").members["A"][0].user)

    def post(path: str, body: dict) -> tuple[dict, list[str]]:
        with CaptureQueriesContext(connection) as queries:
            answer = client.post(f"/api/v1/{path}", body, content_type="application/json")
        assert answer.status_code == 200, answer.content
        return answer.json(), [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]

    return post


@pytest.mark.parametrize("samples", [3, 40])
def test_next_and_submit_take_a_fixed_number_of_queries(call, samples):
    VideoFactory.create_batch(samples)
    distribute()
    turn, asked = call("assignments/next", {})
    vote = {"client_id": str(uuid.uuid4()), "adjective": "calm", "confidence": 0.7, "lease_token": turn["lease_token"]}
    _, cast = call(f"assignments/{turn['assignment']}/submit", vote)

    assert (len(asked), len(cast)) == (NEXT, SUBMIT)
