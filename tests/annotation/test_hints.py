"""A finished run's hint: only for a member who asks, only in ordinary labelling, and the vote remembers it."""

from __future__ import annotations

import uuid

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from annotation.models import Assignment, Batch, Emotion, Person, Prelabel, Sample, TimelineEvent, Vote
from annotation.rules.hints import difference_interval, share_interval
from annotation.selectors import hints_counted
from annotation.services import Conflict, batch_open, hint_show, prelabels_save, vote_cast, vote_undo
from annotation.services import prelabels as hints
from tests.annotation.conftest import Staff, say
from tests.factories import SampleFactory, VideoFactory, VoteFactory

EXPECTED = {emotion: 0.6 if emotion == "Tension" else 0.08 for emotion in Emotion.values}


@pytest.fixture
def predicted(sample: Sample, settings, monkeypatch) -> Sample:
    """A sample that waits, with a prediction; hints are offered everywhere and this draw keeps none back."""
    settings.PRELABEL_HINT = "all"
    monkeypatch.setattr(hints, "_held_back", lambda turn: False)
    assert prelabels_save("run 9", {sample.pk: EXPECTED}) == 1
    return sample


def turn_of(sample: Sample, seat: int = 0) -> Assignment:
    return Assignment.objects.select_related("person__user").get(sample=sample, rung="member", seat=seat)


def shown(turn: Assignment) -> dict:
    return hint_show(turn, now=timezone.now())


def vote_on(turn: Assignment) -> Vote:
    turn.refresh_from_db()
    cast = vote_cast(assignment=turn, client_id=uuid.uuid4(), adjective="calm", confidence=0.5, now=timezone.now())
    cast.refresh_from_db()
    return cast


def test_a_hint_that_was_seen_stays_with_the_vote_and_on_the_timeline(predicted: Sample) -> None:
    first, second = turn_of(predicted, 0), turn_of(predicted, 1)
    hint = shown(first)
    assert (hint["run"], hint["emotion"], hint["probability"]) == ("run 9", "Tension", 0.6)
    prelabels_save("run 10", {predicted.pk: {**EXPECTED, "Tension": 0.08, "Fear": 0.6}})
    first.refresh_from_db()
    assert shown(first) == hint, "what was seen stays, whatever a newer run says"
    assert vote_on(first).prelabel == {**hint, "hint": "seen"}
    alone = vote_on(second).prelabel
    assert (alone["hint"], alone["run"], alone["emotion"]) == ("unseen", "run 10", "Fear")
    details = TimelineEvent.objects.filter(sample=predicted, kind="voted").values_list("detail", flat=True)
    assert [detail.get("hint") for detail in details] == ["Tension", None]


def test_a_vote_taken_back_keeps_that_its_hint_was_seen(predicted: Sample) -> None:
    turn = turn_of(predicted)
    shown(turn)
    vote_undo(vote_on(turn), now=timezone.now())
    assert vote_on(turn).prelabel["hint"] == "seen"


@pytest.mark.parametrize("round", ["gold", "repeat", "sA", "sB", "sA.1"])
def test_rounds_that_measure_people_have_no_hint(predicted: Sample, round: str) -> None:
    person = turn_of(predicted).person
    Assignment.objects.filter(sample=predicted, person=person).delete()
    turn = Assignment.objects.create(sample=predicted, person=person, round=round)
    assert shown(turn) == {}
    assert vote_on(turn).prelabel == {}


def test_leaders_and_the_expert_have_no_hint(predicted: Sample) -> None:
    for emotion in ("Fear", "Sadness", "Neutral"):
        say(predicted, emotion)
    leader = Assignment.objects.get(sample=predicted, rung="leader")
    assert shown(leader) == {}


@pytest.mark.parametrize(("name", "value"), [("PRELABEL_HINT", "off"), ("PRELABEL_HINT", "batches"), ("BLIND_EMOTION", True)])
def test_there_is_no_hint_where_the_site_offers_none(predicted: Sample, settings, name: str, value: object) -> None:
    setattr(settings, name, value)
    turn = turn_of(predicted)
    assert shown(turn) == {}
    assert vote_on(turn).prelabel == {}


def test_a_batch_can_be_opened_with_hints(staff: Staff, settings, monkeypatch) -> None:
    settings.PRELABEL_HINT = "batches"
    monkeypatch.setattr(hints, "_held_back", lambda turn: False)
    VideoFactory.create_batch(2)
    for with_hints in (True, False):
        batch_open(staff.leaders["A"], size=1, with_hints=with_hints)
    prelabels_save("run 9", dict.fromkeys(Sample.objects.values_list("pk", flat=True), EXPECTED))
    found = {batch.with_hints: shown(turn_of(batch.samples.get())) for batch in Batch.objects.all()}
    assert found[True]["emotion"] == "Tension"
    assert found[False] == {}
    settings.PRELABEL_HINT = "all"
    with pytest.raises(ValidationError, match="no batches with hints"):
        batch_open(staff.leaders["A"], size=1, with_hints=True)


