"""Clips in a bucket: put there before a row says so, brought back whole, shown by signed addresses, gone when taken down."""

import hashlib

import pytest
import requests
from django.core.exceptions import SuspiciousOperation
from django.core.management import CommandError, call_command
from django.urls import reverse

from crawler import selectors, services
from crawler.models import Tombstone, Video
from crawler.services import videos
from crawler.storage import Away, bucket, clips
from tests import objects
from tests.crawler.conftest import make_clip
from tests.crawler.pipeline import advanced
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
State = Video.State
BYTES = b"not a clip, but bytes" * 1000
NAME, SHA256 = "ab/abc.mp4", hashlib.sha256(BYTES).hexdigest()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """One try instead of three with pauses; that botocore tries again is botocore's affair."""
    monkeypatch.setitem(bucket.PATIENT, "retries", {"total_max_attempts": 1})


@pytest.fixture
def file(media_root):
    path = media_root / NAME
    path.parent.mkdir()
    path.write_bytes(BYTES)
    return path


def test_a_kept_file_is_in_the_bucket_and_comes_back_to_a_machine_without_it(store, file):
    clips().keep(NAME, sha256=SHA256)
    assert store.buckets["clips"] == {f"emotions/{NAME}": BYTES}
    file.unlink()
    assert clips().fetched(NAME, sha256=SHA256).read_bytes() == BYTES
    assert list(file.parent.iterdir()) == [file]


def test_keeping_again_sends_nothing_again(store, file):
    clips().keep(NAME)
    clips().keep(NAME)
    assert [asked for asked in store.asked if asked.startswith("PUT")] == [f"PUT clips/emotions/{NAME}"]


def test_a_large_file_goes_in_parts(store, file):
    file.write_bytes(BYTES * 1000)
    clips().keep(NAME)
    assert store.buckets["clips"][f"emotions/{NAME}"] == BYTES * 1000
    assert sum(asked.startswith("PUT") for asked in store.asked) == 3


def test_a_file_that_changed_since_it_was_verified_is_not_kept(store, file):
    with pytest.raises(ValueError, match="no longer the file"):
        clips().keep(NAME, sha256="0" * 64)
    assert store.buckets["clips"] == {}


def test_what_comes_back_as_other_bytes_is_not_believed(store, file):
    store.spoil = b"other bytes"
    with pytest.raises(Away, match="came back as other bytes"):
        clips().keep(NAME)
    file.unlink()
    with pytest.raises(Away, match="holds other bytes"):
        clips().fetched(NAME, sha256=SHA256)
    assert list(file.parent.iterdir()) == [], "nothing half is left"


@pytest.mark.parametrize("trouble", [403, 503, "cut"])
def test_a_store_that_refuses_leaves_nothing_half(store, file, trouble):
    with store.refusing(trouble), pytest.raises(Away, match=r"s3://clips/emotions/ab/abc\.mp4 at http"):
        clips().keep(NAME)
    assert store.buckets["clips"] == {}
    clips().keep(NAME)
    file.unlink()
    with store.refusing(trouble), pytest.raises(Away):
        clips().fetched(NAME)
    assert list(file.parent.iterdir()) == []
    assert clips().fetched(NAME).read_bytes() == BYTES


def test_a_store_that_is_not_there_is_named(store, file, settings):
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:1"
    settings.STORAGES = {**settings.STORAGES}  # opened anew
    with pytest.raises(Away, match=r"http://127\.0\.0\.1:1 cannot be reached"):
        clips().keep(NAME)
    assert "127.0.0.1:1" in clips().problem()


def test_what_is_nowhere_is_absent(store, media_root):
    assert not clips().fetched(NAME).exists()
    with pytest.raises(FileNotFoundError):
        clips().keep(NAME)


@pytest.mark.parametrize("name", ["../outside.mp4", "/etc/passwd", "a/../../b"])
def test_a_hostile_name_leads_nowhere(store, name):
    for ask in (clips().fetched, clips().keep, clips().discard):
        with pytest.raises(SuspiciousOperation):
            ask(name)
    assert store.asked == []


# --- the journey ------------------------------------------------------------------------------------------------


def test_a_video_is_verified_only_when_it_is_kept_and_another_machine_goes_on(store, world, media_root, django_capture_on_commit_callbacks):
    video = advanced("1")
    assert video.state == State.ACCEPTED
    kept = store.buckets["clips"]
    assert hashlib.sha256(kept[f"emotions/{video.file}"]).hexdigest() == video.sha256
    assert set(kept) == {f"emotions/{video.file}", f"emotions/features/{video.sha256[:2]}/{video.sha256}.npz"}
    for path in media_root.rglob("*.*"):
        path.unlink()  # another machine, which has nothing
    Video.objects.filter(pk=video.pk).update(state=State.VERIFIED, number=None)
    assert services.video_advance(video.pk).state == State.ACCEPTED
    assert world["downloads"] == ["1"], "the platform was asked once"
    with django_capture_on_commit_callbacks(execute=True):
        services.video_takedown(video.pk, reason="asked")
    assert kept == {}
    assert [path for path in media_root.rglob("*") if path.is_file()] == []
    assert Tombstone.objects.get().leftovers == []


