"""The review page's queue: whose turn it is, what comes first, a second reviewer, and who decided what when."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.urls import reverse
from django.utils import timezone

from annotation.services import sample_flag, samples_close_gone
from crawler import selectors, services
from crawler.models import Check, Counter, Decision
from crawler.moderation import Detector, Finding
from crawler.services import screening, verdicts
from qa.selectors.waiting import waiting_for
from tests.factories import AssignmentFactory, SampleFactory, UserFactory, VideoFactory

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


def test_several_reviewers_at_once_begin_with_different_clips(people):
    """Of two who decide at the same pace one would look at every clip in vain."""
    bob = people[1]
    clips = [doubtful(rank) for rank in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)]
    for person in people:
        services.video_keep(doubtful().pk, user=person, reason="")
    queues = [list(selectors.videos_in_review(person)) for person in people]
    assert len({queue[0] for queue in queues}) == 3
    assert [set(queue) for queue in queues] == [set(clips)] * 3, "nobody else's share is left alone"
    shares = [queue[:2] for queue in queues]
    assert all(share == sorted(share, key=clips.index) for share in shares), "most violent first"
    Decision.objects.exclude(person=bob).update(created_at=timezone.now() - timedelta(hours=1))
    assert list(selectors.videos_in_review(bob)) == clips, "who is gone has no share"


def test_what_was_put_off_stays_so_and_what_is_undone_comes_back_at_once(client, people):
    alice, *_ = people
    first, second, third = doubtful(0.9), doubtful(0.8), doubtful(0.7)

    def shown(answer) -> int:
        return answer.context["video"].pk

    client.force_login(alice)
    page = client.get(reverse("crawler:review"), {"after": first.pk})
    assert shown(page) == second.pk
    assert f'name="after" value="{first.pk}"' in page.content.decode()
    page = client.post(reverse("crawler:decide", args=[second.pk, "drop"]), {"reason": "quality", "after": first.pk}, follow=True)
    assert shown(page) == third.pk, "not the one that was put off a moment ago"
    page = client.post(reverse("crawler:decide", args=[second.pk, "undo"]), follow=True)
    assert shown(page) == second.pk
    page = client.post(reverse("crawler:decide", args=[second.pk, "keep"]), {"after": "nonsense"}, follow=True)
    assert shown(page) == first.pk
    assert shown(client.get(reverse("crawler:review"), {"video": "9" * 30})) == first.pk


@pytest.mark.parametrize(
    ("check", "reason", "veiled"),
    [
        ("image-nsfw", "image: 3 of 8 frames", True),
        ("onscreen-text", "on screen: violence", True),
        ("flagged", "flagged: unsafe", True),
        ("flagged", "flagged: ambiguous", False),
        ("stated-length", "length?: 3 s, where the page says 60", False),
        ("emotion-shift", "transition: Fear to Sadness", False),
    ],
)
def test_what_may_be_unsafe_is_blurred_and_nothing_else(client, people, check, reason, veiled):
    video = VideoFactory(state="review", number=None, accepted_at=None)
    video.checks.create(name=check, verdict=Check.Verdict.REVIEW, reason=reason)
    client.force_login(people[0])
    assert ("data-unblur" in client.get(reverse("crawler:review")).content.decode()) is veiled


def test_beside_a_doubtful_pair_stands_what_each_measures_and_whether_the_other_is_out(client, people):
    other = VideoFactory(
        state="dropped", number=None, accepted_at=None, reason="reviewed: unsafe", width=1080, height=1920, size_bytes=2_000_000
    )
    video = VideoFactory(state="review", number=None, accepted_at=None, width=54, height=96, size_bytes=90_000)
    video.checks.create(name="duplicate", version=2, verdict="review", reason="duplicate?", evidence={"other": other.pk})
    client.force_login(people[0])
    page = client.get(reverse("crawler:review")).content.decode()
    assert "1080 × 1920" in page
    assert "54 × 96" in page
    assert "It is not in the collection itself: reviewed: unsafe" in page
    assert page.count('class="blurred"') == 2, "it was dropped as unsafe"


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


# --- doubted after its acceptance -------------------------------------------------------------------------------


def accepted_and_doubted(number: int = 7):
    """Accepted, then doubted by a check whose version has risen."""
    video = VideoFactory(state="accepted", number=number)
    verdicts.store_check(video, "image-nsfw", Check.Verdict.REVIEW, "image: 5 of 8 frames", {"scores": [0.9]}, version=9)
    services.video_doubt(video.pk)
    video.refresh_from_db()
    return video


def test_what_a_recheck_doubts_is_shown_with_its_evidence_and_its_warning(client, people, monkeypatch):
    alice, *_ = people
    video = VideoFactory(state="accepted", number=7)
    video.checks.create(name="text-lexicon", verdict=Check.Verdict.UNABLE)
    found = Finding(Check.Verdict.REVIEW, "text: violence", {"hits": [["violence", "kill"]]})
    monkeypatch.setattr(screening.moderation, "DETECTORS", (Detector("text-lexicon", 1, lambda video: found),))
    monkeypatch.setattr(screening, "clips", type("Clips", (), {"fetched": lambda *given, **named: None}))
    assert services.clean_waiting(recheck=True) == {"rechecked": 1}
    assert list(selectors.videos_in_review(alice)) == [video]
    assert waiting_for(None)["reviews"] == 1
    client.force_login(alice)
    page = client.get(reverse("crawler:review")).content.decode()
    assert "text: violence" in page
    assert "may be labelled already" in page
    assert "00000007.mp4" in page


def test_who_keeps_a_doubted_clip_leaves_its_number_and_its_labels(people):
    alice, bob, _ = people
    video = accepted_and_doubted()
    kept = services.video_keep(video.pk, user=alice, reason="a statue")
    assert (kept.state, kept.number, kept.doubted_at) == ("accepted", 7, None)
    assert list(selectors.videos_in_review(bob)) == []
    again = services.decision_undo(video.pk, user=alice)
    assert (again.state, again.number) == ("accepted", 7)
    assert selectors.doubts(again) == ["image: 5 of 8 frames"]
    assert list(selectors.videos_in_review(alice)) == [video]


def test_who_kept_it_once_is_asked_again_when_it_is_doubted_anew(people):
    alice, *_ = people
    video = doubtful()
    services.video_keep(video.pk, user=alice, reason="a joke")
    verdicts.store_check(video, "image-nsfw", Check.Verdict.REVIEW, "image: 5 of 8 frames", {}, version=9)
    services.video_doubt(video.pk)
    video.refresh_from_db()
    assert selectors.standing(video) == {}
    assert selectors.doubts(video) == ["image: 5 of 8 frames"], "the joke is settled"
    assert list(selectors.videos_in_review(alice)) == [video]
    services.video_keep(video.pk, user=alice, reason="a statue")
    assert list(selectors.videos_in_review(alice)) == []


def test_a_doubted_clip_that_is_dropped_leaves_labelling_and_the_next_release(people):
    alice, bob, _ = people
    video = accepted_and_doubted()
    sample = SampleFactory(video=video)
    Counter.objects.create(name="video numbers", last=7)
    dropped = services.video_drop(video.pk, user=alice, reason="unsafe")
    assert (dropped.state, dropped.reason, dropped.number) == ("dropped", "reviewed: unsafe", None)
    assert samples_close_gone() == 1
    sample.refresh_from_db()
    assert sample.state == "excluded"
    assert Counter.objects.get().last == 7, "its number is given to nobody else"
    with pytest.raises(PermissionDenied):
        services.decision_undo(video.pk, user=bob)
    again = services.decision_undo(video.pk, user=alice)
    assert (again.state, again.number, selectors.doubts(again)) == ("accepted", 7, ["image: 5 of 8 frames"])


def test_two_reviewers_must_agree_about_a_doubted_clip_too(client, people, settings):
    settings.REVIEWERS = 2
    alice, bob, _ = people
    video = accepted_and_doubted()
    client.force_login(alice)
    said = client.post(reverse("crawler:decide", args=[video.pk, "drop"]), {"reason": "unsafe"}, follow=True).content.decode()
    assert "waits for a second reviewer" in said
    assert selectors.decisions_latest().count() == 0, "lest it sway the second"
    assert services.video_drop(video.pk, user=bob, reason="unsafe").state == "dropped"


def test_flags_of_two_annotators_bring_the_clip_before_the_reviewers(people):
    alice, *_ = people
    video = VideoFactory(state="accepted", number=7)
    sample = SampleFactory(video=video)
    for seat in (1, 2):
        sample_flag(AssignmentFactory(sample=sample, seat=seat), kind="ambiguous", now=timezone.now())
    assert list(selectors.videos_in_review(alice)) == [video]
    video.refresh_from_db()
    assert selectors.doubts(video) == ["flagged: ambiguous"]


def test_a_clip_that_was_taken_down_does_not_come_back_by_an_undo(people, media_root):
    alice, *_ = people
    video = accepted_and_doubted()
    services.video_drop(video.pk, user=alice, reason="private")
    services.video_takedown(video.pk, reason="asked for")
    with pytest.raises(ValidationError, match="taken down"):
        services.decision_undo(video.pk, user=alice)
