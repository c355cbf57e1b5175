"""Videos on their way, with the network and the browser replaced by plain answers: order, idempotence, races, review, take-down."""

import random
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from crawler import fetch, selectors, services
from crawler.fetch import Expired, Interrupted, Refused, Seen, Unreachable
from crawler.models import Check, Counter, Fingerprint, Host, Stage, Term, Tombstone, Video, Visit
from crawler.platforms import Failure, Outcome, PostRef, TrendingWord, VideoPage
from crawler.rules import duplicates
from crawler.services import claims, comparing, manners, numbering, outages, screening, stages, verdicts, verifying, videos
from demo.replica import certificate
from tests import servers
from tests.crawler.conftest import make_clip
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
State = Video.State


@pytest.fixture
def world(monkeypatch, media_root, clip):
    """Pages and files by post id: world["pages"], world["files"]; what is not named there is a fresh, ordinary clip."""
    given = {"pages": {}, "files": {}, "downloads": []}

    def page_of(video):
        found = given["pages"].get(video.platform_id)
        if isinstance(found, Exception):
            raise found
        return found or VideoPage(
            video.platform,
            video.platform_id,
            video.url,
            "test/1",
            title=f"title {video.platform_id}",
            hashtags=("sea",),
            media=("https://v16.tiktok.com/1",),
        )

    def download(client, urls, page_url, folder, part_name):
        post = part_name.split("-", 1)[1]
        given["downloads"].append(post)
        found = given["files"].get(post, clip)
        if isinstance(found, list):
            found = found.pop(0)
        if isinstance(found, Exception):
            raise found
        import hashlib

        digest = hashlib.sha256(Path(found).read_bytes()).hexdigest()
        target = folder / digest[:2] / f"{digest}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(found, target)
        return fetch.Downloaded(f"{digest[:2]}/{digest}.mp4", digest, target.stat().st_size, urls[0])

    monkeypatch.setattr(videos, "page_of", page_of)
    monkeypatch.setattr(videos.fetch, "download", download)
    monkeypatch.setattr(videos.fetch, "resolve", lambda client, url: ())
    comparing._stock.clear()
    return given


def post(platform_id: str, **fields) -> Video:
    return Video.objects.create(platform="tiktok", platform_id=platform_id, url=f"https://www.tiktok.com/@/video/{platform_id}", **fields)


def advanced(platform_id: str) -> Video:
    return services.video_advance(post(platform_id).pk)


def test_a_video_goes_all_the_way_and_only_once(world):
    video = advanced("1")
    assert (video.state, video.number, video.public_name) == (State.ACCEPTED, 1, "00000001.mp4")
    assert video.duration_s == pytest.approx(4, abs=0.1)
    assert {"corrupt", "length", "duplicate", "text-lexicon", "image-nsfw", "transition"} <= set(
        video.checks.values_list("name", flat=True)
    )
    assert video.checks.get(name="image-nsfw").verdict == Check.Verdict.UNABLE
    services.video_advance(video.pk)
    assert world["downloads"] == ["1"]
    assert list(selectors.videos_ready()) == [video]


def test_numbers_follow_acceptance_without_gaps(world, other_clip):
    world["files"] |= {"2": other_clip, "3": other_clip}
    assert [advanced(name).number for name in ("1", "2", "3")] == [1, 2, None]
    assert Video.objects.get(platform_id="3").reason == f"duplicate: of {Video.objects.get(platform_id='2').pk} (same file)"


@pytest.mark.parametrize(
    "outcome", [Outcome.GONE, Outcome.PRIVATE, Outcome.REGION, Outcome.LOGIN, Outcome.CAPTCHA, Outcome.BLOCKED, Outcome.RULE_FAILED]
)
def test_each_failure_of_a_page_keeps_its_name(world, outcome):
    world["pages"]["1"] = Failure(outcome, "because")
    video = advanced("1")
    assert (video.state, video.reason) == (State.FAILED, f"{outcome}: because")


def test_a_slideshow_is_dropped_before_any_download(world):
    world["pages"]["1"] = Failure(Outcome.NOT_VIDEO, "slideshow")
    assert advanced("1").state == State.DROPPED
    assert world["downloads"] == []


def test_robots_and_walls_met_on_the_way_fail_under_their_cause(world):
    world["pages"]["1"] = Refused("disallowed", cause="robots")
    assert advanced("1").reason.startswith("robots:")


def test_an_expired_address_is_resolved_again(world, clip):
    world["files"]["1"] = [Expired("403"), clip]
    assert advanced("1").state == State.ACCEPTED


def test_metadata_is_kept_when_the_file_fails_and_the_try_is_counted(world, clip):
    world["files"]["1"] = [Unreachable("cut", cause="truncated"), clip]
    video = post("1")
    with pytest.raises(Unreachable):
        services.video_advance(video.pk)
    video.refresh_from_db()
    assert (video.state, video.title, video.attempts, video.claimed_by) == (State.META, "title 1", 1, "")
    assert services.video_advance(video.pk).state == State.ACCEPTED


def test_tries_end_under_the_last_cause(world):
    world["files"]["1"] = [Unreachable("cut", cause="truncated") for _ in range(videos.MAX_ATTEMPTS)]
    video = post("1")
    for _ in range(videos.MAX_ATTEMPTS - 1):
        with pytest.raises(Unreachable):
            services.video_advance(video.pk)
    assert services.video_advance(video.pk).reason == "truncated: cut"


def test_a_spoilt_and_a_short_file_are_dropped_and_their_reason_is_stored(world, clip, tmp_path):
    (tmp_path / "spoilt.mp4").write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    world["files"] |= {"1": tmp_path / "spoilt.mp4", "2": make_clip(tmp_path / "short.mp4", seconds=1)}
    assert advanced("1").reason.startswith("corrupt:")
    video = advanced("2")
    assert video.reason.startswith("too-short:")
    assert video.checks.get(name="length").evidence["duration_s"] == pytest.approx(1, abs=0.1)


def test_an_unsafe_title_waits_for_a_person(world):
    world["pages"]["1"] = VideoPage("tiktok", "1", "u", "test/1", title="I will k i l l you", media=("https://v16.tiktok.com/1",))
    video = advanced("1")
    assert (video.state, video.reason, video.number) == (State.REVIEW, "text: violence", None)


