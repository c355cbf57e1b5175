"""What is kept for a number of days and then goes, and what stays whatever the settings say."""

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from annotation.models import Assignment, Vote
from config import append_only, retention
from config.models import Event, FailedTask
from config.tasks import retention_sweep
from crawler import services
from crawler.models import Video
from qa.models import Release
from tests.factories import AssignmentFactory, SampleFactory, UserFactory, VideoFactory, VoteFactory
from training.models import Run

pytestmark = pytest.mark.django_db
NOW = timezone.now()
LONG_AGO, YESTERDAY = NOW - timedelta(days=100), NOW - timedelta(days=1)


@pytest.fixture
def kept_30_days(settings):
    for kind in retention.KINDS:
        setattr(settings, kind.setting, 30)


def swept() -> dict[str, int]:
    return {each.kind.name: each.removed for each in retention.sweep(now=NOW, most_s=60)}


def turned_down(media_root, name: str = "ab/abc.mp4", at=LONG_AGO, **fields) -> Video:
    fields = {"state": "dropped", "number": None, "accepted_at": None, "file": name, "sha256": "abc", **fields}
    video = VideoFactory(**fields)
    (media_root / name).parent.mkdir(exist_ok=True)
    (media_root / name).write_bytes(b"clip")
    Video.objects.filter(pk=video.pk).update(touched_at=at, discovered_at=at)
    return video


def test_nothing_goes_unless_a_setting_says_so(media_root):
    turned_down(media_root)
    assert swept() == {}
    assert all(number is None for _, number in retention.planned(now=NOW))
    assert (media_root / "ab/abc.mp4").exists()


def test_a_clip_that_was_turned_down_goes_and_its_verdict_stays(kept_30_days, media_root):
    old, new = turned_down(media_root), turned_down(media_root, "cd/new.mp4", YESTERDAY)
    assert swept()["rejected"] == 1
    assert not (media_root / "ab/abc.mp4").exists()
    assert (media_root / new.file).exists()
    old.refresh_from_db()
    assert (old.state, old.file, old.sha256) == ("dropped", "", "abc")
    assert swept()["rejected"] == 0, "a second sweep finds nothing"


def test_a_clip_that_a_label_a_release_or_another_post_needs_stays(kept_30_days, media_root):
    labelled = turned_down(media_root, "ab/labelled.mp4")
    SampleFactory(video=labelled)
    released = turned_down(media_root, "ab/released.mp4")
    release = Release.objects.create(name="all-1", variant="all", seed=1, path="x", sha256="0" * 64, counts={})
    released.release_items.create(release=release, split="train", emotion="Fear")
    shared = turned_down(media_root, "ab/shared.mp4")
    VideoFactory(file=shared.file)
    assert swept()["rejected"] == 0
    assert len(list((media_root / "ab").iterdir())) == 3


def test_a_file_that_a_later_or_a_released_copy_needs_stays(kept_30_days, media_root):
    """Posts with the same content share one file."""
    turned_down(media_root, "ab/recent.mp4")
    turned_down(media_root, "ab/recent.mp4", YESTERDAY)
    turned_down(media_root, "ab/released.mp4")
    released = turned_down(media_root, "ab/released.mp4")
    release = Release.objects.create(name="all-1", variant="all", seed=1, path="x", sha256="0" * 64, counts={})
    released.release_items.create(release=release, split="train", emotion="Fear")
    turned_down(media_root, "ab/nobodys.mp4")
    turned_down(media_root, "ab/nobodys.mp4")
    assert swept()["rejected"] == 2
    assert sorted(path.name for path in (media_root / "ab").iterdir()) == ["recent.mp4", "released.mp4"]


def test_a_decision_that_is_undone_during_the_sweep_keeps_its_clip(kept_30_days, media_root):
    video = turned_down(media_root)
    due = retention._turned_down(NOW)
    Video.objects.update(state="review")
    retention._remove_clips(due)
    assert (media_root / video.file).exists()
    video.refresh_from_db()
    assert video.file


