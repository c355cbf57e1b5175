"""The pages of labelling without a browser: who may open them, what they hold, how many queries they take."""

from __future__ import annotations

import json
import re

import pytest
from django.urls import reverse

from annotation.models import Assignment, Batch, Person, Sample
from tests.factories import AssignmentFactory, GroupFactory, PersonFactory, SampleFactory, VideoFactory, VoteFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def group():
    return GroupFactory(letter="A")


def sign_in(client, role: str, **fields: object) -> Person:
    person = PersonFactory(role=role, **fields)
    client.force_login(person.user)
    return person


@pytest.mark.parametrize(
    ("page", "role"),
    [("annotate", "annotator"), ("leader", "leader"), ("expert", "expert"), ("me", "annotator"), ("me", "manager")],
)
def test_a_role_opens_its_page(client, page: str, role: str) -> None:
    sign_in(client, role)
    assert client.get(reverse(f"annotation:{page}")).status_code == 200


@pytest.mark.parametrize(
    ("page", "role"), [("annotate", "expert"), ("leader", "annotator"), ("expert", "leader"), ("annotate", "researcher")]
)
def test_another_role_is_refused(client, page: str, role: str) -> None:
    sign_in(client, role)
    assert client.get(reverse(f"annotation:{page}")).status_code == 403


@pytest.mark.parametrize("page", ["annotate", "leader", "expert", "me"])
def test_a_stranger_is_sent_to_sign_in(client, page: str) -> None:
    answer = client.get(reverse(f"annotation:{page}"))
    assert (answer.status_code, answer.url.partition("?")[0]) == (302, "/sign-in/")


def test_the_page_hands_the_script_all_62_adjectives(client) -> None:
    sign_in(client, "annotator")
    page = client.get("/annotate/").content.decode()
    data = json.loads(re.search(r'<script id="workbench-data" type="application/json">(.*?)</script>', page)[1])
    assert len(data["taxonomy"]["adjectives"]) == 62
    assert [emotion["key"][0] for emotion in data["taxonomy"]["emotions"]] == list("EFNRST")


def test_no_page_has_an_inline_script_or_style(client, group) -> None:
    sign_in(client, "leader", group=group)
    for path in ("/leader/", "/me/"):
        page = client.get(path).content.decode()
        scripts = re.findall(r"<script(?![^>]*(src=|application/json))[^>]*>", page)
        assert not scripts, path
        assert not re.findall(r"<[^>]+\s(style|on\w+)=", page), path


def test_the_leader_reads_why_each_sample_came(client, group) -> None:
    lea = sign_in(client, "leader", group=group)
    AssignmentFactory(person=lea, rung="leader", sample__rung="leader", sample__group=group)
    AssignmentFactory(person=lea, rung="exchange", sample__rung="exchange", sample__group=GroupFactory(letter="B"))
    page = client.get("/leader/").content.decode()
    assert "three members named three different emotions" in page
    assert "group and leader all named different emotions" in page


def test_the_leaders_page_takes_a_constant_number_of_queries(client, group, django_assert_max_num_queries) -> None:
    lea = sign_in(client, "leader", group=group)
    for _ in range(7):
        batch = Batch.objects.create(group=group, opened_by=lea)
        sample = SampleFactory(group=group, batch=batch, rung="leader")
        AssignmentFactory(person=lea, sample=sample, rung="leader")
        PersonFactory(group=group)
    with django_assert_max_num_queries(14):
        client.get("/leader/")


@pytest.mark.parametrize("size", ["0", "3001", "many", ""])
def test_a_batch_of_no_sensible_size_is_refused(client, group, size: str) -> None:
    sign_in(client, "leader", group=group)
    VideoFactory.create_batch(2)
    answer = client.post("/leader/", {"size": size}, follow=True)
    assert b'class="error"' in answer.content
    assert not Sample.objects.exists()


def test_a_leader_collects_only_batches_of_the_own_group(client, group) -> None:
    sign_in(client, "leader", group=group)
    other = Batch.objects.create(group=GroupFactory(letter="B"))
    assert client.post("/leader/", {"collect": other.pk}).status_code == 404
    own = Batch.objects.create(group=group)
    client.post("/leader/", {"collect": own.pk})
    own.refresh_from_db()
    other.refresh_from_db()
    assert (own.collected_at is not None, other.collected_at) == (True, None)


def test_own_history_shows_nobody_elses_votes(client) -> None:
    alice = sign_in(client, "annotator")
    VoteFactory(person=alice, adjective="calm", emotion="Relaxation")
    VoteFactory(adjective="gruesome", emotion="Fear")
    page = client.get("/me/").content.decode()
    assert "Calm" in page
    assert "Gruesome" not in page.partition("Wellbeing")[0]


def test_bad_wellbeing_changes_nothing(client) -> None:
    alice = sign_in(client, "annotator")
    client.post("/me/", {"break_minutes": "999", "opted_out": ["gore"]})
    alice.refresh_from_db()
    assert (alice.preferences, alice.opted_out) == ({}, [])


def test_the_api_refuses_settings_it_does_not_know(client) -> None:
    sign_in(client, "annotator")
    answer = client.put("/api/v1/me/preferences", {"preferences": {"keys": {"mute": "<b>"}}}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_get_changes_nothing(client, group) -> None:
    lea = sign_in(client, "leader", group=group)
    AssignmentFactory(person=lea, rung="leader")
    before = list(Assignment.objects.values())
    for path in ("/leader/", "/me/", "/leader/?size=5", "/me/?keys=1"):
        client.get(path)
    assert list(Assignment.objects.values()) == before
