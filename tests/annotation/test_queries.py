"""How many times the two calls that people wait for, and every list, ask the database."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation import selectors
from annotation.models import Batch, Person, StaffChange
from annotation.services import distribute
from tests.annotation.conftest import hire
from tests.factories import AssignmentFactory, GroupFactory, PersonFactory, SampleFactory, VideoFactory, VoteFactory

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


LISTS = [
    ("manager", "/people/"),
    ("manager", "/api/v1/people"),
    ("manager", "/api/v1/samples"),
    ("manager", "/api/v1/groups"),
    ("leader", "/leader/"),
    ("leader", "/api/v1/batches"),
    ("leader", "/api/v1/samples"),
    ("expert", "/expert/"),
    ("annotator", "/me/"),
    ("annotator", "/api/v1/me/votes"),
]


@pytest.mark.parametrize(("role", "path"), LISTS)
def test_every_list_takes_as_many_queries_at_two_sizes(client, role, path):
    group = GroupFactory(letter="A")
    me = PersonFactory(role=role, group=group if role != "manager" else None)
    client.force_login(me.user)
    counts = []
    for more in (2, 9):
        for _ in range(more):
            batch = Batch.objects.create(group=group, opened_by=me)
            sample = SampleFactory(group=group, batch=batch, state="decided", label="Fear", decided_rung="member")
            VoteFactory(sample=sample, person=me, assignment=AssignmentFactory(sample=sample, person=me, state="submitted"))
            above = SampleFactory(group=group, batch=batch, rung="leader")
            AssignmentFactory(sample=above, person=me, rung="leader" if role == "leader" else "expert")
            PersonFactory(group=group)
            StaffChange.objects.create(person=me, kind="moved")
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1], path


def test_the_overviews_count_what_is_there(client):
    group, other = GroupFactory(letter="A"), GroupFactory(letter="B")
    alice = PersonFactory(group=group)
    batch = Batch.objects.create(group=group)
    decided = SampleFactory(group=group, batch=batch, state="decided", label="Fear", decided_rung="member")
    SampleFactory(group=group, batch=batch, state="excluded")
    SampleFactory(group=group, batch=batch, rung="leader")
    SampleFactory(group=other)
    turn = AssignmentFactory(sample=decided, person=alice, state="submitted")
    vote = VoteFactory(sample=decided, person=alice, assignment=turn)
    VoteFactory(person=alice, created_at=timezone.now() - timedelta(days=15), assignment=AssignmentFactory(person=alice, state="skipped"))
    AssignmentFactory(person=alice)
    told = selectors.batches(group).get()
    assert (told.num_samples, told.num_decided, told.num_excluded, told.num_above, told.num_voted) == (3, 1, 1, 1, 1)
    progress = {one.letter: (one.num_samples, one.num_open, one.num_decided) for one in selectors.groups_progress()}
    assert progress["A"][:3] >= (3, 1, 1)
    assert progress["B"] == (1, 1, 0)
    person = selectors.people_overview().get(pk=alice.pk)
    assert (person.num_votes, person.last_vote_at) == (1, vote.created_at)
    member = selectors.members_progress(group).get(pk=alice.pk)
    assert (member.num_done, member.num_waiting, member.num_skipped) == (1, 1, 1)
    assert selectors.loads(Person.objects.filter(pk=alice.pk)) == {alice.pk: 1}


@pytest.mark.parametrize(
    ("asked", "found", "titles_read"),
    [("42", "a", False), ("7349", "b", False), ("73", "", True), ("Sunset", "b", True), ("9" * 30, "", True)],
    ids=["number", "id", "part of an id", "title", "no number"],
)
def test_the_administration_reads_every_title_only_for_what_is_no_number_and_no_id(client, asked, found, titles_read):
    VideoFactory(number=42, platform_id="a1", title="a")
    VideoFactory(number=43, platform_id="7349", title="b sunset")
    client.force_login(PersonFactory(role="admin", user__is_staff=True).user)
    with CaptureQueriesContext(connection) as queries:
        page = client.get("/admin/crawler/video/", {"q": asked})
    assert [video.title[:1] for video in page.context["cl"].result_list] == [*found]
    assert any("UPPER" in query["sql"] or "LIKE" in query["sql"] for query in queries) is titles_read
