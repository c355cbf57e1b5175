"""A sample's story on a page, and opening its label again from there."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation.models import Flag, Sample
from tests.annotation.conftest import say
from tests.factories import PersonFactory, SampleFactory

pytestmark = pytest.mark.django_db
PAGE = "/samples/"


@pytest.fixture
def decided(sample) -> Sample:
    for emotion in ("Fear", "Fear", "Tension"):
        say(sample, emotion)
    sample.refresh_from_db()
    return sample


def test_the_story_is_told_and_the_label_opened_again_with_a_reason(client, staff, decided):
    client.force_login(staff.manager.user)
    page = client.get(f"{PAGE}?clip={decided.video.number:08d}.mp4")
    assert [event.kind for event, _name in page.context["events"]] == ["distributed", "voted", "voted", "voted", "decided"]
    assert "A1" in page.content.decode()
    client.post(f"{PAGE}?clip={decided.video.number}", {"action": "reopen", "sample": decided.pk, "reason": " "})
    decided.refresh_from_db()
    assert decided.state == "decided", "a reason is needed"
    client.post(PAGE, {"action": "reopen", "sample": decided.pk, "reason": "a complaint"})
    decided.refresh_from_db()
    assert (decided.state, decided.reopened, decided.rung) == ("open", 1, "expert")
    assert "a complaint" in client.get(f"{PAGE}?clip={decided.video.number}").content.decode()
    assert [row.pk for row, _state in client.get(PAGE).context["rows"]] == [decided.pk]


def test_a_flagged_out_clip_is_taken_back_in(client, staff, sample):
    Sample.objects.filter(pk=sample.pk).update(state="excluded")
    Flag.objects.create(sample=sample, person=staff.members["A"][0], kind="broken", note="no picture")
    client.force_login(staff.manager.user)
    assert "no picture" in client.get(PAGE).content.decode()
    client.post(PAGE, {"action": "restore", "sample": sample.pk, "reason": "it plays"})
    sample.refresh_from_db()
    assert (sample.state, sample.flags.count()) == ("open", 0)
    twice = client.post(PAGE, {"action": "restore", "sample": sample.pk, "reason": "again"}, follow=True)
    assert "not excluded" in twice.content.decode()


def test_a_single_doubt_about_a_settled_clip_is_listed_until_someone_has_looked(client, staff, decided):
    Flag.objects.create(sample=decided, person=staff.members["A"][2], kind="changes_feeling", note="glad, then sad")
    client.force_login(staff.manager.user)
    assert [flag.note for flag, _state in client.get(PAGE).context["flags"]] == ["glad, then sad"]
    story = f"{PAGE}?clip={decided.video.number}"
    assert 'value="settle"' in client.get(story).content.decode()
    client.post(story, {"action": "settle", "sample": decided.pk, "reason": " "})
    assert decided.flags.count() == 1, "a reason is needed"
    told = client.post(PAGE, {"action": "settle", "sample": decided.pk, "reason": "one feeling prevails"}, follow=True)
    assert "put aside" in told.content.decode()
    assert "one feeling prevails" in told.content.decode(), "it stays on the timeline"
    decided.refresh_from_db()
    assert (decided.state, decided.label, decided.flags.count()) == ("decided", "Fear", 0)
    assert client.get(PAGE).context["flags"] == []
    twice = client.post(PAGE, {"action": "settle", "sample": decided.pk, "reason": "again"}, follow=True)
    assert "no doubt" in twice.content.decode()


def test_doubts_that_took_a_clip_out_are_not_put_aside_without_taking_it_back(client, staff, sample):
    Sample.objects.filter(pk=sample.pk).update(state="excluded")
    Flag.objects.create(sample=sample, person=staff.members["A"][0], kind="broken")
    client.force_login(staff.manager.user)
    assert client.get(PAGE).context["flags"] == []
    client.post(PAGE, {"action": "settle", "sample": sample.pk, "reason": "x"})
    assert sample.flags.count() == 1


@pytest.mark.parametrize("clip", ["99999999", "zwölf", "１２", "-1", "1" * 30])
def test_a_clip_that_is_not_there_is_said_to_be_missing(client, staff, clip):
    client.force_login(staff.manager.user)
    assert client.get(PAGE, {"clip": clip}).status_code == 404


def test_who_may_only_read_cannot_open_it(client, staff, decided):
    client.force_login(PersonFactory(role="data_engineer").user)
    page = client.get(f"{PAGE}?clip={decided.video.number}")
    assert 'value="reopen"' not in page.content.decode()
    assert client.post(PAGE, {"action": "reopen", "sample": decided.pk, "reason": "x"}).status_code == 403


def test_the_list_takes_a_constant_number_of_queries(client, staff):
    client.force_login(staff.manager.user)
    counts = []
    for more in (1, 7):
        for _ in range(more):
            for state in ("excluded", "open"):
                Flag.objects.create(sample=SampleFactory(state=state), person=staff.members["A"][0], kind="unsafe")
        with CaptureQueriesContext(connection) as queries:
            client.get(PAGE)
        counts.append(len(queries))
    assert counts[0] == counts[1]