def test_who_undoes_a_decision_too_late_is_told(kept_30_days, media_root):
    user = UserFactory(role="data_engineer")
    video = turned_down(media_root, at=NOW, state="review")
    services.video_drop(video.pk, user=user, reason="an advertisement")
    Video.objects.update(touched_at=LONG_AGO)
    swept()
    with pytest.raises(ValidationError, match="RETAIN_REJECTED_DAYS"):
        services.decision_undo(video.pk, user=user)


def test_page_records_go_and_the_post_stays(kept_30_days, media_root):
    done, waiting = VideoFactory(raw={"a": 1}, title="a lake"), turned_down(media_root, state="review", raw={"a": 1})
    Video.objects.update(discovered_at=LONG_AGO)
    assert swept()["records"] == 1
    done.refresh_from_db()
    waiting.refresh_from_db()
    assert (done.raw, done.title, waiting.raw) == ({}, "a lake", {"a": 1})


def test_drafts_go_only_where_the_turn_is_over(kept_30_days):
    over = AssignmentFactory(state="withdrawn", draft={"confidence": 3}, draft_saved_at=LONG_AGO)
    open_one = AssignmentFactory(state="open", draft={"confidence": 3}, draft_saved_at=LONG_AGO)
    VoteFactory()
    assert swept()["drafts"] == 1
    assert Assignment.objects.get(pk=over.pk).draft == {}
    assert Assignment.objects.get(pk=open_one.pk).draft == {"confidence": 3}
    assert Vote.objects.count() == 1


def test_logs_of_ended_runs_go_and_their_numbers_stay(kept_30_days, tmp_path):
    release = Release.objects.create(name="all-1", variant="all", seed=1, path="x", sha256="0" * 64, counts={})
    folders = {"finished": tmp_path / "1", "queued": tmp_path / "2"}
    for state, folder in folders.items():
        folder.mkdir()
        for name in ("log.txt", "metrics.jsonl"):
            (folder / name).write_text("x")
        Run.objects.create(recipe="debug", release=release, state=state, folder=str(folder), finished_at=LONG_AGO)
    assert swept()["logs"] == 1
    assert {path.name for path in folders["finished"].iterdir()} == {"metrics.jsonl"}
    assert (folders["queued"] / "log.txt").exists()


def test_failed_tasks_go_once_somebody_has_dealt_with_them(kept_30_days):
    for number, state in enumerate(("waiting", "sent_again", "put_aside")):
        FailedTask.objects.create(task_id=str(number), name="x", error="y", failed_at=LONG_AGO, state=state)
    assert swept()["tasks"] == 2
    assert FailedTask.objects.get().state == "waiting"


def test_the_audit_log_is_shortened_under_its_lock_and_says_so(kept_30_days):
    append_only.lock()
    try:
        for at in (LONG_AGO, LONG_AGO, YESTERDAY):
            Event.objects.create(kind="created", what="x", at=at)
        assert swept()["audit"] == 2
        assert append_only.is_locked()
        last, kept = Event.objects.filter(what__in=["x", "config.Event"])
        assert (last.kind, last.what, last.after) == ("deleted", "config.Event", {"lines": 2})
        assert kept.at == YESTERDAY
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM config_event")
    finally:
        append_only.unlock()


def test_ended_sessions_go_without_any_setting():
    Session.objects.create(session_key="old", session_data="x", expire_date=YESTERDAY)
    Session.objects.create(session_key="new", session_data="x", expire_date=NOW + timedelta(days=1))
    retention_sweep()
    assert Session.objects.get().session_key == "new"


def test_a_sweep_without_time_leaves_the_rest_to_the_next(kept_30_days, media_root):
    turned_down(media_root)
    told = {each.kind.name: (each.removed, each.left) for each in retention.sweep(now=NOW, most_s=0)}
    assert told["rejected"] == (0, 1)
    assert swept()["rejected"] == 1


def test_the_command_shows_before_it_removes(kept_30_days, media_root):
    turned_down(media_root)
    out = StringIO()
    call_command("retention", stdout=out)
    assert "rejected  1 older than 30 days would go" in out.getvalue()
    assert (media_root / "ab/abc.mp4").exists()
    call_command("retention", "--apply", stdout=out)
    assert "rejected  1 removed, 0 left" in out.getvalue()
    assert not (media_root / "ab/abc.mp4").exists()
