"""A finished run's windows reach the review of changes of feeling."""

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from crawler.models import Check
from tests.factories import VideoFactory
from training import services
from training.tasks import write_windows

pytestmark = pytest.mark.django_db


@pytest.fixture
def stored(media_root, settings, tmp_path):
    """Three accepted clips, the last without its file."""
    settings.EMOTION_WINDOWS = str(tmp_path / "windows")
    videos = [VideoFactory(file=f"{number}.mp4", state="accepted", sha256=f"{number:064x}") for number in range(3)]
    for video in videos[:2]:
        video.path.write_bytes(b"a clip")
    return videos


def test_what_a_run_sees_in_the_stretches_is_judged_and_drawn(finished, stored, tmp_path):
    assert services.windows_write(finished.pk) == 2
    shifts = Check.objects.filter(name="emotion-shift", video__in=stored).order_by("video")
    assert [check.verdict for check in shifts] == ["review", "review", "unable"]
    assert shifts[0].reason == "transition: Sadness to Tension"
    assert len(shifts[0].evidence["windows"]) == 6
    assert set(Check.objects.values_list("name", flat=True)) == {"emotion-shift"}, "no other screening was asked"


def test_it_goes_on_where_it_was_stopped(finished, stored, tmp_path):
    stored[2].path.write_bytes(b"a clip")
    services.windows_write(finished.pk)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "windows").glob("*.npy")}
    stopped = sorted(files)[1]
    stopped.unlink()
    assert services.windows_write(finished.pk) == 1
    assert {path for path in files if path.stat().st_mtime_ns != files[path]} == {stopped}
    assert services.windows_write(finished.pk) == 0
    assert services.windows_write(finished.pk, again=True) == 3


def test_not_one_clip_that_can_be_used_is_an_error_and_an_unfinished_run_is_refused(finished, stored, dana):
    for video in stored[:2]:
        video.path.unlink()
    with pytest.raises(ValueError, match="it is not there"):
        services.windows_write(finished.pk)
    with pytest.raises(CommandError, match="what was written is kept"):
        call_command("emotion_windows", finished.pk)
    with pytest.raises(CommandError, match="there is no run 999"):
        call_command("emotion_windows", 999)
    waiting = services.run_start(recipe="debug", release=finished.release, seed=2, user=dana)
    with pytest.raises(ValidationError, match="only a finished run"):
        services.windows_ask(waiting, user=dana)


def test_the_page_asks_for_them(finished, stored, dana, client, monkeypatch, django_capture_on_commit_callbacks):
    monkeypatch.setattr("training.services.asked.signature", lambda name, args: write_windows.s(*args))
    client.force_login(dana)
    assert "each stretch" in client.get(f"/train/{finished.pk}/").content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        assert client.post(f"/train/{finished.pk}/windows/").status_code == 302
    assert Check.objects.filter(name="emotion-shift", verdict="review").count() == 2