def test_a_clip_that_was_transcoded_is_named_by_what_it_is_now(store, world, media_root, tmp_path):
    odd = make_clip(tmp_path / "odd.mp4", extra=("-c:v", "mpeg4"))
    world["files"]["1"] = odd
    fetched = hashlib.sha256(odd.read_bytes()).hexdigest()
    video = advanced("1")
    assert "transcoded" in video.tags
    assert video.file == f"{video.sha256[:2]}/{video.sha256}.mp4"
    assert hashlib.sha256(video.path.read_bytes()).hexdigest() == video.sha256 != fetched
    assert video.path.stat().st_size == video.size_bytes
    assert video.checks.get(name="transcode").evidence == {"sha256": fetched, "size_bytes": odd.stat().st_size}
    assert [fetched in path.name for path in media_root.rglob("*.*")] == [False, False], "the clip and its features"
    assert len(store.buckets["clips"]) == 2


def test_a_video_waits_while_the_store_is_away_and_that_counts_as_no_try(store, world, monkeypatch):
    monkeypatch.setattr(videos, "MAX_ATTEMPTS", 1)
    with store.refusing(503):
        with pytest.raises(Away):
            advanced("1")
        video = Video.objects.get()
        assert (video.state, video.attempts, video.claimed_by) == (State.MEDIA, 0, "")
        with pytest.raises(CommandError, match="run it again"):
            call_command("clean")
    assert services.video_advance(video.pk).state == State.ACCEPTED


def test_a_take_down_while_the_store_is_away_is_carried_out_later(store, world, capsys, django_capture_on_commit_callbacks):
    video = advanced("1")
    with store.refusing(503), django_capture_on_commit_callbacks(execute=True):
        call_command("takedown", "tiktok/1", reason="asked")
    assert "its files go when the store is back" in capsys.readouterr().err
    video.refresh_from_db()
    assert (video.state, video.file) == (State.DROPPED, ""), "nobody sees it any more"
    assert len(store.buckets["clips"]) == 2
    assert services.takedowns_finish() == 0
    assert store.buckets["clips"] == {}


def test_the_browser_is_sent_to_a_signed_address_after_the_same_question(store, file, client, settings):
    erin = UserFactory(username="erin", role="data_engineer")
    video = Video.objects.create(platform="tiktok", platform_id="1", url="https://x", file=NAME, state=State.REVIEW)
    clips().keep(NAME)
    url = selectors.clip_url(video, user=erin)
    assert client.get(url).status_code == 302
    assert reverse("login") in client.get(url)["Location"], "who has not signed in learns nothing"
    client.force_login(UserFactory(username="mallory", role="data_engineer"))
    assert client.get(url).status_code == 404
    client.force_login(erin)
    answer = client.get(url)
    assert (answer.status_code, answer["Cache-Control"]) == (302, "no-store")
    address = answer["Location"]
    assert address.startswith(f"{settings.S3_PUBLIC_URL}/clips/emotions/{NAME}?")
    part = requests.get(address, headers={"Range": "bytes=4-5"}, timeout=60)
    assert (part.status_code, part.content, part.headers["Content-Type"]) == (206, BYTES[4:6], "video/mp4")
    for forged in (address.replace("abc.mp4", "abd.mp4"), address.replace("Expires=900", "Expires=9000"), address.partition("?")[0]):
        assert requests.get(forged, timeout=60).status_code == 403


def test_a_signed_address_ends(store, file, monkeypatch):
    clips().keep(NAME)
    monkeypatch.setattr(bucket, "LINK_S", 1)
    address = clips().address(NAME, shown_as="1.mp4")
    later = objects.time.time() + 2
    monkeypatch.setattr(objects.time, "time", lambda: later)
    assert requests.get(address, timeout=60).status_code == 403


def test_a_site_moves_from_its_disk_to_a_bucket(store, file, capsys):
    Video.objects.create(platform="tiktok", platform_id="1", url="https://x", file=NAME, size_bytes=len(BYTES))
    store.buckets.clear()
    with pytest.raises(CommandError, match="NoSuchBucket"):
        call_command("keep_clips")
    call_command("keep_clips", "--create-bucket")
    call_command("keep_clips")
    assert [line.partition(" ")[0] for line in capsys.readouterr().out.splitlines()] == ["1", "0"]
    assert list(store.buckets["clips"]) == [f"emotions/{NAME}"]
    Video.objects.create(platform="tiktok", platform_id="2", url="https://x", file="cd/lost.mp4", size_bytes=1)
    with pytest.raises(CommandError, match=r"1 files are neither .* cd/lost\.mp4"):
        call_command("keep_clips")
