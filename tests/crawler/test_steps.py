"""Videos on their way: order, idempotence, what fails under which name, and what a worker's death or a full disk costs."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from crawler import selectors, services
from crawler.fetch import Expired, Refused, Unreachable
from crawler.models import Check, Fingerprint, Stage, Video
from crawler.platforms import Failure, Outcome, VideoPage
from crawler.services import claims, screening, verdicts, verifying, videos
from tests.crawler.conftest import make_clip
from tests.crawler.pipeline import EXPLORE, advanced, post, seen, stage

pytestmark = pytest.mark.django_db
State = Video.State


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