@pytest.mark.parametrize("stopped_at", [State.META, State.MEDIA, State.VERIFIED, State.DEDUPLICATED, State.SCREENED])
def test_a_worker_killed_between_two_steps_changes_nothing(world, monkeypatch, stopped_at):
    """SIGKILL leaves the state of the last finished step and a dead claim."""
    video = post("1")
    steps = dict(videos.STEPS)

    def die(video):
        raise KeyboardInterrupt

    monkeypatch.setitem(videos.STEPS, stopped_at, die)
    with pytest.raises(KeyboardInterrupt):
        services.video_advance(video.pk)
    Video.objects.filter(pk=video.pk).update(claimed_by=f"{claims.socket.gethostname()}:999999999:{int(claims.time.time())}:dead")
    monkeypatch.setitem(videos.STEPS, stopped_at, steps[stopped_at])
    assert services.resume_stale() == [video.pk]
    resumed = services.video_advance(video.pk)
    assert (resumed.state, resumed.number) == (State.ACCEPTED, 1)
    assert Fingerprint.objects.count() == 1
    assert resumed.checks.count() == len(set(resumed.checks.values_list("name", flat=True)))


def test_a_video_in_living_hands_is_left_alone(world):
    video = post("1", claimed_by=claims.name())
    assert services.video_advance(video.pk).state == State.DISCOVERED
    assert services.resume_stale() == []


def test_a_lost_file_is_fetched_again(world, media_root):
    video = advanced("1")
    video.path.unlink()
    Video.objects.filter(pk=video.pk).update(state=State.MEDIA, number=None)
    assert services.video_advance(video.pk).state == State.ACCEPTED
    assert world["downloads"] == ["1", "1"]


def test_the_database_refuses_a_number_twice_or_without_acceptance(world):
    advanced("1")
    with pytest.raises(IntegrityError), transaction.atomic():
        post("8", number=1, state=State.ACCEPTED)
    with pytest.raises(IntegrityError), transaction.atomic():
        post("9", number=7)
    with pytest.raises(IntegrityError), transaction.atomic():
        post("10", state=State.ACCEPTED)


def test_clean_waiting_takes_all_that_have_their_file(world, other_clip, monkeypatch):
    world["files"]["2"] = other_clip
    for name in ("1", "2"):
        video = post(name)
        videos.read_page(video)
        videos.fetch_media(video)
    assert services.clean_waiting() == {State.ACCEPTED: 2}
    unable = set(Check.objects.filter(verdict=Check.Verdict.UNABLE).values_list("name", flat=True))
    able = [detector for detector in screening.moderation.DETECTORS if detector.name not in unable]
    monkeypatch.setattr(screening.moderation, "DETECTORS", able)
    assert services.clean_waiting(recheck=True) == {"rechecked": 0}, "who has looked is not asked again"


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


def copies(world, clip, tmp_path, *widths: int) -> list[Path]:
    """The clip in several sizes, as the files of posts 1, 2 …"""
    files = []
    for number, width in enumerate(widths, start=1):
        files.append(tmp_path / f"{number}.mp4")
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", clip, "-vf", f"scale={width}:-2", files[-1]], check=True)
        world["files"][str(number)] = files[-1]
    return files


UNSAFE = "I will kill you"


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


def test_what_came_in_place_of_a_lost_file_is_judged_anew(world, clip, other_clip):
    video = post("1")
    world["pages"]["1"] = VideoPage("tiktok", "1", "u", "test/1", duration_s=4.0, media=("https://v16.tiktok.com/1",))
    videos.read_page(video)
    videos.fetch_media(video)
    verdicts.store_check(video, "stated-length", Check.Verdict.PASS)  # then its worker was killed, and the disk lost
    video.path.unlink()
    Video.objects.filter(pk=video.pk).update(stated_s=61.0)
    assert services.video_advance(video.pk).state == State.REVIEW


def test_a_drop_is_told_by_its_check_whatever_that_said_before(world):
    video = post("1")
    verdicts.store_check(video, "corrupt", Check.Verdict.PASS)
    verdicts.drop(video, "corrupt", verdicts.rules.Drop("corrupt: moov atom not found", {"problem": "moov"}))
    check = video.checks.get(name="corrupt")
    assert (check.verdict, check.reason, check.evidence) == ("drop", "corrupt: moov atom not found", {"problem": "moov"})


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


def test_two_posts_with_one_file_that_no_browser_plays_do_not_spoil_each_other(world, monkeypatch, clip, media_root):
    """The second is at work on the original while the first puts its copy in its place."""
    monkeypatch.setattr(verifying.media, "browser_plays", lambda seen: "transcoded" in world)
    transcode = verifying.media.transcode

    def other_first(source, target):
        monkeypatch.setattr(verifying.media, "transcode", transcode)
        others = services.video_advance(Video.objects.get(platform_id="2").pk)
        assert others.state == State.VERIFIED
        transcode(source, target)

    for name in "12":
        video = post(name)
        videos.read_page(video)
        videos.fetch_media(video)
    monkeypatch.setattr(verifying.media, "transcode", other_first)
    monkeypatch.setitem(videos.STEPS, State.VERIFIED, lambda video: (_ for _ in ()).throw(claims.Overtaken("halt")))
    monkeypatch.setattr(verifying.media, "browser_plays", lambda seen: False)
    original = Video.objects.get(platform_id="1").path
    services.video_advance(Video.objects.get(platform_id="1").pk)
    both = list(Video.objects.order_by("pk"))
    assert [video.state for video in both] == [State.VERIFIED, State.VERIFIED]
    for video in both:
        assert video.path.is_file()
        assert verifying.features_path(video).is_file()
    assert not original.exists(), "nobody needs it any more"
    assert list((media_root / "parts").glob("*")) == []


def test_a_length_that_the_page_does_not_state_is_for_people(world):
    for name, stated_s in (("1", 4.4), ("2", 61.0), ("3", None)):
        world["pages"][name] = VideoPage("tiktok", name, "u", "test/1", duration_s=stated_s, media=("https://v16.tiktok.com/1",))
    assert advanced("1").checks.get(name="stated-length").verdict == Check.Verdict.PASS
    Fingerprint.objects.all().delete()
    cut = advanced("2")
    assert (cut.state, cut.reason) == (State.REVIEW, f"length?: {cut.duration_s:.2f} s, where the page says 61")
    assert cut.checks.get(name="stated-length").evidence == {"stated_s": 61.0, "duration_s": cut.duration_s}