def test_a_share_of_the_hints_is_held_back_and_told_as_such(sample: Sample, settings) -> None:
    settings.PRELABEL_HINT = "all"
    prelabels_save("run 9", {sample.pk: EXPECTED})
    drawn = [hints._held_back(Assignment(sample_id=clip, person_id=person)) for clip in range(300) for person in range(4)]
    assert 0.15 < sum(drawn) / len(drawn) < 0.26  # 1 in 5
    settings.SECRET_KEY = next(key for key in map(str, range(1000)) if kept_back(settings, key, turn_of(sample)))
    turn = turn_of(sample)
    assert shown(turn) == {}
    assert vote_on(turn).prelabel["hint"] == "held back"


def kept_back(settings, key: str, turn: Assignment) -> bool:
    settings.SECRET_KEY = key
    return hints._held_back(turn)


def test_the_route_shows_the_hint_to_its_own_person_only_and_only_once_asked(predicted: Sample, client) -> None:
    turn, other = turn_of(predicted, 0), turn_of(predicted, 1)
    client.force_login(turn.person.user)
    path = f"/api/v1/assignments/{turn.pk}/hint"
    told = client.post("/api/v1/assignments/next", {}, content_type="application/json").json()
    assert told["hint"] is None
    assert "Tension" not in str({key: value for key, value in told.items() if key != "media_url"})
    assert client.post(f"/api/v1/assignments/{other.pk}/hint", {}, content_type="application/json").status_code == 404
    wrong_tab = {"lease_token": str(uuid.uuid4())}
    refused = client.post(path, wrong_tab, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (409, "lease_lost")
    answer = client.post(path, {"lease_token": told["lease_token"]}, content_type="application/json").json()
    assert (answer["assignment"], answer["hint"]["emotion"]) == (turn.pk, "Tension")
    again = client.post("/api/v1/assignments/next", {"lease_token": told["lease_token"]}, content_type="application/json").json()
    assert again["hint"] == answer["hint"], "a reload still shows what was seen"
    vote_on(turn)
    with pytest.raises(Conflict):
        shown(turn)
    assert Prelabel.objects.get().emotion == "Tension"


def test_the_workbench_has_the_button_only_where_hints_are_offered(staff: Staff, client, settings) -> None:
    member: Person = staff.members["A"][0]
    client.force_login(member.user)
    assert b'data-action="hint"' not in client.get("/annotate/").content
    settings.PRELABEL_HINT = "batches"
    assert b'data-action="hint"' in client.get("/annotate/").content
    client.force_login(staff.leaders["A"].user)
    page = client.get("/leader/").content
    assert b'data-action="hint"' not in page
    assert b'name="with_hints"' in page


def test_of_two_equal_expectations_the_same_one_is_named_by_every_database(predicted: Sample) -> None:
    equal = {"Tension": 0.5, "Fear": 0.5, "Sadness": 0.0, "Relaxation": 0.0, "Neutral": 0.0, "Excitation": 0.0}
    prelabels_save("run 10", {predicted.pk: equal})
    assert Prelabel.objects.get(sample=predicted).emotion == "Fear"


@pytest.mark.parametrize(("right", "of"), [(0, 5), (3, 7), (41, 41), (870, 1300)])
def test_the_interval_of_a_share_is_wilsons(right: int, of: int) -> None:
    assert share_interval(right, of) == pytest.approx(proportion_confint(right, of, method="wilson"), abs=1e-9)


def test_the_interval_of_a_difference_is_newcombes() -> None:
    by, *interval = difference_interval((56, 70), (48, 80))
    assert by == pytest.approx(0.2)
    assert interval == pytest.approx(confint_proportions_2indep(56, 70, 48, 80, method="newcomb"), abs=1e-9)
    with pytest.raises(ValueError, match="3 of 2 is no share"):
        share_interval(3, 2)


def hinted(votes: int, hint: str, emotion: str, label: str = "") -> None:
    """Members' votes on clips where the run expected Tension."""
    for _ in range(votes):
        settled = {"state": "decided", "label": label, "decided_rung": "member"} if label else {}
        VoteFactory(
            sample=SampleFactory(**settled), emotion=emotion, confidence=0.5, prelabel={"hint": hint, "emotion": "Tension", "run": "run 9"}
        )


def test_votes_are_compared_by_what_became_of_the_hint(staff: Staff, client, settings) -> None:
    settings.PRELABEL_HINT = "all"
    client.force_login(staff.manager.user)
    assert "nothing to compare yet" in client.get("/hints/").content.decode()
    hinted(3, "seen", "Tension", "Tension")
    hinted(1, "seen", "Fear")
    hinted(2, "unseen", "Sadness", "Sadness")
    hinted(1, "held back", "Tension")
    hinted(4, "held back", "Fear", "Tension")
    VoteFactory(prelabel={"emotion": "Tension", "run": "run 9"})  # it ordered the queue, and was no hint
    counted = hints_counted()
    assert {key: (row["votes"], row["same"], row["settled"], row["as_label"], row["run_right"]) for key, row in counted.items()} == {
        "seen": (4, 3, 3, 3, 3),
        "unseen": (2, 0, 2, 2, 0),
        "held back": (5, 1, 4, 0, 4),
        "offered": (6, 3, 5, 5, 3),
    }
    assert counted["offered"]["sure"] == pytest.approx(0.5)
    page = client.get("/hints/").content.decode()
    assert "by 30.0 percentage points more" in page
    assert "That may be chance." in page
    assert 'href="/hints/"' in page
    client.force_login(staff.leaders["A"].user)
    assert client.get("/hints/").status_code == 403
