"""The page of the labelling test: what it says in each state, and that nothing on it gives an answer away."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation import services
from annotation.models import GoldItem, Person, QualificationAttempt
from annotation.rules import sentiment
from tests.factories import PersonFactory, VideoFactory

pytestmark = pytest.mark.django_db

QUALIFY = "/qualify/"


@pytest.fixture
def novice(client) -> Person:
    person = PersonFactory(role="annotator", qualified_at=None)
    client.force_login(person.user)
    return person


@pytest.fixture
def gold() -> list[GoldItem]:
    return [services.gold_add(video_id=VideoFactory().pk, emotions=["Fear"], source="experts") for _ in range(6)]


def post(client, path: str, body: dict):
    return client.post(f"/api/v1/{path}", json.dumps(body), content_type="application/json")


def take(client, part: str, *, wrong: int = 0) -> dict:
    """Sits a part through the API, answering as the page does: by place; the first `wrong` fearful items as Sadness."""
    told = post(client, "qualification", {"part": part}).json()
    keys = QualificationAttempt.objects.get(pk=told["attempt"]).items
    right = {str(pk): "Fear" for pk in GoldItem.objects.values_list("pk", flat=True)} | {one.key: one.emotion for one in sentiment.SCENES}
    said = [right[key] for key in keys]
    for place in [place for place, emotion in enumerate(said) if emotion == "Fear"][:wrong]:
        said[place] = "Sadness"
    answers = {item["item"]: emotion for item, emotion in zip(told["items"], said, strict=True)}
    return post(client, f"qualification/{told['attempt']}/submit", {"answers": answers}).json()


def begins(page: str) -> list[str]:
    return [part for part in ("sentiment", "quality") if f'data-begin="{part}"' in page]


def test_a_novice_may_begin_both_parts(client, novice, gold) -> None:
    page = client.get(QUALIFY).content.decode()
    assert begins(page) == ["sentiment", "quality"]
    assert page.count("3 attempts are left.") == 2
    assert [f"<kbd>{letter}</kbd>" in page for letter in "EFNRST"] == [True] * 6


def test_without_gold_items_the_page_says_who_adds_them(client, novice) -> None:
    GoldItem.objects.create(video=VideoFactory(file=""), emotions=["Fear"], source="a clip that cannot be played")
    page = client.get(QUALIFY).content.decode()
    assert begins(page) == ["sentiment"]
    assert "it needs 6 clips whose emotion is certain, and there are 0" in page
    assert post(client, "qualification", {"part": "quality"}).json()["code"] == "no_gold"


def test_no_item_tells_its_answer(client, novice, gold) -> None:
    told = post(client, "qualification", {"part": "sentiment"})
    assert [item["item"] for item in told.json()["items"]] == [str(place) for place in range(1, 25)]
    names = [key.encode() for key in sentiment.BY_KEY]
    assert not any(name in told.content for name in names)
    page = client.get(QUALIFY).content
    assert not any(name in page for name in names)


def test_the_clips_of_the_test_have_an_address_for_this_person(client, novice, gold) -> None:
    items = post(client, "qualification", {"part": "quality"}).json()["items"]
    assert len({item["media_url"] for item in items}) == 6
    gold[0].delete()
    again = post(client, "qualification", {"part": "quality"}).json()["items"]
    assert [item["item"] for item in again] == [item["item"] for item in items]
    assert [item["media_url"] for item in again].count("") == 1


def test_an_answer_to_no_item_is_refused(client, novice) -> None:
    told = post(client, "qualification", {"part": "sentiment"}).json()
    answers = {item["item"]: "Fear" for item in told["items"]}
    refused = post(client, f"qualification/{told['attempt']}/submit", {"answers": answers | {"25": "Fear"}})
    assert (refused.status_code, refused.json()["code"]) == (400, "answers")
    assert QualificationAttempt.objects.get().finished_at is None


def test_a_failed_attempt_tells_score_and_confusions(client, novice, gold) -> None:
    assert take(client, "sentiment", wrong=4)["passed"] is False
    page = client.get(QUALIFY).content.decode()
    assert "Attempt 1: 83.3 of 100." in page
    assert page.count(" → ") == 1
    assert "2 attempts are left." in page


def test_an_attempt_that_was_begun_goes_on(client, novice, gold) -> None:
    post(client, "qualification", {"part": "sentiment"})
    page = client.get(QUALIFY).content.decode()
    assert ("Go on</button>" in page, page.count("3 attempts are left.")) == (True, 2)


def test_with_no_attempt_left_the_manager_is_named(client, novice, gold) -> None:
    for _ in range(3):
        take(client, "quality", wrong=6)
    page = client.get(QUALIFY).content.decode()
    assert begins(page) == ["sentiment"]
    assert "No attempt is left. Ask your manager" in page


def test_who_passes_both_parts_is_sent_to_the_workbench(client, novice, gold) -> None:
    assert reverse("annotation:qualify") in client.get("/annotate/").content.decode()
    assert reverse("annotation:qualify") in client.get("/").content.decode()
    assert take(client, "sentiment", wrong=2)["qualified"] is False
    assert begins(client.get(QUALIFY).content.decode()) == ["quality"]
    assert take(client, "quality")["qualified"] is True
    page = client.get(QUALIFY).content.decode()
    assert begins(page) == []
    assert "You have passed the labelling test." in page
    assert 'href="/annotate/">Start labelling' in page
    for elsewhere in ("/annotate/", "/"):
        assert f'href="{QUALIFY}"' not in client.get(elsewhere).content.decode()


def test_who_was_qualified_elsewhere_is_asked_for_nothing(client, novice) -> None:
    Person.objects.filter(pk=novice.pk).update(qualified_at=timezone.now())
    page = client.get(QUALIFY).content.decode()
    assert (begins(page), "cannot be held yet" in page) == ([], False)


def test_scenes_and_page_come_in_the_readers_language(client, novice, gold) -> None:
    client.post(reverse("set_language"), {"language": "zh-hans"})
    page = client.get(QUALIFY).content.decode()
    assert "标注测试" in page
    assert '"scene": "zh_hans"' in page