# --- what goes wrong on our own side ----------------------------------------------------------------------------


def dead_claim() -> str:
    return f"{claims.socket.gethostname()}:999999999:{int(claims.time.time())}:dead"


def test_a_video_that_kills_every_worker_fails_in_the_end(world):
    video = post("1")
    for _ in range(claims.MAX_DEATHS):
        Video.objects.filter(pk=video.pk).update(claimed_by=dead_claim(), state=State.META, media=["https://v16.tiktok.com/1"])
        world["files"]["1"] = Unreachable("cut")
        try:
            video = services.video_advance(video.pk)
        except Unreachable:
            Video.objects.filter(pk=video.pk).update(attempts=0)
    assert (video.state, video.reason) == (State.FAILED, "worker-killed: 5 workers died while it was meta")
    assert world["downloads"] == ["1"] * (claims.MAX_DEATHS - 1)


def test_an_error_of_our_own_neither_stops_a_stage_nor_comes_back_for_ever(board, world):
    world["files"]["1"] = [ValueError("odd") for _ in range(videos.MAX_ATTEMPTS)]
    board.shows = {EXPLORE: seen("1", "2")}
    counts = services.stage_crawl(stage().pk)
    assert counts["accepted"] == 1
    assert Video.objects.get(platform_id="1").reason == "error: ValueError: odd"


def test_a_full_disk_costs_no_video_a_try(world):
    world["files"]["1"] = OSError(28, "No space left on device")
    video = post("1")
    with pytest.raises(services.Away, match="cannot be written"):
        services.video_advance(video.pk)
    video.refresh_from_db()
    assert (video.state, video.attempts) == (State.META, 0)


def test_a_machine_without_ffmpeg_costs_no_video_a_try(world, monkeypatch):
    monkeypatch.setattr(verifying.media, "examine", lambda *given: (_ for _ in ()).throw(verifying.media.Unfit("missing: ffmpeg")))
    video = post("1")
    with pytest.raises(services.Away, match="clips cannot be examined: missing: ffmpeg"):
        services.video_advance(video.pk)
    video.refresh_from_db()
    assert (video.state, video.attempts) == (State.MEDIA, 0)


def test_beginnings_that_nobody_goes_on_with_are_swept(media_root):
    import os

    (media_root / "parts").mkdir()
    for name, age_s in (("old.part", 100_000), ("young.part", 100)):
        path = media_root / "parts" / name
        path.write_bytes(b"x")
        os.utime(path, (claims.time.time() - age_s,) * 2)
    (media_root / "parts" / "renamed.part").symlink_to("nowhere")  # listed, and gone when it is looked at, as a finished download is
    assert services.parts_sweep() == 1
    assert sorted(path.name for path in (media_root / "parts").iterdir()) == ["renamed.part", "young.part"]


# --- decided about while a step is at work ----------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.DISCOVERED, State.META, State.MEDIA, State.VERIFIED, State.DEDUPLICATED, State.SCREENED])
def test_a_take_down_holds_against_the_step_that_is_at_work(world, monkeypatch, media_root, django_capture_on_commit_callbacks, state):
    step = videos.STEPS[state]

    def taken_down_meanwhile(video):
        services.video_takedown(video.pk, reason="asked for")
        step(video)

    monkeypatch.setitem(videos.STEPS, state, taken_down_meanwhile)
    with django_capture_on_commit_callbacks(execute=True):
        video = advanced("1")
    assert (video.state, video.reason, video.number, video.title, video.raw) == (State.DROPPED, "taken-down: asked for", None, "", {})
    assert (video.page_sha256, video.published_at) == ("", None)
    assert not video.checks.exists()
    assert not Fingerprint.objects.exists()
    assert [path for path in media_root.rglob("*") if path.is_file() and path.name != "stock.npz"] == []


def test_a_part_of_a_clip_goes_with_its_take_down(world, media_root, django_capture_on_commit_callbacks):
    part = media_root / "parts" / "tiktok-1.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half of it")
    with django_capture_on_commit_callbacks(execute=True):
        services.video_takedown(post("1", state=State.META).pk, reason="asked for")
    assert not part.exists()


def test_a_copy_that_gave_way_is_not_accepted_by_the_worker_that_has_it(world, monkeypatch, clip):
    screen = videos.STEPS[State.DEDUPLICATED]

    def gives_way_meanwhile(video):
        Video.objects.filter(pk=video.pk).update(state=State.DROPPED, reason="duplicate: of 99 (better copy)")
        screen(video)

    monkeypatch.setitem(videos.STEPS, State.DEDUPLICATED, gives_way_meanwhile)
    video = advanced("1")
    assert (video.state, video.reason) == (State.DROPPED, "duplicate: of 99 (better copy)")


def test_a_clip_that_cannot_be_made_playable_is_dropped_and_stops_nobody(world, monkeypatch):
    monkeypatch.setattr(verifying.media, "browser_plays", lambda seen: False)

    def burst(source, target):
        raise verifying.media.HostileMedia("the decoder ended with 1")

    monkeypatch.setattr(verifying.media, "transcode", burst)
    video = advanced("1")
    assert (video.state, video.reason) == (State.DROPPED, "unplayable: the decoder ended with 1")


