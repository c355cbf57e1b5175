"""What a reviewer's word does to a video and its number."""

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from crawler import services
from crawler.models import Counter, Video
from crawler.platforms import VideoPage
from crawler.services import numbering
from tests.crawler.pipeline import advanced
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
State = Video.State


@pytest.fixture
def reviewer():
    return UserFactory(username="erin", role="data_engineer")


@pytest.fixture
def doubtful(world):
    world["pages"]["1"] = VideoPage("tiktok", "1", "u", "test/1", title="I will kill you", media=("https://v16.tiktok.com/1",))
    return advanced("1")


def test_keep_gives_the_number_and_undo_gives_it_back(doubtful, reviewer):
    kept = services.video_keep(doubtful.pk, user=reviewer, reason="a joke")
    assert (kept.state, kept.number) == (State.ACCEPTED, 1)
    with pytest.raises(ValidationError, match="not waiting"):
        services.video_drop(doubtful.pk, user=reviewer, reason="late")
    undone = services.decision_undo(doubtful.pk, user=reviewer)
    assert (undone.state, undone.number, undone.reason) == (State.REVIEW, None, "text: violence")
    assert Counter.objects.get(name=numbering.RELEASED_NUMBERS).last == 0
    dropped = services.video_drop(doubtful.pk, user=reviewer, reason="unsafe")
    assert (dropped.state, dropped.reason) == (State.DROPPED, "reviewed: unsafe")
    assert list(doubtful.decisions.order_by("pk").values_list("action", flat=True)) == ["keep", "undo", "drop"]


def test_a_retired_number_is_never_given_to_another_clip(doubtful, reviewer, world, other_clip):
    services.video_keep(doubtful.pk, user=reviewer, reason="")
    world["files"]["2"] = other_clip
    assert advanced("2").number == 2
    services.decision_undo(doubtful.pk, user=reviewer)
    assert services.video_keep(doubtful.pk, user=reviewer, reason="").number == 3


def test_who_may_not_review_decides_nothing(doubtful, reviewer):
    stranger = UserFactory(username="mallory", role="annotator")
    for decide in (services.video_keep, services.video_drop):
        with pytest.raises(PermissionDenied):
            decide(doubtful.pk, user=stranger, reason="x")
    services.video_drop(doubtful.pk, user=reviewer, reason="x")
    colleague = UserFactory(username="trent", role="data_engineer")
    with pytest.raises(PermissionDenied, match="who decided"):
        services.decision_undo(doubtful.pk, user=colleague)
    with pytest.raises(ValidationError, match="reason"):
        services.video_drop(doubtful.pk, user=reviewer, reason=" ")
