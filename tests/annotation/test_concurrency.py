"""Many people at once, in real threads on a real database: no turn twice, no vote lost, one label each."""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from annotation import services
from annotation.models import Assignment, Person, Sample, TimelineEvent, Vote
from annotation.rules.taxonomy import EMOTIONS
from annotation.rules.voting import LADDER, Decided, decide
from annotation.services import Conflict
from tests.annotation.conftest import FIRST, hire, say
from tests.factories import VideoFactory

pytestmark = pytest.mark.django_db(transaction=True)
LETTERS = "ABCDEFGHIJK"


def at_once(jobs: Iterable[Callable[[], Any]]) -> list[Any]:
    """Runs the jobs in threads that start together; results in order, an exception as its own result."""
    jobs = list(jobs)
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        try:
            start.wait()
            return job()
        except Exception as error:  # handed to the test, which looks at it
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def label_everything(person_id: int, seed: int) -> int:
    """Takes and votes until nothing waits three times in a row; the votes cast."""
    rng, person = random.Random(seed), Person.objects.get(pk=person_id)
    token, cast, idle = uuid.uuid4(), 0, 0
    while idle < 3:
        turn = services.assignment_next(person, lease_token=token)
        if turn is None:
            idle += 1
            continue
        idle = 0
        services.vote_cast(
            assignment=turn.current,
            client_id=uuid.uuid4(),
            adjective=FIRST[rng.choice(EMOTIONS[:4])],
            confidence=rng.random(),
            now=timezone.now(),
            lease_token=token,
        )
        cast += 1
    return cast


def check_labels() -> None:
    """Every label is what the votes say, and nobody sits where someone else sits."""
    for sample in Sample.objects.prefetch_related("votes"):
        votes = sorted(sample.votes.all(), key=lambda vote: vote.pk)
        members = [vote.emotion for vote in votes if vote.rung == "member"]
        said = {vote.rung: vote.emotion for vote in votes if vote.rung != "member"}
        reached = max((LADDER.index(rung) for rung in said), default=0)
        above = [said.get(rung) for rung in LADDER[1 : reached + 1]]  # a single group has no leader to exchange with: None
        assert len(members) == 3
        assert decide([*members, *above]) == Decided(sample.label, sample.decided_rung)
        assert len({vote.person_id for vote in votes}) == len(votes)
    assert TimelineEvent.objects.filter(kind="decided").count() == Sample.objects.count()
    seats = Counter(Assignment.objects.values_list("sample", "rung", "seat"))
    assert set(seats.values()) == {1}


