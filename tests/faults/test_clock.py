"""A clock that jumps, forwards and back: no vote twice, nothing open to the wrong people, and work goes on by itself."""

import uuid
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from annotation import services
from annotation.models import Assignment, Vote
from crawler.models import Stage
from crawler.selectors import clip_of, clip_url
from crawler.services import stages_due
from tests.annotation.conftest import Staff, hire
from tests.factories import StageFactory, VideoFactory

pytestmark = pytest.mark.django_db
REAL_NOW = timezone.now


@pytest.fixture
def jump(monkeypatch):
    """Sets the site's clock off by so much."""

    def by(**offset: float) -> None:
        monkeypatch.setattr("django.utils.timezone.now", lambda: REAL_NOW() + timedelta(**offset))

    return by


@pytest.fixture
def staff(settings) -> Staff:
    staff = hire("A")
    VideoFactory.create_batch(2)
    services.distribute()
    return staff


@pytest.fixture
def ann(staff):
    client = Client()
    client.force_login(staff.members["A"][0].user)
    return client


def post(client: Client, path: str, **body: object):
    return client.post(f"/api/v1/{path}", body, content_type="application/json")


def submit(client: Client, turn: dict, client_id: str):
    body = {"client_id": client_id, "adjective": "calm", "confidence": 0.5, "lease_token": turn["lease_token"]}
    return post(client, f"assignments/{turn['assignment']}/submit", **body)


@pytest.mark.parametrize("days", [3, -3])
def test_a_vote_cast_over_a_jump_counts_once(ann, jump, days):
    turn = post(ann, "assignments/next").json()
    jump(days=days)
    services.leases_expire()
    client_id = str(uuid.uuid4())
    first = submit(ann, turn, client_id)
    if first.status_code == 409:  # the lease ran out: the page asks for the turn again and sends the same submission
        turn = post(ann, "assignments/next").json()
        first = submit(ann, turn, client_id)
    assert first.status_code == 200
    jump()
    assert submit(ann, turn, client_id).json()["vote"] == first.json()["vote"]
    assert Vote.objects.count() == 1


def test_a_lease_from_a_clock_that_ran_ahead_does_not_hold_for_days(ann, jump):
    jump(days=10)
    post(ann, "assignments/next")
    jump()
    assert Assignment.objects.filter(state="leased").exists()
    services.leases_expire()
    assert not Assignment.objects.filter(state="leased").exists()
    assert post(ann, "assignments/next").status_code == 200


def test_a_sound_lease_is_left_alone(ann):
    post(ann, "assignments/next")
    assert services.leases_expire() == 0
    assert settings.LEASE_S > 0


def test_a_clips_address_ends_with_the_clock_and_a_new_one_works(staff, jump):
    user, video = staff.members["A"][0].user, VideoFactory()
    token = clip_url(video, user=user).rstrip("/").rpartition("/")[2]
    assert clip_of(token, user=user) == video
    jump(hours=2)
    assert clip_of(token, user=user) is None
    fresh = clip_url(video, user=user).rstrip("/").rpartition("/")[2]
    assert clip_of(fresh, user=user) == video


def test_a_planned_stage_begins_once_whatever_the_clock_does(jump):
    stage = StageFactory(state="planned", starts_at=REAL_NOW() + timedelta(days=1))
    assert stages_due() == []
    jump(days=2)
    assert stages_due() == [stage.pk]
    Stage.objects.update(state="done")
    jump(days=-2)
    assert stages_due() == []
    jump(days=3)
    assert stages_due() == [], "a stage that is done does not begin again"


def test_the_time_of_a_vote_is_the_sites_and_not_the_browsers(ann):
    turn = post(ann, "assignments/next").json()
    body = {"client_id": str(uuid.uuid4()), "adjective": "calm", "confidence": 0.5, "lease_token": turn["lease_token"]}
    post(ann, f"assignments/{turn['assignment']}/submit", **body, created_at="1999-01-01T00:00:00Z")
    assert abs(Vote.objects.get().created_at - REAL_NOW()) < timedelta(minutes=30)
