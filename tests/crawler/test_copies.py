"""Of several copies of one clip the best is kept, in whatever order they come."""

import subprocess
from dataclasses import replace

import pytest

from crawler import services
from crawler.models import Video
from crawler.platforms import VideoPage
from crawler.rules import duplicates
from crawler.services import comparing, videos
from tests.crawler.pipeline import UNSAFE, advanced, copies, post

pytestmark = pytest.mark.django_db
State = Video.State


@pytest.mark.parametrize("searches", [1, 2])
def test_the_better_copy_wins_while_the_first_has_no_number(world, clip, tmp_path, monkeypatch, searches):
    """A copy in review gives way to a larger one; a numbered one stays. Also when another clip enters meanwhile, or the worker dies."""
    enter, refusals = comparing._enter, [None] * (searches - 1)
    monkeypatch.setattr(
        comparing, "_enter", lambda video, *found: enter(video, *found) if video.platform_id == "1" or not refusals else refusals.pop()
    )
    small = tmp_path / "small.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", clip, "-vf", "scale=54:96", small], check=True)
    world["files"]["1"] = small
    world["pages"]["1"] = VideoPage("tiktok", "1", "u", "test/1", title="I will kill you", media=("https://v16.tiktok.com/1",))
    first, second = advanced("1"), advanced("2")
    first.refresh_from_db()
    assert (first.state, second.state) == (State.DROPPED, State.ACCEPTED)
    assert first.reason == f"duplicate: of {second.pk} (better copy)"


def test_of_three_copies_the_best_is_kept_whichever_of_the_others_it_resembles_most(world, clip, tmp_path, monkeypatch):
    """The first gave way to the second, and the third resembles the first: it is the second's place that it takes."""
    copies(world, clip, tmp_path, 54, 80, 108)
    for name in "12":
        world["pages"][name] = VideoPage("tiktok", name, "u", "test/1", title=UNSAFE, media=("https://v16.tiktok.com/1",))
    first, second = advanced("1"), advanced("2")
    likenesses = [duplicates.Likeness(first.pk, inliers=99, agreement=0.99), duplicates.Likeness(second.pk, inliers=99, agreement=0.96)]
    monkeypatch.setattr(comparing, "likenesses_of", lambda *given, known: [found for found in likenesses if found.other not in known])
    third = advanced("3")
    rows = {video.platform_id: (video.state, video.reason) for video in Video.objects.all()}
    assert rows["1"] == (State.DROPPED, f"duplicate: of {second.pk} (better copy)")
    assert rows["2"] == (State.DROPPED, f"duplicate: of {third.pk} (better copy)")
    assert third.state == State.ACCEPTED
    fourth = post("4", width=54, height=96)
    assert services.video_advance(fourth.pk).reason == f"duplicate: of {third.pk} (same pictures, edited)"


@pytest.mark.parametrize(
    ("state", "reason", "width", "ends"),
    [
        (State.FAILED, "worker-killed: 5 workers died", 108, State.ACCEPTED),  # else the clip is lost for a worker's death
        (State.DROPPED, "reviewed: quality", 54, State.ACCEPTED),
        (State.DROPPED, "reviewed: quality", 108, State.DROPPED),
        (State.DROPPED, "reviewed: unsafe", 54, State.DROPPED),
        (State.ACCEPTED, "", 54, State.DROPPED),
    ],
)
def test_what_a_copy_that_is_out_means_for_the_next_one(world, clip, tmp_path, state, reason, width, ends):
    copies(world, clip, tmp_path, width, 108)
    first = advanced("1")
    Video.objects.filter(pk=first.pk).update(state=state, reason=reason, number=1 if state == State.ACCEPTED else None)
    assert advanced("2").state == ends
    first.refresh_from_db()
    assert first.state == (State.DROPPED if state == State.FAILED else state), "nor does it come back when its stage is opened again"


@pytest.mark.parametrize("first", [duplicates.Likeness(0, same_frames=True), duplicates.Likeness(0, share=0.9, in_order=9)])
def test_a_better_copy_inherits_the_doubt_of_the_one_that_gives_way(world, monkeypatch, first):
    """Two posts show one clip, and a third resembles both in part: whichever copy stays, a person compares it with the third."""
    world["pages"]["1"] = VideoPage("tiktok", "1", "u", "test/1", title="I will kill you", media=("https://v16.tiktok.com/1",))
    worse, third, rows = advanced("1"), post("3", state=State.DROPPED), {}
    rows[worse.pk] = replace(first, other=worse.pk)
    rows[third.pk] = duplicates.Likeness(third.pk, share=0.4, in_order=3)
    monkeypatch.setattr(comparing, "likenesses_of", lambda *given, known: [found for pk, found in rows.items() if pk not in known])
    monkeypatch.setattr(comparing.duplicates, "better", lambda mine, theirs: True)
    better = advanced("2")
    worse.refresh_from_db()
    assert worse.reason == f"duplicate: of {better.pk} (better copy)"
    assert (better.state, better.reason) == (State.REVIEW, f"duplicate?: {third.pk} (some frames alike)")


def test_a_copy_that_gave_way_is_not_accepted_by_the_worker_that_has_it(world, monkeypatch, clip):
    screen = videos.STEPS[State.DEDUPLICATED]

    def gives_way_meanwhile(video):
        Video.objects.filter(pk=video.pk).update(state=State.DROPPED, reason="duplicate: of 99 (better copy)")
        screen(video)

    monkeypatch.setitem(videos.STEPS, State.DEDUPLICATED, gives_way_meanwhile)
    video = advanced("1")
    assert (video.state, video.reason) == (State.DROPPED, "duplicate: of 99 (better copy)")
