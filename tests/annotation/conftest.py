"""Three groups of the paper, qualified; and a clip's address without the crawler's signature."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

import pytest
from django.utils import timezone

from annotation.models import Assignment, Group, Person, Sample, Vote
from annotation.rules.taxonomy import ADJECTIVES
from annotation.services import distribute, person_create, vote_cast
from tests.factories import GroupFactory, VideoFactory

FIRST = {}
for adjective in ADJECTIVES:
    FIRST.setdefault(adjective.emotion, adjective.key)


@dataclass
class Staff:
    """Who works here: three members and a leader per group, an expert, a manager."""

    members: dict[str, list[Person]] = field(default_factory=dict)
    leaders: dict[str, Person] = field(default_factory=dict)
    expert: Person | None = None
    manager: Person | None = None

    @property
    def everyone(self) -> list[Person]:
        found = [person for letter in self.members for person in (*self.members[letter], self.leaders[letter])]
        return found + [person for person in (self.expert, self.manager) if person]


def person(username: str, role: str = "annotator", *, gender: str = "F", **fields) -> Person:
    """A qualified person with the rights of the role."""
    return person_create(username=username, full_name=username.title(), gender=gender, role=role, qualified_at=timezone.now(), **fields)


def hire(letters: str = "ABC") -> Staff:
    staff = Staff()
    for letter in letters:
        group = GroupFactory(letter=letter)
        low = letter.lower()
        staff.members[letter] = [person(f"{low}{number}", group=group, gender="F" if number == 3 else "M") for number in (1, 2, 3)]
        staff.leaders[letter] = person(f"{low}-leader", "leader", group=group)
    staff.expert = person("expert", "expert")
    staff.manager = person("manager", "manager")
    return staff


@pytest.fixture
def staff(db) -> Staff:
    return hire()


@pytest.fixture
def sample(staff: Staff) -> Sample:
    """One sample, handed out to group A."""
    VideoFactory()
    distribute()
    return Sample.objects.get()


def say(sample: Sample, emotion: str, person: Person | None = None, *, now=None) -> Vote:
    """The next waiting person of the label round votes (or the named one)."""
    turns = Assignment.objects.filter(sample=sample, round="label", state__in=["open", "leased"]).order_by("seat")
    turn = turns.get(person=person) if person else turns.first()
    return vote_cast(assignment=turn, client_id=uuid.uuid4(), adjective=FIRST[emotion], confidence=0.7, now=now or timezone.now())


def group_of(letter: str) -> Group:
    return Group.objects.get(letter=letter)