@pytest.mark.parametrize(("state", "ends"), [(State.DISCOVERED, State.DISCOVERED), (State.META, State.META), (State.MEDIA, State.ACCEPTED)])
def test_nothing_more_is_asked_of_the_platform_for_a_stopped_stage(world, monkeypatch, state, ends):
    chosen = Stage.objects.create(name="stopped", state=Stage.State.RUNNING)
    step = videos.STEPS[state]

    video = post("1", stage=chosen)
    if state != State.DISCOVERED:
        monkeypatch.setitem(videos.STEPS, state, lambda video: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            services.video_advance(video.pk)
        monkeypatch.setitem(videos.STEPS, state, step)
    services.stage_stop(chosen.pk)
    Video.objects.update(touched_at=timezone.now() - timedelta(hours=1))
    assert services.resume_stale() == ([] if ends == state else [video.pk])
    assert services.video_advance(video.pk).state == ends


# --- review -----------------------------------------------------------------------------------------------------


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


def test_a_takedown_leaves_a_tombstone_and_nothing_else(world, settings, tmp_path, django_capture_on_commit_callbacks):
    video = advanced("1")
    path = video.path
    settings.EMOTION_WINDOWS = str(tmp_path)
    seen = tmp_path / f"{video.sha256}.npy"
    seen.write_bytes(b"what a network saw")
    with django_capture_on_commit_callbacks(execute=True):
        stone = services.video_takedown(video.pk, reason="the author asked")
    video.refresh_from_db()
    assert (video.state, video.number, video.title, video.raw, video.file) == (State.DROPPED, None, "", {}, "")
    assert stone.number == 1
    assert not path.exists()
    assert not seen.exists()
    assert not Fingerprint.objects.exists()
    assert list(selectors.videos_ready()) == []
    services.video_takedown(video.pk, reason="again")
    assert Tombstone.objects.count() == 1
    with django_capture_on_commit_callbacks(execute=True):
        again = advanced("2")
    assert again.reason == "taken-down: the author asked", "the same content under another id"
    assert (again.title, again.file) == ("", "")
    assert not path.exists(), "nor does what it brought stay"
    assert services.posts_insert([{"platform": "tiktok", "platform_id": "1", "url": "https://x"}]) == []


def test_an_edited_copy_of_what_was_taken_down_does_not_come_back(world, clip, other_clip, tmp_path, django_capture_on_commit_callbacks):
    copies(world, clip, tmp_path, 108, 54)
    video = advanced("1")
    with django_capture_on_commit_callbacks(execute=True):
        stone = services.video_takedown(video.pk, reason="the author asked")
        smaller = advanced("2")
    assert stone.frames_sha256 != Tombstone.objects.get(platform_id="2").frames_sha256, "other bytes, other pictures"
    assert (smaller.reason, smaller.title, smaller.file) == ("taken-down: the author asked", "", "")
    world["files"]["3"] = other_clip
    assert advanced("3").state == State.ACCEPTED


def test_an_edited_copy_that_is_still_at_work_goes_with_what_is_taken_down(world, clip, tmp_path, django_capture_on_commit_callbacks):
    copies(world, clip, tmp_path, 108, 54)
    smaller, video = post("2", state=State.REVIEW, reason="some doubt"), advanced("1")
    look = Fingerprint.objects.get(video=video)
    Fingerprint.objects.create(video=smaller, frames_sha256="f" * 64, hashes=look.hashes, times=look.times)
    other = post("3", state=State.REVIEW, reason="some doubt")
    Fingerprint.objects.create(
        video=other, frames_sha256="e" * 64, hashes=bytes(255 - byte for byte in bytes(look.hashes)), times=look.times
    )
    with django_capture_on_commit_callbacks(execute=True):
        services.video_takedown(video.pk, reason="the author asked")
    smaller.refresh_from_db(), other.refresh_from_db()
    assert (smaller.state, smaller.reason) == (State.DROPPED, "taken-down: the author asked")
    assert (other.state, other.reason) == (State.REVIEW, "some doubt")


def test_a_takedown_takes_the_copies_that_were_dropped_for_it(world, clip, tmp_path, media_root, django_capture_on_commit_callbacks):
    copies(world, clip, tmp_path, 54, 108, 80)
    world["pages"]["1"] = VideoPage("tiktok", "1", "u", "test/1", title=UNSAFE, media=("https://v16.tiktok.com/1",))
    gave_way, kept, dropped = advanced("1"), advanced("2"), advanced("3")
    compared = post("4", state=State.DROPPED, reason="reviewed: duplicate", title="a copy")
    compared.checks.create(name="duplicate", version=2, verdict="review", evidence={"other": kept.pk})
    stranger = post("5", state=State.DROPPED, reason=f"duplicate: of {kept.pk}1 (same file)", title="of another clip")
    assert (dropped.state, dropped.reason.startswith(f"duplicate: of {kept.pk} (")) == (State.DROPPED, True)
    for copy in (gave_way, dropped, compared):
        copy.refresh_from_db()
        assert selectors.copy_kept(copy) == kept
    with django_capture_on_commit_callbacks(execute=True):
        services.video_takedown(kept.pk, reason="the author asked")
    for copy in (gave_way, kept, dropped, compared):
        copy.refresh_from_db()
        assert (copy.reason, copy.title, copy.file) == ("taken-down: the author asked", "", "")
    assert [path for path in media_root.rglob("*") if path.is_file() and path.name != "stock.npz"] == []
    assert not Fingerprint.objects.exists()
    stranger.refresh_from_db()
    assert stranger.title == "of another clip"


# --- stages -----------------------------------------------------------------------------------------------------


class Board:
    """Lists in the place of a browser: what each address shows, or how it fails."""

    shows: dict = {}
    asked: list = []

    def __init__(self, client) -> None:
        self.client = client

    def __enter__(self):
        return self

    def __exit__(self, *args) -> None:
        """Nothing to quit."""

    def collect(self, url, kind, budget):
        Board.asked.append(url)
        found = Board.shows.get(url, Seen())
        if isinstance(found, BaseException):
            raise found
        return found


def seen(*posts: str, words: tuple[str, ...] = (), failure: Failure | None = None) -> Seen:
    refs = {name: PostRef("tiktok", name, f"https://www.tiktok.com/@/video/{name}") for name in posts}
    return Seen(posts=refs, words={word: TrendingWord(word, place + 1) for place, word in enumerate(words)}, failure=failure)


@pytest.fixture
def board(monkeypatch, world):
    Board.shows, Board.asked = {}, []
    monkeypatch.setattr(stages, "Browser", Board)
    return Board


EXPLORE, TAG = "https://www.tiktok.com/explore", "https://www.tiktok.com/tag/"


def stage(name: str = "one", **settings) -> Stage:
    return services.stage_create(name=name, platforms=["tiktok"], backoff_s=0, **settings)


def test_words_of_stage_one_lead_to_posts_and_their_keywords_steer_stage_two(board, world, other_clip):
    board.shows = {EXPLORE: seen(words=("dance", "cat")), TAG + "dance": seen("1"), TAG + "sea": seen("2")}
    world["files"]["2"] = other_clip
    counts = services.stage_crawl(stage("one").pk)
    assert counts["accepted"] == 1
    assert board.asked == [EXPLORE, TAG + "dance", TAG + "cat"]
    sea = Term.objects.get(text="sea")
    assert (sea.why["source"], sea.first_stage.name) == ("hashtag", "one")
    board.asked.clear()
    services.stage_crawl(stage("two", trending=False, terms_per_platform=1).pk)
    assert board.asked == [TAG + "sea"], "the keyword of what was kept outweighs the words that gave little"
    assert Video.objects.get(platform_id="2").term == Term.objects.get(text="sea")
    assert Stage.objects.get(name="two").state == Stage.State.DONE


def test_a_finished_stage_run_again_asks_and_stores_nothing_twice(board):
    board.shows = {EXPLORE: seen("1", words=("dance",)), TAG + "dance": seen("1")}
    first = services.stage_crawl(stage().pk)
    asked = len(board.asked)
    assert services.stage_crawl(stage().pk) == first
    assert len(board.asked) == asked
    assert Video.objects.count() == 1


def test_a_stage_killed_between_lists_goes_on_where_it_was(board):
    board.shows = {EXPLORE: seen(words=("dance", "cat")), TAG + "dance": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        services.stage_crawl(stage().pk)
    board.shows[TAG + "dance"] = seen("1")
    board.asked.clear()
    assert services.stage_crawl(stage().pk)["accepted"] == 1
    assert EXPLORE not in board.asked


def test_a_stage_killed_between_two_of_its_words_asks_for_them_all(board, monkeypatch):
    plan, planned = stages._Round._plan, []

    def killed(self, platform, kind, subject, term=None):
        if planned.append(subject) or subject == "cat":
            raise KeyboardInterrupt
        plan(self, platform, kind, subject, term)

    board.shows = {EXPLORE: seen(words=("dance", "cat"))}
    monkeypatch.setattr(stages._Round, "_plan", killed)
    with pytest.raises(KeyboardInterrupt):
        services.stage_crawl(stage().pk)
    assert planned == ["", "dance", "cat"]
    monkeypatch.setattr(stages._Round, "_plan", plan)
    services.stage_crawl(stage().pk)
    assert board.asked == [EXPLORE, TAG + "dance", TAG + "cat"]


@pytest.mark.parametrize("trending", [False, True])
@pytest.mark.parametrize("given", [["sea"], ["sea", "sky"]])
def test_words_that_are_given_come_first_and_then_the_chosen_ones(board, trending, given):
    board.shows = {EXPLORE: seen(words=("dance",))}
    services.stage_crawl(stage("before", terms_per_platform=0).pk)
    board.asked.clear()
    services.stage_crawl(stage(terms={"tiktok": given}, trending=trending).pk)
    assert board.asked == [*[EXPLORE] * trending, *(f"https://www.tiktok.com/search?q={word}" for word in given), TAG + "dance"]


@pytest.mark.parametrize("outcome", [Outcome.CAPTCHA, Outcome.LOGIN])
def test_a_wall_is_reported_and_the_host_left_alone(board, outcome):
    board.shows = {EXPLORE: seen("1", failure=Failure(outcome, "wall"))}
    counts = services.stage_crawl(stage().pk)
    assert counts[f"list: {outcome}"] == 1
    assert selectors.hosts()[0].pause_reason.startswith(outcome)
    assert counts["found"] == 1, "what was seen before the wall is kept"


def test_a_list_that_kills_its_worker_is_read_last_and_then_no_more(board, monkeypatch):
    """The count is on the row while the list is read: whoever dies then cannot count any more."""
    monkeypatch.setattr(
        Board, "collect", lambda self, url, kind, budget: Board.asked.append((url, Visit.objects.get(kind=kind).deaths)) or seen()
    )
    chosen = stage(terms={"tiktok": ["dance"]})
    services.stage_crawl(chosen.pk)
    assert Board.asked == [(EXPLORE, 1), ("https://www.tiktok.com/search?q=dance", 1)]
    assert set(Visit.objects.values_list("deaths", flat=True)) == {0}, "nobody died"
    Board.asked.clear()
    Visit.objects.update(state=Visit.State.WAITING)
    Visit.objects.filter(kind="trending").update(deaths=1)
    Stage.objects.update(state=Stage.State.RUNNING)
    services.stage_crawl(chosen.pk)
    assert [deaths for _, deaths in Board.asked] == [1, 2]
    Board.asked.clear()
    Visit.objects.filter(kind="trending").update(state=Visit.State.WAITING, deaths=claims.MAX_DEATHS)
    Stage.objects.update(state=Stage.State.RUNNING)
    services.stage_crawl(chosen.pk)
    poison = Visit.objects.get(kind="trending")
    assert (Board.asked, poison.state, poison.outcome) == ([], Visit.State.FAILED, "worker-killed")
    assert poison.detail == "5 workers died while they read it"
    services.stage_reopen(chosen.pk)
    poison.refresh_from_db()
    assert (poison.state, poison.deaths) == (Visit.State.WAITING, 0)


def test_what_a_list_showed_before_the_browser_died_is_kept(board):
    board.shows = {EXPLORE: Interrupted("tab crashed", cause="browser", seen=seen("1"))}
    services.stage_crawl(stage().pk)
    visit = Visit.objects.get()
    assert (visit.state, visit.outcome, visit.found, visit.new) == (Visit.State.FAILED, "browser", 1, 1)
    assert Video.objects.get().state == State.ACCEPTED


def test_a_list_that_our_own_code_stumbles_over_costs_the_stage_no_other(board):
    board.shows = {EXPLORE: seen(words=("dance", "cat")), TAG + "dance": ValueError("odd"), TAG + "cat": seen("1")}
    assert services.stage_crawl(stage().pk)["accepted"] == 1
    visit = Visit.objects.get(subject="dance")
    assert (visit.outcome, visit.detail, visit.attempts) == ("error", "ValueError: odd", stages.MAX_VISIT_ATTEMPTS)


def test_whoever_interrupts_a_stage_does_not_wait_for_its_whole_line(monkeypatch):
    round_, begun, go_on = stages._Round(stage(), stages._silent, None, 1), threading.Event(), threading.Event()
    at_work = round_.pool.submit(lambda: begun.set() or go_on.wait(60))
    in_line = [round_.pool.submit(int) for _ in range(3)]
    round_.futures = [at_work, *in_line]

    def interrupted():
        begun.wait(60)
        threading.Timer(0.2, go_on.set).start()
        raise KeyboardInterrupt

    monkeypatch.setattr(round_, "_read_lists", interrupted)
    with pytest.raises(KeyboardInterrupt):
        round_.run()
    assert at_work.done()
    assert all(future.cancelled() for future in in_line)


def test_an_unreachable_list_is_tried_again_and_then_named(board):
    board.shows = {EXPLORE: Unreachable("no answer", cause="slow")}
    services.stage_crawl(stage().pk)
    visit = Visit.objects.get()
    assert (visit.state, visit.outcome, visit.attempts) == (Visit.State.FAILED, "slow", stages.MAX_VISIT_ATTEMPTS)


def test_a_stage_that_reached_nothing_is_not_done_but_put_off_and_goes_on_when_the_line_is_back(board):
    board.shows = {EXPLORE: Unreachable("no answer")}
    chosen = stage()
    services.stage_crawl(chosen.pk, unless_done=True)
    chosen.refresh_from_db()
    assert (chosen.state, chosen.retries) == (Stage.State.FAILED, 1)
    assert chosen.reason == "unreachable: tiktok (1 of 1 lists); last: no answer"
    assert services.stages_due() == [], "its time has not come"
    board.shows, asked = {EXPLORE: seen("1")}, len(board.asked)
    services.stage_crawl(chosen.pk, unless_done=True)
    assert len(board.asked) == asked, "a message that comes early"
    Stage.objects.filter(pk=chosen.pk).update(retry_at=timezone.now())
    assert services.stages_due() == [chosen.pk]
    assert services.stage_crawl(chosen.pk, unless_done=True)["accepted"] == 1
    chosen.refresh_from_db()
    assert (chosen.state, chosen.reason, chosen.retry_at) == (Stage.State.DONE, "", None)


def test_with_the_line_down_all_the_time_nothing_is_called_done(settings, tmp_path):
    """No part is replaced: the address of the platforms answers nobody."""
    certificate.ensure(tmp_path)
    settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA = f"127.0.0.1:{servers.free_port()}", str(tmp_path / "ca.pem")
    chosen = services.stage_create(name="dark", attempts=1, backoff_s=0, delay_s=0)
    assert services.stage_crawl(chosen.pk) == {"found": 0, "list: unreachable": 3}
    chosen.refresh_from_db()
    assert chosen.state == Stage.State.FAILED
    assert chosen.reason.startswith("unreachable: douyin (1 of 1 lists), kuaishou (1 of 1 lists), tiktok (1 of 1 lists)")


def test_an_outage_of_half_a_day_is_given_up_and_a_person_begins_anew(board):
    board.shows = {EXPLORE: Unreachable("no answer")}
    chosen = stage()
    for _ in range(outages.MAX_RETRIES + 1):
        services.stage_crawl(chosen.pk, unless_done=True)
        Stage.objects.filter(pk=chosen.pk, retry_at__isnull=False).update(retry_at=timezone.now())
    chosen.refresh_from_db()
    assert (chosen.state, chosen.retry_at, chosen.retries) == (Stage.State.FAILED, None, outages.MAX_RETRIES + 1)
    assert services.stages_due() == []
    board.shows = {EXPLORE: seen("1")}
    assert services.stage_crawl(chosen.pk)["accepted"] == 1


def test_videos_lost_in_an_outage_go_on_from_what_was_known_of_them(board, world, clip):
    world["files"] |= {name: [Unreachable("cut") for _ in range(videos.MAX_ATTEMPTS)] for name in "123"}
    board.shows = {EXPLORE: seen("1", "2", "3", "4")}
    chosen = stage()
    assert services.stage_crawl(chosen.pk)["failed: unreachable"] == 3
    chosen.refresh_from_db()
    assert chosen.reason == "unreachable: tiktok (3 of 4 videos)"
    world["files"] |= dict.fromkeys("123", clip)
    services.stage_reopen(chosen.pk)
    assert set(Video.objects.filter(platform_id__in="123").values_list("state", flat=True)) == {State.META}
    services.stage_crawl(chosen.pk)
    assert not Video.objects.filter(state=State.FAILED).exists()


def test_one_list_of_several_out_of_reach_leaves_the_stage_done_and_can_be_asked_again(board):
    board.shows = {EXPLORE: seen("1", words=("dance", "cat")), TAG + "cat": Unreachable("no answer")}
    chosen = stage()
    services.stage_crawl(chosen.pk)
    chosen.refresh_from_db()
    assert chosen.state == Stage.State.DONE
    board.asked.clear()
    board.shows[TAG + "cat"] = seen("2")
    services.stage_crawl(chosen.pk)
    assert board.asked == [TAG + "cat"]
    assert Video.objects.filter(platform_id="2").exists()


def test_what_no_rule_read_is_asked_again_by_hand_alone(board):
    """After a rule file for the new layout came."""
    board.shows = {EXPLORE: seen("1", words=("dance",)), TAG + "dance": seen(failure=Failure(Outcome.RULE_FAILED, "no rule found a list"))}
    chosen = stage()
    services.stage_crawl(chosen.pk)
    Video.objects.update(state=State.FAILED, number=None, reason="rule-failed: no rule found the record", media=[])
    board.asked.clear()
    services.stage_crawl(chosen.pk, unless_done=True)
    assert board.asked == []
    board.shows[TAG + "dance"] = seen("2")
    services.stage_crawl(chosen.pk)
    assert board.asked == [TAG + "dance"]
    assert not Video.objects.filter(state=State.FAILED).exists()


def test_a_conversation_belongs_to_the_network_it_began_in(settings, tmp_path):
    settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA = "127.0.0.1:1", str(tmp_path / "first.pem")
    first = manners.client_of(None, "tiktok")
    assert manners.client_of(None, "tiktok") is first
    settings.CRAWL_REPLICA_CA = str(tmp_path / "second.pem")
    assert manners.client_of(None, "tiktok").session.verify == settings.CRAWL_REPLICA_CA


def test_what_failed_rests_longer_and_longer_before_it_is_tried_again(board, world, clip, monkeypatch):
    rests = []
    monkeypatch.setattr(stages, "rest", rests.append)
    board.shows = {EXPLORE: Unreachable("no answer")}
    services.stage_crawl(services.stage_create(name="lists", platforms=["tiktok"], backoff_s=0.5).pk)
    assert rests == [2.5, 5.0]
    rests.clear()
    board.shows = {EXPLORE: seen("1")}
    world["files"]["1"] = [Unreachable("cut"), Unreachable("cut"), clip]
    services.stage_crawl(services.stage_create(name="videos", platforms=["tiktok"], backoff_s=0.5).pk)
    assert rests == [2.5, 5.0]


def test_the_budget_bounds_what_is_discovered(board):
    board.shows = {EXPLORE: seen("1", "2", "3", words=("dance",)), TAG + "dance": seen("4")}
    services.stage_crawl(stage(video_budget=2).pk)
    assert Video.objects.count() == 2
    assert TAG + "dance" not in board.asked


def test_a_stopped_stage_stops(board, monkeypatch):
    chosen = stage()
    board.shows = {EXPLORE: seen("1", words=("dance",))}
    monkeypatch.setattr(Board, "collect", lambda self, url, kind, budget: services.stage_stop(chosen.pk) and Board.shows[url])
    services.stage_crawl(chosen.pk)
    chosen.refresh_from_db()
    assert chosen.state == Stage.State.STOPPED
    assert Video.objects.get().state == State.DISCOVERED


def test_a_stage_reads_no_list_after_its_end(board):
    chosen = stage(ends_at=timezone.now() - timedelta(minutes=1))
    board.shows = {EXPLORE: seen("1", words=("dance",))}
    services.stage_crawl(chosen.pk)
    chosen.refresh_from_db()
    assert chosen.state == Stage.State.DONE
    assert not Video.objects.exists()


def test_a_stage_in_other_hands_is_busy(board):
    chosen = stage()
    Stage.objects.filter(pk=chosen.pk).update(claimed_by=claims.name())
    with pytest.raises(services.StageBusy):
        services.stage_crawl(chosen.pk)


@pytest.mark.parametrize(
    "settings",
    [
        {"speed": 9},
        {"user_agent": "liar"},
        {"delay_s": -1},
        {"attempts": 0},
        {"terms": {"myspace": ["x"]}},
        {"terms": {"tiktok": "dance"}},
        {"users": {"tiktok": [""]}},
        {"steer": "no"},
        {"proxy": 8080},
        {"platforms": ["myspace"]},
        {"links": ["see you there"]},
    ],
)
def test_nonsense_in_a_stage_is_refused(settings):
    with pytest.raises(ValidationError):
        services.stage_create(**{"name": "bad", "platforms": ["tiktok"], **settings})
    assert not Stage.objects.exists()


def test_a_stage_records_how_it_introduces_itself(settings):
    settings.CRAWL_USER_AGENT = "pool"
    begun = stage("one")
    settings.CRAWL_USER_AGENT = "honest"
    assert begun.settings["user_agent"] == "pool"
    assert manners.manner_of(begun).user_agent == "pool", "a stage that goes on keeps the name it began with"


def test_a_stage_records_whether_it_takes_cookies_along(settings, tmp_path):
    assert not stage("before").settings["cookies"], "the site has none"
    settings.CRAWL_COOKIES = str(tmp_path / "cookies.txt")
    with pytest.raises(ValidationError, match="cannot be read"):
        stage("one")
    (tmp_path / "cookies.txt").write_text("# Netscape HTTP Cookie File\n")
    begun, without = stage("one"), stage("two", cookies=False)
    assert (begun.settings["cookies"], manners.manner_of(begun).cookies) == (True, settings.CRAWL_COOKIES)
    assert (without.settings["cookies"], manners.manner_of(without).cookies) == (False, "")


def test_a_stage_records_the_pace_it_keeps(settings):
    settings.CRAWL_DELAY_S = 3.5
    begun = stage("one")
    settings.CRAWL_DELAY_S = 0.0
    assert begun.settings["delay_s"] == 3.5
    assert manners.manner_of(begun).delay_s == 3.5
    assert stage("two", delay_s=1).settings["delay_s"] == 1


SHARED = "7.43 复制打开抖音 https://vm.tiktok.com/ZS8abcdef/ 看看 #老屋"


@pytest.mark.parametrize(
    ("target", "asked", "found"),
    [
        ("https://www.tiktok.com/@nick/video/7525082444551310602?_r=1", [], ["7525082444551310602"]),
        ("https://www.tiktok.com/tag/sea?_r=1", [TAG + "sea"], ["1"]),
    ],
)
def test_what_people_paste_begins_a_stage(board, monkeypatch, target, asked, found):
    opened = []

    @contextmanager
    def open_(self, url):
        opened.append(url)
        yield SimpleNamespace(url=target)

    monkeypatch.setattr(fetch.Client, "open", open_)
    board.shows = {TAG + "sea": seen("1")}
    services.stage_crawl(stage(trending=False, terms_per_platform=0, links=[SHARED, "https://www.douyin.com/hot"]).pk)
    assert opened == ["https://vm.tiktok.com/ZS8abcdef/"]
    assert board.asked == asked
    assert list(Video.objects.values_list("platform_id", flat=True)) == found
    assert not Visit.objects.exclude(state=Visit.State.DONE).exists()


def test_a_short_link_to_nowhere_says_where_it_leads(board, monkeypatch):
    nowhere = "https://www.tiktok.com/about"
    monkeypatch.setattr(fetch.Client, "open", contextmanager(lambda self, url: iter([SimpleNamespace(url=nowhere)])))
    services.stage_crawl(stage(trending=False, terms_per_platform=0, links=[SHARED]).pk)
    visit = Visit.objects.get()
    assert (visit.outcome, visit.detail) == ("rule-failed", f"it leads to {nowhere}, which is no page that we read")


def test_a_blocked_term_is_never_asked_for(board):
    board.shows = {EXPLORE: seen(words=("dance", "cat"))}
    chosen = stage()
    Term.objects.create(platform="tiktok", text="dance", first_stage=chosen, blocked=True)
    services.stage_crawl(chosen.pk)
    assert board.asked == [EXPLORE, TAG + "cat"]


def test_found_posts_are_handed_to_the_queue(board, django_capture_on_commit_callbacks):
    board.shows = {EXPLORE: seen("1")}
    handed = []
    with django_capture_on_commit_callbacks(execute=True):
        services.stage_crawl(stage().pk, dispatch=handed.append)
    assert handed == [Video.objects.get().pk]


@pytest.mark.django_db(transaction=True)
def test_eight_workers_on_one_topic_store_each_post_once_and_one_of_them_calls_it_new():
    rows = [{"platform": "tiktok", "platform_id": str(n), "url": f"https://www.tiktok.com/@/video/{n}"} for n in range(300)]

    def work(number: int) -> list[int]:
        mine = random.Random(number).sample(rows, len(rows))
        try:
            return [pk for start in range(0, len(mine), 50) for pk in services.posts_insert(mine[start : start + 50])]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        new = [pk for found in pool.map(work, range(8)) for pk in found]
    assert Video.objects.count() == len(rows)
    assert sorted(new) == sorted(Video.objects.values_list("pk", flat=True))


def test_ten_thousand_rows_twice_are_ten_thousand_rows():
    rows = [{"platform": "tiktok", "platform_id": str(n), "url": f"https://www.tiktok.com/@/video/{n}"} for n in range(2000)]
    assert len(services.posts_insert(rows)) == 2000
    assert services.posts_insert(rows) == []


def test_the_funnel_counts_by_platform_stage_and_cause(board, world):
    world["pages"]["2"] = Failure(Outcome.GONE, "x")
    board.shows = {EXPLORE: seen("1", "2")}
    services.stage_crawl(stage().pk)
    row = selectors.funnel()["stages"]["one"]["tiktok"]
    assert (row["found"], row["fetched"], row["accepted"], row["failed"]) == (2, 1, 1, {"gone": 1})


def test_only_the_latest_pages_say_whether_a_platform_changed(monkeypatch):
    monkeypatch.setattr("crawler.selectors.collection.RECENT_PAGES", 20)
    for number in range(40):
        post(str(number), state=State.ACCEPTED, number=number + 1, rule_version="tiktok/video.1")
    assert selectors.rule_matches() == [
        {"platform": "tiktok", "rules": {"tiktok/video.1": 40}, "failed": 0, "failed_share": 0.0, "alarm": False}
    ]
    for number in range(100, 103):
        post(str(number), state=State.FAILED, reason="rule-failed: no rule reads it")
    (changed,) = selectors.rule_matches()
    assert (changed["failed_share"], changed["alarm"]) == (3 / 20, True)
    for number in range(200, 220):
        post(str(number), state=State.FAILED, reason="gone: deleted", rule_version="tiktok/video.2")
    (mended,) = selectors.rule_matches()
    assert (mended["failed"], mended["alarm"]) == (3, False), "a page that says that its post is gone was read"


def test_lists_that_no_rule_reads_raise_the_alarm_too():
    for number in range(4):
        Visit.objects.create(
            stage=stage(), platform="tiktok", kind="tag", subject=str(number), state=Visit.State.FAILED, outcome="rule-failed"
        )
    (row,) = selectors.rule_matches()
    assert (row["failed_share"], row["alarm"]) == (1.0, True)


# --- looked up again --------------------------------------------------------------------------------------------


@pytest.fixture
def three_kept(world, other_clip, tmp_path):
    world["files"] |= {"2": other_clip, "3": make_clip(tmp_path / "third.mp4", picture="life=size=108x192:rate=15,trim=duration={seconds}")}
    kept = {name: advanced(name) for name in "123"}
    assert {video.state for video in kept.values()} == {State.ACCEPTED}
    world["pages"] |= {"2": Failure(Outcome.GONE, "deleted"), "3": Failure(Outcome.CAPTCHA, "a puzzle")}
    return kept


def test_withdrawn_posts_are_counted_and_taken_down_only_when_told_to(three_kept, django_capture_on_commit_callbacks):
    month = timedelta(days=30)
    assert services.posts_recheck(older_than=month, limit=10) == {"captcha": 1, "gone": 1, "there": 1}
    assert selectors.videos_ready().count() == 3
    with django_capture_on_commit_callbacks(execute=True):
        found = services.posts_recheck(older_than=month, limit=10, take_down=True)
    assert found == {"captcha": 1, "gone": 1}, "what is there is not due again; what a wall hides still is"
    assert [video.platform_id for video in selectors.videos_ready()] == ["1", "3"]
    assert Tombstone.objects.get().reason == "gone on its platform"


def test_the_longest_unseen_are_looked_up_first(three_kept, world):
    world["pages"].clear()
    Video.objects.filter(platform_id="1").update(rechecked_at=timezone.now() - timedelta(days=40))
    assert services.posts_recheck(older_than=timedelta(days=30), limit=2) == {"there": 2}
    assert Video.objects.get(platform_id="1").rechecked_at < timezone.now() - timedelta(days=39)


def test_at_a_wall_the_platform_is_left_for_this_run(three_kept, world):
    world["pages"]["1"] = Failure(Outcome.CAPTCHA, "a puzzle")
    other = Video.objects.get(platform_id="3")
    Video.objects.filter(pk=other.pk).update(platform="douyin")
    world["pages"].pop("3")
    assert services.posts_recheck(older_than=timedelta(days=30), limit=10) == {"captcha": 1, "there": 1}


def test_at_a_puzzle_on_a_posts_page_its_host_is_left_alone(monkeypatch):
    monkeypatch.setattr(videos, "_looked_up", lambda client, video: Failure(Outcome.CAPTCHA, "slider"))
    assert advanced("1").reason == "captcha: slider"
    host = Host.objects.get(name="www.tiktok.com")
    assert host.pause_reason.startswith("captcha: slider")
    assert host.paused_until > timezone.now() + timedelta(hours=5)
