"""Rows for tests: `.build()` for rules, saved ones for services. Two groups, with alice, bob and carol in A."""

from __future__ import annotations

import uuid

import factory
from django.contrib.auth.models import Group as Role
from django.contrib.auth.models import User
from django.utils import timezone

from annotation.models import Assignment, Group, Person, Sample, Vote
from crawler.models import Stage, Video


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = User
        django_get_or_create = ("username",)
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"user{n}")
    password = factory.PostGenerationMethodCall("set_password", "a long password")

    @factory.post_generation
    def role(self, create: bool, role: str | None, **kwargs: object) -> None:
        """Puts the user into the auth group of that role."""
        if create:
            self.save()
            if role:
                self.groups.add(Role.objects.get(name=role))


class GroupFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Group
        django_get_or_create = ("letter",)

    letter = "A"


class PersonFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Person
        skip_postgeneration_save = True

    role = "annotator"
    user = factory.SubFactory(UserFactory)
    full_name = factory.LazyAttribute(lambda person: person.user.username.title())
    gender = factory.Iterator(["M", "M", "F"])
    qualified_at = factory.LazyFunction(timezone.now)

    @factory.post_generation
    def permissions(self, create: bool, extracted: object, **kwargs: object) -> None:
        """Puts the person's user into the auth group of the role."""
        if create:
            self.user.groups.add(Role.objects.get(name=self.role))


class StageFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Stage
        django_get_or_create = ("name",)

    name = "stage-1"


class VideoFactory(factory.django.DjangoModelFactory):
    """An accepted, numbered video whose file need not exist."""

    class Meta:
        model = Video

    platform = factory.Iterator(["douyin", "kuaishou", "tiktok"])
    platform_id = factory.Sequence(lambda n: f"{7000000000000000000 + n}")
    url = factory.LazyAttribute(lambda video: f"https://www.tiktok.com/@someone/video/{video.platform_id}")
    stage = factory.SubFactory(StageFactory)
    state = "accepted"
    number = factory.Sequence(lambda n: n + 1)
    title = factory.Sequence(lambda n: f"clip {n}")
    file = factory.LazyAttribute(lambda video: f"sha256/{video.sha256[:2]}/{video.sha256}.mp4")
    sha256 = factory.Sequence(lambda n: f"{n:064x}")
    duration_s = factory.Sequence(lambda n: 5.0 + n % 40)
    frames = factory.Sequence(lambda n: 150 + n % 40 * 30)
    accepted_at = factory.LazyFunction(timezone.now)


class SampleFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Sample

    video = factory.SubFactory(VideoFactory)
    group = factory.SubFactory(GroupFactory)


class AssignmentFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Assignment

    sample = factory.SubFactory(SampleFactory)
    person = factory.SubFactory(PersonFactory)


class VoteFactory(factory.django.DjangoModelFactory):
    """A submitted vote with its assignment; `sample`, `person`, `round` and `rung` are shared by both."""

    class Meta:
        model = Vote

    sample = factory.SubFactory(SampleFactory)
    person = factory.SubFactory(PersonFactory)
    rung = "member"
    round = "label"
    emotion = "Neutral"
    confidence = 0.7
    client_id = factory.LazyFunction(uuid.uuid4)
    created_at = factory.LazyFunction(timezone.now)
    assignment = factory.LazyAttribute(
        lambda vote: AssignmentFactory(sample=vote.sample, person=vote.person, rung=vote.rung, round=vote.round, state="submitted")
    )
