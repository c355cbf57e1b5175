"""A small labelled dataset: three groups, 37 accepted videos with media, their votes, and some that must never be released."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from annotation.models import Assignment, Person, Sample, Vote
from annotation.rules.taxonomy import EMOTIONS
from tests.factories import GroupFactory, PersonFactory, StageFactory, UserFactory, VideoFactory

WHEN = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
COUNTS = {"Excitation": 11, "Fear": 2, "Neutral": 9, "Relaxation": 6, "Sadness": 4, "Tension": 5}
GENDERS = ("M", "M", "F")


def make_groups(letters: str = "ABC") -> dict[str, list[Person]]:
    """Three members each, two men and one woman, and a leader as the fourth."""
    groups = {}
    for letter in letters:
        group = GroupFactory(letter=letter)
        people = [make_person(f"{letter.lower()}{i}", group=group, gender=gender) for i, gender in enumerate(GENDERS)]
        groups[letter] = [*people, make_person(f"{letter.lower()}-leader", group=group, gender="M", role="leader")]
    return groups


def make_person(username: str, *, role: str = "annotator", **fields) -> Person:
    return PersonFactory(user=UserFactory(username=username, role=role), role=role, **fields)


def cast(
    sample: Sample, person: Person, emotion: str, *, round: str = "label", rung: str = "member", minutes: int = 0, seat: int = 0, **fields
) -> Vote:
    """A vote with its submitted assignment."""
    assignment, _ = Assignment.objects.get_or_create(
        sample=sample, person=person, round=round, defaults={"rung": rung, "state": "submitted", "seat": seat}
    )
    Assignment.objects.filter(pk=assignment.pk).update(state="submitted")
    return Vote.objects.create(
        assignment=assignment,
        sample=sample,
        person=person,
        emotion=emotion,
        round=round,
        rung=rung,
        client_id=uuid.uuid4(),
        created_at=WHEN + timedelta(minutes=minutes),
        **{"confidence": 0.7} | fields,
    )


def labelled_samples(rows: list[tuple[int, str, list[Person]]], media_root: Path) -> list[Sample]:
    """(number, label, members) → accepted videos with files of their own, labelled two votes or three to none; in few statements."""
    (media_root / "sha256").mkdir(exist_ok=True)
    stage = StageFactory()
    videos, samples, turns, votes = [], [], [], []
    for number, label, members in rows:
        content = f"clip {number} ".encode() * (number % 50 + 3)
        sha256 = hashlib.sha256(content).hexdigest()
        (media_root / "sha256" / f"{sha256}.mp4").write_bytes(content)
        video = VideoFactory.build(
            stage=stage, number=number, sha256=sha256, size_bytes=len(content), file=f"sha256/{sha256}.mp4", duration_s=3.5 + number
        )
        sample = Sample(
            video=video, group=members[0].group, state="decided", rung="member", label=label, decided_rung="member", decided_at=WHEN
        )
        videos.append(video)
        samples.append(sample)
        for i, emotion in enumerate((label, label, EMOTIONS[number % 6])):
            turn = Assignment(sample=sample, person=members[i], rung="member", seat=i, state="submitted")
            turns.append(turn)
            votes.append(
                Vote(
                    assignment=turn, sample=sample, person=members[i], rung="member", emotion=emotion, confidence=0.5 + i / 10,
                    client_id=uuid.uuid4(), created_at=WHEN + timedelta(minutes=number),
                )
            )  # fmt: skip
    for rows_of_one_kind in (videos, samples, turns, votes):
        type(rows_of_one_kind[0]).objects.bulk_create(rows_of_one_kind)
    return samples


def answer_turns(turns, said) -> None:
    """A vote for every turn: said(turn) is its emotion."""
    turns = list(turns.select_related("person__user"))
    Vote.objects.bulk_create(
        Vote(
            assignment=turn, sample_id=turn.sample_id, person=turn.person, rung=turn.rung, round=turn.round, emotion=said(turn),
            confidence=0.8, client_id=uuid.uuid4(), created_at=WHEN,
        )
        for turn in turns
    )  # fmt: skip
    Assignment.objects.filter(pk__in=[turn.pk for turn in turns]).update(state="submitted")


@pytest.fixture
def groups(db) -> dict[str, list[Person]]:
    return make_groups()


@pytest.fixture
def dataset(groups, media_root) -> list[Sample]:
    """Samples in the order of their numbers; groups take turns; labels are shuffled but always the same."""
    labels = np.random.default_rng(1).permutation(np.repeat(list(COUNTS), list(COUNTS.values())))
    return labelled_samples(
        [(number, str(label), groups["ABC"[number % 3]]) for number, label in enumerate(labels.tolist(), start=1)], media_root
    )
