"""The ladder on rows: who is asked, what is decided, what undoing and re-opening do."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from annotation import services
from annotation.models import Assignment, Flag, Sample, TimelineEvent, Vote
from annotation.services import Conflict
from annotation.services.turns import AHEAD, QUEUE
from crawler.models import Check
from tests.annotation.conftest import FIRST, Staff, say
from tests.factories import VideoFactory

NOW = timezone.now()


def waiting(sample: Sample) -> list[str]:
    turns = Assignment.objects.filter(sample=sample, round="label", state__in=["open", "leased"])
    return sorted(turns.values_list("person__user__username", flat=True))


def kinds(sample: Sample) -> list[str]:
    return list(TimelineEvent.objects.filter(sample=sample).values_list("kind", flat=True))


@pytest.mark.parametrize(
    ("votes", "label", "rung"),
    [
        (["Fear", "Fear", "Neutral"], "Fear", "member"),
        (["Fear", "Neutral", "Neutral"], "Neutral", "member"),
        (["Fear", "Neutral", "Tension", "Tension"], "Tension", "leader"),
        (["Fear", "Neutral", "Tension", "Sadness", "Fear"], "Fear", "exchange"),
        (["Fear", "Neutral", "Tension", "Sadness", "Excitation", "Relaxation"], "Relaxation", "expert"),
        (["Fear", "Neutral", "Tension", "Sadness", "Excitation", "Fear"], "Fear", "expert"),
    ],
)
def test_each_rung_decides_as_in_the_paper(sample: Sample, votes: list[str], label: str, rung: str) -> None:
    for emotion in votes:
        assert Sample.objects.get().state == "open"
        say(sample, emotion)
    sample.refresh_from_db()
    assert (sample.state, sample.label, sample.decided_rung) == ("decided", label, rung)
    assert waiting(sample) == []
    assert kinds(sample)[0] == "distributed"
    assert kinds(sample)[-1] == "decided"
    assert kinds(sample).count("voted") == len(votes)


def test_the_ladder_asks_own_leader_then_the_next_groups_then_the_expert(staff: Staff, sample: Sample) -> None:
    assert waiting(sample) == ["a1", "a2", "a3"]
    for emotion, asked in [("Fear", None), ("Neutral", None), ("Tension", "a-leader"), ("Sadness", "b-leader"), ("Excitation", "expert")]:
        say(sample, emotion)
        if asked:
            assert waiting(sample) == [asked]


def test_the_rotation_ends_at_the_first_group_again(staff: Staff) -> None:
    VideoFactory.create_batch(3)
    services.distribute()
    last = Sample.objects.get(group__letter="C")
    for emotion in ("Fear", "Neutral", "Tension", "Sadness"):
        say(last, emotion)
    assert waiting(last) == ["a-leader"]


def test_a_group_without_a_leader_goes_straight_to_the_exchange(staff: Staff, sample: Sample) -> None:
    services.person_move(staff.leaders["A"], None, reason="left")
    for emotion in ("Fear", "Neutral", "Tension"):
        say(sample, emotion)
    assert waiting(sample) == ["b-leader"]
    say(sample, "Fear")
    sample.refresh_from_db()
    assert (sample.label, sample.decided_rung) == ("Fear", "exchange")


def test_a_paused_leader_is_waited_for_and_found_later(staff: Staff, sample: Sample) -> None:
    services.person_pause(staff.leaders["A"], reason="holiday")
    for emotion in ("Fear", "Neutral", "Tension"):
        say(sample, emotion)
    assert waiting(sample) == []
    assert kinds(sample)[-1] == "waiting"
    assert services.samples_repair() == 0
    services.person_resume(staff.leaders["A"])
    assert services.samples_repair() == 1
    assert waiting(sample) == ["a-leader"]


def test_who_voted_as_a_member_is_never_asked_above(staff: Staff, sample: Sample) -> None:
    member = staff.members["A"][0]
    say(sample, "Fear", member)
    services.person_move(staff.leaders["A"], None, reason="left")
    member.role = "leader"
    member.save()
    say(sample, "Neutral")
    say(sample, "Tension")
    assert waiting(sample) == ["b-leader"]


def test_the_database_refuses_a_second_leader_and_a_fourth_member(staff: Staff, sample: Sample) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Assignment.objects.create(sample=sample, person=staff.members["B"][0], rung="member", seat=2)
    with pytest.raises(IntegrityError), transaction.atomic():
        Assignment.objects.create(sample=sample, person=staff.members["B"][0], rung="member", seat=3)
    Assignment.objects.create(sample=sample, person=staff.leaders["A"], rung="leader")
    with pytest.raises(IntegrityError), transaction.atomic():
        Assignment.objects.create(sample=sample, person=staff.leaders["B"], rung="leader")


def test_the_same_submission_twice_is_one_vote(staff: Staff, sample: Sample) -> None:
    turn = Assignment.objects.get(person=staff.members["A"][0])
    again = {"assignment": turn, "client_id": uuid.uuid4(), "adjective": "happy", "confidence": 0.5, "now": NOW}
    first, second = services.vote_cast(**again), services.vote_cast(**again)
    assert first.pk == second.pk
    assert Vote.objects.count() == 1
    assert kinds(sample).count("voted") == 1
    with pytest.raises(Conflict, match="already submitted"):
        services.vote_cast(**{**again, "client_id": uuid.uuid4()})
    other = Assignment.objects.get(person=staff.members["A"][1])
    with pytest.raises(Conflict, match="another clip"):
        services.vote_cast(**{**again, "assignment": other})


@pytest.mark.parametrize(("adjective", "confidence"), [("blue", 0.5), ("happy", 1.1), ("happy", -0.1), ("happy", None)])
def test_a_vote_that_makes_no_sense_is_refused(staff: Staff, sample: Sample, adjective: str, confidence: float | None) -> None:
    turn = Assignment.objects.filter(sample=sample).first()
    with pytest.raises(ValidationError):
        services.vote_cast(assignment=turn, client_id=uuid.uuid4(), adjective=adjective, confidence=confidence, now=NOW)
    assert not Vote.objects.exists()


def test_undo_opens_the_label_that_hung_on_the_vote(staff: Staff, sample: Sample) -> None:
    say(sample, "Fear", now=NOW)
    say(sample, "Fear", now=NOW)
    third = say(sample, "Neutral", now=NOW)
    turn = services.vote_undo(third, now=NOW + timedelta(seconds=3))
    sample.refresh_from_db()
    assert (sample.state, sample.label, sample.rung) == ("open", "", "member")
    assert turn.draft == {"adjective": third.adjective, "confidence": 0.7}
    assert waiting(sample) == [third.person.user.username]
    say(sample, "Tension")
    sample.refresh_from_db()
    assert sample.label == "Fear"
    assert Vote.objects.filter(undone_at__isnull=False).count() == 1


def test_undo_takes_back_the_leaders_turn_and_asks_again_when_needed(staff: Staff, sample: Sample) -> None:
    for emotion in ("Fear", "Neutral"):
        say(sample, emotion)
    third = say(sample, "Tension")
    assert waiting(sample) == ["a-leader"]
    services.vote_undo(third, now=timezone.now())
    assert waiting(sample) == [third.person.user.username]
    say(sample, "Sadness")
    assert waiting(sample) == ["a-leader"]
    say(sample, "Sadness")
    sample.refresh_from_db()
    assert (sample.label, sample.decided_rung) == ("Sadness", "leader")


def test_an_exchange_leader_who_undoes_is_asked_again(staff: Staff, sample: Sample) -> None:
    for emotion in ("Fear", "Neutral", "Tension", "Sadness"):
        say(sample, emotion)
    fifth = say(sample, "Excitation")
    assert waiting(sample) == ["expert"]
    services.vote_undo(fifth, now=timezone.now())
    assert waiting(sample) == ["b-leader"]


def test_undo_is_refused_when_too_late_or_when_someone_above_has_voted(staff: Staff, sample: Sample, settings) -> None:
    first = say(sample, "Fear", now=NOW)
    with pytest.raises(Conflict, match="only"):
        services.vote_undo(first, now=NOW + timedelta(seconds=settings.UNDO_S + 1))
    say(sample, "Neutral", now=NOW)
    third = say(sample, "Tension", now=NOW)
    say(sample, "Fear", now=NOW)
    with pytest.raises(Conflict, match="voted since"):
        services.vote_undo(third, now=NOW)
    assert Vote.objects.filter(undone_at__isnull=True).count() == 4


def test_a_reopened_label_goes_to_the_expert_and_keeps_its_history(staff: Staff, sample: Sample) -> None:
    for emotion in ("Fear", "Fear", "Neutral"):
        say(sample, emotion)
    with pytest.raises(ValidationError):
        services.sample_reopen(sample, by=staff.manager, reason=" ", now=NOW)
    services.sample_reopen(sample, by=staff.manager, reason="complaint", now=NOW)
    sample.refresh_from_db()
    assert (sample.state, sample.label, sample.rung, sample.reopened) == ("open", "", "expert", 1)
    assert waiting(sample) == ["expert"]
    say(sample, "Sadness")
    sample.refresh_from_db()
    assert (sample.label, sample.decided_rung) == ("Sadness", "expert")
    assert Vote.objects.filter(undone_at__isnull=True).count() == 4
    services.sample_reopen(sample, by=staff.manager, reason="again", now=NOW)
    assert waiting(sample) == ["expert"]
    say(sample, "Tension")
    sample.refresh_from_db()
    assert (sample.label, sample.reopened) == ("Tension", 2)
    assert kinds(sample).count("reopened") == 2
    with pytest.raises(Conflict):
        services.sample_reopen(Sample.objects.create(video=VideoFactory(), group=sample.group), by=None, reason="x", now=NOW)


def test_a_skipped_clip_goes_to_someone_who_never_had_it(staff: Staff, sample: Sample) -> None:
    turn = Assignment.objects.get(person=staff.members["A"][0])
    with pytest.raises(ValidationError):
        services.assignment_skip(turn, reason="", now=NOW)
    taker = services.assignment_skip(turn, reason="I know the person in it", now=NOW)
    assert taker == staff.members["B"][0]
    assert waiting(sample) == ["a2", "a3", "b1"]
    with pytest.raises(Conflict):
        services.assignment_skip(turn, reason="again", now=NOW)
    for emotion in ("Fear", "Neutral", "Fear"):
        say(sample, emotion)
    sample.refresh_from_db()
    assert sample.label == "Fear"


def test_a_leader_who_skips_passes_to_the_exchange(staff: Staff, sample: Sample) -> None:
    for emotion in ("Fear", "Neutral", "Tension"):
        say(sample, emotion)
    services.assignment_skip(Assignment.objects.get(person=staff.leaders["A"]), reason="I filmed it", now=NOW)
    assert waiting(sample) == ["b-leader"]


def test_two_flags_take_a_clip_out_and_into_the_cleaning_review(staff: Staff, sample: Sample) -> None:
    first, second = Assignment.objects.filter(sample=sample).order_by("seat")[:2]
    assert not services.sample_flag(first, kind="unsafe", now=NOW)
    assert not services.sample_flag(first, kind="broken", now=NOW)
    assert Flag.objects.count() == 1
    assert services.sample_flag(second, kind="unsafe", now=NOW)
    sample.refresh_from_db()
    assert sample.state == "excluded"
    assert waiting(sample) == []
    assert Check.objects.get(name="annotators").verdict == "review"
    with pytest.raises(Conflict):
        services.vote_cast(assignment=first, client_id=uuid.uuid4(), adjective=FIRST["Fear"], confidence=1, now=NOW)
    services.sample_restore(sample, by=staff.manager, reason="looked: harmless", now=NOW)
    assert waiting(sample) == ["a1", "a2", "a3"]


def test_votes_of_other_rounds_never_touch_the_label(staff: Staff, sample: Sample) -> None:
    for emotion in ("Fear", "Fear", "Neutral"):
        say(sample, emotion)
    people = staff.members["B"]
    assert services.round_open(round="sA", sample_ids=[sample.pk], people=people, shuffle_seed=3) == 3
    assert services.round_open(round="sA", sample_ids=[sample.pk], people=people, shuffle_seed=3) == 0
    for turn in Assignment.objects.filter(round="sA"):
        services.vote_cast(assignment=turn, client_id=uuid.uuid4(), adjective=FIRST["Tension"], confidence=1, now=NOW)
    sample.refresh_from_db()
    assert (sample.state, sample.label) == ("decided", "Fear")
    with pytest.raises(ValueError, match="distribute"):
        services.round_open(round="label", sample_ids=[sample.pk], people=people, shuffle_seed=3)


def test_a_clip_that_was_taken_down_is_not_shown_any_more(staff: Staff) -> None:
    VideoFactory.create_batch(2)
    services.distribute(group=staff.leaders["A"].group)
    first, second = Sample.objects.order_by("pk")
    first.video.state, first.video.number = "dropped", None
    first.video.save()
    turn = services.assignment_next(staff.members["A"][0], now=NOW)
    assert turn is not None
    assert turn.current.sample == second
    first.refresh_from_db()
    assert first.state == "excluded"
    assert services.samples_close_gone() == 0


def test_the_head_of_the_queue_is_read_from_its_own_index(staff: Staff) -> None:
    VideoFactory.create_batch(3)
    services.distribute()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET enable_seqscan = off")  # so few rows would be read without any index
            cursor.execute("SET enable_bitmapscan = off")
        explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        cursor.execute(f"{explain} {QUEUE}", [staff.members["A"][0].pk, "%", AHEAD + 1])
        plan = str(cursor.fetchall())
    assert "turn_queue" in plan
    assert "TEMP B-TREE" not in plan
