import datetime

import av
import pytest

from demo.clips import Label
from demo.replica import corpus
from demo.replica.corpus import PLATFORMS, build
from demo.replica.faults import ALL, FAULTS, QUICK, Where, chosen

EMOTION_OF = ("Excitation", "Neutral", "Fear", "Sadness", "Tension", "Relaxation", "Excitation")


@pytest.fixture
def made(monkeypatch, tmp_path):
    """build() over clips that need not exist."""
    monkeypatch.setattr(corpus, "probe", lambda path: (4.5, 180, 320, 90_000))

    def make(count: int = 60, **options):
        labels = [Label(f"clip_{index:04d}.mp4", EMOTION_OF[index % len(EMOTION_OF)]) for index in range(count)]
        return build(tmp_path, labels, **{"faults": QUICK, **options})

    return make


def test_one_seed_gives_one_corpus(made):
    assert made(seed=4).posts == made(seed=4).posts
    assert made(seed=4).boards == made(seed=4).boards
    assert made(seed=4).posts != made(seed=5).posts


def test_every_clip_is_posted_once_as_an_original(made):
    world = made()
    assert [post.clip for post in world.posts[:60]] == [f"clip_{index:04d}.mp4" for index in range(60)]
    assert len(world.posts) > 60


def test_a_file_that_is_no_video_is_left_out(made, monkeypatch):
    def probe(path):
        if path.name == "clip_0003.mp4":
            raise av.InvalidDataError(0, "no video", str(path))
        return 4.5, 180, 320, 90_000

    monkeypatch.setattr(corpus, "probe", probe)
    assert {post.clip for post in made(count=12).posts} == {f"clip_{index:04d}.mp4" for index in range(12)} - {"clip_0003.mp4"}


@pytest.mark.parametrize("seed", range(6))
def test_on_any_day_two_rounds_of_terms_lead_to_every_post_and_one_does_not(made, seed):
    world = made(seed=seed)
    for platform in PLATFORMS:
        for board in world.boards[platform]:
            depths = world.depths(platform, board)
            assert {post.id for post in world.of(platform)} == set(depths)
            assert set(depths.values()) == {1, 2}


def test_boards_change_by_the_day_and_return_after_a_week(made):
    world, day = made(), datetime.date(2026, 11, 22)
    words = {tuple(world.board("douyin", day + datetime.timedelta(days=offset))) for offset in range(7)}
    assert len(words) > 1
    assert world.board("douyin", day) == world.board("douyin", day + datetime.timedelta(days=7))


def test_ids_hold_the_time_of_posting(made):
    for post in made().posts:
        if post.platform != "kuaishou":
            assert len(post.id) == 19
            assert int(post.id) >> 32 == post.created


def test_without_faults_everything_is_kept(made):
    world = made(faults=chosen("none"))
    assert len(world.posts) == 60
    assert {post.expected for post in world.posts} == {"accepted"}


def test_posts_beyond_the_clips_are_declared_reuploads(made):
    world = made(posts=400)
    assert len(world.posts) == 400
    by_key = {post.key: post for post in world.posts}
    copies = [post for post in world.posts if post.expected == "duplicate"]
    assert len(copies) > 200
    for post in copies:
        original = by_key[post.duplicate_of]
        assert (original.clip, original.expected, original.duplicate_of) == (post.clip, "accepted", "")


def test_each_planted_fault_is_there_and_strikes_no_post_twice(made):
    world = made(faults=ALL, count=120)
    planted = {post.fault for post in world.posts}
    assert {fault.name for fault in FAULTS.values() if fault.share} <= planted
    assert all(post.platform in FAULTS[post.fault].platforms for post in world.posts if post.fault)


def test_likes_follow_a_power_law(made):
    likes = sorted((post.counts["likes"] for post in made(posts=900).posts), reverse=True)
    assert sum(likes[:90]) > 0.5 * sum(likes)


def test_a_file_outside_the_limits_is_expected_to_be_dropped(made, monkeypatch):
    monkeypatch.setattr(corpus, "probe", lambda path: (1.2, 180, 320, 9_000))
    world = made(count=7, faults=chosen("none"))
    assert {post.expected for post in world.posts} == {"short"}


def test_no_clips_is_an_error_that_says_what_to_do(made):
    with pytest.raises(ValueError, match="make some with"):
        made(count=0)


def test_faults_are_chosen_by_name():
    assert chosen("quick") == QUICK
    assert "captcha" not in chosen("all")
    assert chosen("cut_60, captcha") >= {"cut_60", "captcha"}
    assert not any(FAULTS[name].where is not Where.DEMAND for name in chosen("none"))
    with pytest.raises(ValueError, match="unknown fault frobnicate"):
        chosen("frobnicate")


def test_a_hashtag_that_a_post_gets_later_is_found(made):
    world = made(count=7)
    post = world.posts[0]
    assert world.search(post.platform, "#NewWord") == []
    post.hashtags.append("newword")
    assert world.search(post.platform, "#NewWord") == [post]
