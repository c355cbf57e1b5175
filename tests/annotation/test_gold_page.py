"""The manager's page of gold items."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation.models import GoldItem, Sample
from tests.factories import AssignmentFactory, PersonFactory, SampleFactory, VideoFactory, VoteFactory

pytestmark = pytest.mark.django_db
PAGE = "/people/gold/"


@pytest.fixture
def manager(client):
    client.force_login(PersonFactory(role="manager").user)
    return client


def of_one_mind(emotion: str, *, votes: tuple[str, ...] | None = None) -> Sample:
    sample = SampleFactory(state="decided", label=emotion, decided_rung="member")
    for seat, said in enumerate(votes or (emotion,) * 3):
        turn = AssignmentFactory(sample=sample, seat=seat, state="submitted")
        VoteFactory(sample=sample, emotion=said, person=turn.person, assignment=turn)
    return sample


def test_what_three_members_agree_on_is_offered_and_becomes_a_gold_item(manager):
    sure, split = of_one_mind("Fear"), of_one_mind("Fear", votes=("Fear", "Fear", "Tension"))
    page = manager.get(PAGE)
    assert [sample.pk for sample, _clip in page.context["candidates"]] == [sure.pk]
    said = {"clip": sure.video.number, "emotion": "Fear", "in_test": "1", "hidden": "1", "source": "M. Anager"}
    manager.post(PAGE, said)
    item = GoldItem.objects.get()
    assert (item.video_id, item.emotions, item.source, item.in_test, item.hidden) == (sure.video_id, ["Fear"], "M. Anager", True, True)
    assert manager.get(PAGE).context["candidates"] == []
    assert not GoldItem.objects.filter(video=split.video).exists()


def test_a_clip_is_named_by_number_or_file_and_changed_in_place(manager):
    video = VideoFactory(number=4711)
    said = {"clip": "00004711.mp4", "emotion": "Sadness", "also": ["Tension", "Sadness"], "in_test": "1", "hidden": "1", "source": "a"}
    manager.post(PAGE, said)
    assert GoldItem.objects.get().emotions == ["Sadness", "Tension"]
    manager.post(PAGE, {"clip": "4711", "emotion": "Tension", "source": "b"})
    item = GoldItem.objects.get()
    assert (item.video, item.emotions, item.in_test, item.hidden) == (video, ["Tension"], False, False)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"clip": "999999"}, "There is no clip 00999999"),
        ({"clip": "twelve"}, "Clip"),
        ({"emotion": "Joy"}, "Emotion"),
        ({"source": " "}, "vouches"),
    ],
)
def test_what_makes_no_sense_is_refused(manager, change, problem):
    VideoFactory(number=12)
    answer = manager.post(PAGE, {"clip": "12", "emotion": "Fear", "source": "me", **change})
    assert (answer.status_code, GoldItem.objects.count()) == (400, 0)
    assert problem in answer.content.decode()


def test_a_clip_that_nobody_can_be_shown_is_refused(manager):
    VideoFactory(number=12, file="")
    answer = manager.post(PAGE, {"clip": "12", "emotion": "Fear", "source": "me"})
    assert (answer.status_code, GoldItem.objects.count()) == (400, 0)


def test_how_often_it_was_answered_right_is_shown(manager):
    sample = SampleFactory()
    GoldItem.objects.create(video=sample.video, emotions=["Fear", "Tension"], source="x")
    for said in ("Fear", "Tension", "Neutral", "Sadness"):
        VoteFactory(sample=sample, emotion=said, round="gold")
    [row] = manager.get(PAGE).context["rows"]
    assert (row["num_met"], row["num_right"]) == (4, 2)


def test_the_page_takes_a_constant_number_of_queries(manager):
    counts = []
    for more in (1, 6):
        for _ in range(more):
            of_one_mind("Fear")
            GoldItem.objects.create(video=SampleFactory().video, emotions=["Fear"], source="x")
        with CaptureQueriesContext(connection) as queries:
            manager.get(PAGE)
        counts.append(len(queries))
    assert counts[0] == counts[1]