@pytest.mark.parametrize("annotators", [1, 8, pytest.param(32, marks=pytest.mark.slow)])
def test_no_turn_is_given_twice_and_no_vote_is_lost(annotators: int) -> None:
    num_groups = -(-annotators // 3)
    staff = hire(LETTERS[:num_groups])
    VideoFactory.create_batch(3 * num_groups)
    assert services.distribute() == 3 * num_groups
    members = [person for letter in staff.members for person in staff.members[letter]]
    working = members[:annotators]
    cast = at_once(lambda pk=person.pk: label_everything(pk, pk) for person in working)
    assert all(isinstance(count, int) for count in cast), cast
    assert Vote.objects.count() == sum(cast)
    rest = [*members[annotators:], *staff.leaders.values(), staff.expert]
    total = sum(cast)
    while Sample.objects.filter(state="open").exists():
        more = at_once(lambda pk=person.pk: label_everything(pk, pk) for person in rest)
        assert all(isinstance(count, int) for count in more), more
        total += sum(more)
    assert Vote.objects.count() == total
    check_labels()


def test_the_third_vote_twice_at_once_gives_one_label() -> None:
    staff = hire("A")
    VideoFactory.create_batch(8)
    services.distribute()
    for sample in Sample.objects.order_by("pk"):
        say(sample, "Fear", staff.members["A"][0])
        turns = list(Assignment.objects.filter(sample=sample, state="open"))
        at_once(
            lambda turn=turn, emotion=emotion: services.vote_cast(
                assignment=turn, client_id=uuid.uuid4(), adjective=FIRST[emotion], confidence=1, now=timezone.now()
            )
            for turn, emotion in zip(turns, ["Fear", "Neutral"], strict=True)
        )
        sample.refresh_from_db()
        assert (sample.state, sample.label) == ("decided", "Fear")
        assert sample.timeline.filter(kind="decided").count() == 1
        assert sample.votes.count() == 3


def test_the_third_vote_twice_at_once_asks_one_leader() -> None:
    staff = hire("AB")
    VideoFactory.create_batch(6)
    services.distribute()
    for sample in Sample.objects.order_by("pk"):
        say(sample, "Fear", staff.members[sample.group.letter][0])
        turns = list(Assignment.objects.filter(sample=sample, state="open"))
        at_once(
            lambda turn=turn, emotion=emotion: services.vote_cast(
                assignment=turn, client_id=uuid.uuid4(), adjective=FIRST[emotion], confidence=1, now=timezone.now()
            )
            for turn, emotion in zip(turns, ["Tension", "Neutral"], strict=True)
        )
        asked = Assignment.objects.filter(sample=sample, rung="leader")
        assert [turn.person for turn in asked] == [staff.leaders[sample.group.letter]]


def test_one_submission_sent_eight_times_at_once_is_one_vote() -> None:
    staff = hire("A")
    VideoFactory()
    services.distribute()
    turn = Assignment.objects.get(person=staff.members["A"][0])
    vote = {"assignment": turn, "client_id": uuid.uuid4(), "adjective": "calm", "confidence": 0.5, "now": timezone.now()}
    votes = at_once(lambda: services.vote_cast(**vote) for _ in range(8))
    assert len({found.pk for found in votes}) == 1
    assert Vote.objects.count() == 1


def test_two_tabs_that_submit_at_once_cast_one_vote() -> None:
    staff = hire("A")
    VideoFactory()
    services.distribute()
    turn = Assignment.objects.get(person=staff.members["A"][0])
    answers = at_once(
        lambda: services.vote_cast(assignment=turn, client_id=uuid.uuid4(), adjective="calm", confidence=0.5, now=timezone.now())
        for _ in range(4)
    )
    assert Vote.objects.count() == 1
    assert [type(answer) for answer in answers if not isinstance(answer, Vote)] == [Conflict] * 3


def test_two_tabs_that_ask_at_once_are_served_one_after_the_other() -> None:
    staff = hire("A")
    VideoFactory.create_batch(4)
    services.distribute()
    person = staff.members["A"][0]
    tokens = [uuid.uuid4() for _ in range(4)]
    at_once(lambda token=token: services.assignment_next(person, lease_token=token) for token in tokens)
    leased = Assignment.objects.filter(person=person, state="leased")
    assert len(set(leased.values_list("lease_token", flat=True))) == 1
    assert leased.count() == 3


def test_two_distributions_at_once_give_each_video_once() -> None:
    hire("ABC")
    VideoFactory.create_batch(9)
    made = at_once(services.distribute for _ in range(3))
    assert sum(made) == 9
    assert Sample.objects.count() == 9
    assert Assignment.objects.count() == 27


def test_undo_and_the_leaders_vote_at_once_leave_one_truth() -> None:
    staff = hire("AB")
    VideoFactory.create_batch(5)
    services.distribute(group=staff.leaders["A"].group)
    for sample in Sample.objects.order_by("pk"):
        for emotion in ("Fear", "Neutral"):
            say(sample, emotion)
        third = say(sample, "Tension")
        turn = Assignment.objects.get(sample=sample, rung="leader")
        results = at_once(
            [
                lambda vote=third: services.vote_undo(vote, now=timezone.now()),
                lambda turn=turn: services.vote_cast(
                    assignment=turn, client_id=uuid.uuid4(), adjective=FIRST["Fear"], confidence=1, now=timezone.now()
                ),
            ]
        )
        assert sum(isinstance(result, Conflict) for result in results) == 1, results
        sample.refresh_from_db()
        assert sample.label == ("Fear" if isinstance(results[0], Conflict) else "")
