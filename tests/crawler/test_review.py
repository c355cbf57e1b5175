"""The review page's queue: whose turn it is, what comes first, a second reviewer, and who decided what when."""

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.urls import reverse

from crawler import selectors, services
from crawler.models import Check, Counter
from tests.factories import UserFactory, VideoFactory

pytestmark = pytest.mark.django_db


def reviewer(name: str):
    return UserFactory(username=name, role="data_engineer")


@pytest.fixture
def people(db):
    return reviewer("alice"), reviewer("bob"), reviewer("carol")


def doubtful(rank: float | None = None, **fields):
    video = VideoFactory(state="review", number=None, accepted_at=None, reason="text: violence", **fields)
    video.checks.create(name="text-lexicon", verdict=Check.Verdict.REVIEW, reason="text: violence")
    if rank is not None:
        video.checks.create(name="violence", version=2, verdict=Check.Verdict.UNABLE, evidence={"rank": rank})
    return video


def test_the_most_violent_comes_first_and_later_means_the_next(people):
    alice, *_ = people
    unranked, mild, worst = doubtful(), doubtful(0.1), doubtful(0.9)
    waiting = selectors.videos_in_review(alice)
    assert list(waiting) == [worst, mild, unranked]
    assert selectors.video_after(waiting, 0) == worst
    assert selectors.video_after(waiting, worst.pk) == mild
    assert selectors.video_after(waiting, unranked.pk) == worst
    assert selectors.video_after(waiting.none(), worst.pk) is None


def test_one_reviewer_decides_alone(people):
    assert services.video_keep(doubtful().pk, user=people[0], reason="").state == "accepted"


def test_two_reviewers_must_agree_and_the_first_waits(people, settings):
    settings.REVIEWERS = 2
    alice, bob, _ = people
    video = doubtful()
    assert services.video_keep(video.pk, user=alice, reason="").state == "review"
    assert list(selectors.videos_in_review(alice)) == []
    assert list(selectors.videos_in_review(bob)) == [video]
    with pytest.raises(ValidationError, match="a second person must look"):
        services.video_keep(video.pk, user=alice, reason="")
    kept = services.video_keep(video.pk, user=bob, reason="")
    assert (kept.state, kept.number) == ("accepted", Counter.objects.get(name="video numbers").last)


def test_where_two_differ_a_third_decides(people, settings):
    settings.REVIEWERS = 2
    alice, bob, carol = people
    video = doubtful()
    services.video_keep(video.pk, user=alice, reason="")
    assert services.video_drop(video.pk, user=bob, reason="unsafe").state == "review"
    dropped = services.video_drop(video.pk, user=carol, reason="quality")
    assert (dropped.state, dropped.reason) == ("dropped", "reviewed: quality")


def test_a_first_word_can_be_taken_back_and_said_anew(people, settings):
    settings.REVIEWERS = 2
    alice, bob, _ = people
    video = doubtful()
    services.video_keep(video.pk, user=alice, reason="")
    assert services.decision_undo(video.pk, user=alice).state == "review"
    assert selectors.standing(video) == {}
    assert list(selectors.videos_in_review(alice)) == [video]
    services.video_drop(video.pk, user=alice, reason="unsafe")
    assert services.video_drop(video.pk, user=bob, reason="unsafe").state == "dropped"
    with pytest.raises(PermissionDenied, match="only the person who decided"):
        services.decision_undo(video.pk, user=alice)
    assert services.decision_undo(video.pk, user=bob).state == "review"
    assert selectors.standing(video) == {alice.pk: "drop"}


def test_the_page_says_who_decided_what_but_not_about_clips_that_wait(client, people, settings):
    settings.REVIEWERS = 2
    alice, bob, carol = people
    decided, waiting = doubtful(title="decided"), doubtful(title="waiting")
    for person in (alice, bob):
        services.video_drop(decided.pk, user=person, reason="quality")
    services.video_drop(waiting.pk, user=alice, reason="advertisement")
    client.force_login(carol)
    page = client.get(reverse("crawler:review")).content.decode()
    assert "2 people must agree; 1 decided so far." in page
    assert page.count("<td>quality</td>") == 2
    assert "<td>bob</td>" in page
    assert "<td>advertisement</td>" not in page


def test_the_page_notes_a_first_word(client, people, settings):
    settings.REVIEWERS = 2
    video = doubtful()
    client.force_login(people[0])
    answer = client.post(reverse("crawler:decide", args=[video.pk, "keep"]), follow=True)
    assert "waits for a second reviewer" in answer.content.decode()
    assert "Undo" in answer.content.decode()


def test_the_windows_are_drawn_and_not_spelled_out(client, people):
    video = doubtful(duration_s=4.0)
    rows = [[0.02, 0.02, 0.02, 0.02, 0.9, 0.02]] * 2 + [[0.02, 0.02, 0.02, 0.02, 0.02, 0.9]]
    video.checks.create(name="transition", verdict="pass", evidence={"cuts_s": [1.0], "split_s": 2.0, "contrast": 2.0})
    video.checks.create(name="emotion-shift", verdict="review", reason="transition: Sadness to Tension", evidence={"windows": rows})
    client.force_login(people[0])
    page = client.get(reverse("crawler:review")).content.decode()
    assert page.count('class="emotion-Sadness"') == 2
    assert page.count('class="emotion emotion-Sadness"') == 1
    assert page.index('class="emotion emotion-Sadness"') < page.index('class="emotion emotion-Tension"')
    assert "0.02" not in page
