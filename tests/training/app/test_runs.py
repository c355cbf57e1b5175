import sys
import threading
import time
import uuid
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, connection, transaction
from django.db import OperationalError as OperationalDatabaseError
from django.utils import timezone
from kombu.exceptions import OperationalError

from training import launch, services
from training.models import Run
from training.services.execute import LOST, Execution

pytestmark = pytest.mark.django_db


def starts(run: Run) -> list[str]:
    return (run.path / "starts").read_text().splitlines()


def test_the_same_run_asked_for_twice_is_one_run(release, dana, erin):
    first = services.run_start(recipe="debug", release=release, seed=3, overrides={"epochs": 1, "lr": 0.1}, user=dana)
    again = services.run_start(recipe="debug", release=release, seed=3, overrides={"lr": 0.1, "epochs": 1}, user=erin)
    other = services.run_start(recipe="debug", release=release, seed=4, overrides={"epochs": 1, "lr": 0.1}, user=dana)
    assert again == first
    assert other != first
    assert first.requested_by == dana


def test_the_database_refuses_a_live_twin(release):
    run = services.run_start(recipe="debug", release=release)
    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.create(recipe="debug", release=release, fingerprint=run.fingerprint)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe": "nonsense"}, "No recipe is called 'nonsense'"),
        ({"overrides": {"epoch": 1}}, "unknown recipe field 'epoch'"),
        ({"overrides": {"epochs": "many"}}, "epochs"),
        ({"overrides": {"init_from": "/etc/passwd"}}, "init_from may not name a file"),
        ({"overrides": {"init_from": "../../x"}}, "init_from may not name a file"),
        ({"recipe": "dfer_clip", "overrides": {"net_options": '{"tokenizer": "/etc"}'}}, "net_options may not name a file"),
        ({"seed": -1}, "outside 0..2147483647"),
        ({"gpus": 65}, "outside 0..64"),
    ],
)
def test_a_run_that_makes_no_sense_is_refused(release, change, words):
    with pytest.raises(ValidationError, match=words):
        services.run_start(**{"recipe": "debug", "release": release, **change})
    assert not Run.objects.exists()


def test_a_release_whose_folder_is_gone_is_refused(release):
    (release.folder / "release.json").unlink()
    release.folder.rmdir()
    with pytest.raises(ValidationError, match="export it again"):
        services.run_start(recipe="debug", release=release)


def test_a_run_is_trained_evaluated_and_read_back(release, dana, fake_engine):
    run = services.run_start(recipe="debug", release=release, seed=5, overrides={"epochs": 3, "gamma": [0.1, 0.2, 0.3]}, user=dana)
    assert services.run_execute(run.pk) == "finished"
    run.refresh_from_db()
    assert run.state == "finished"
    assert run.metrics == {"acc": 0.5, "wa_f1": 0.4, "uar": 0.3, "epochs": 3}
    assert run.progress["epoch"] == 2
    assert run.device == "CPU"
    assert (run.attempts, run.lease, run.error) == (1, None, "")
    assert run.started_at < run.finished_at
    log = (run.path / "log.txt").read_text()
    assert "'--seed', '5'" in log
    assert "'epochs=3'" in log
    assert "'gamma=0.1,0.2,0.3'" in log
    assert starts(run)[0].endswith("from 0 gpus ")


def test_a_task_delivered_twice_trains_once(release, fake_engine):
    run = services.run_start(recipe="debug", release=release)
    assert services.run_execute(run.pk) == "finished"
    assert services.run_execute(run.pk) == ""
    assert services.run_execute(run.pk + 999) == ""
    run.refresh_from_db()
    assert len(starts(run)) == 1


@pytest.mark.parametrize(
    ("fail", "words"), [("train", "no clip could be read"), ("evaluate", "fake engine"), ("result", "result.json cannot be read")]
)
def test_a_failing_engine_leaves_a_failed_run_that_says_why(release, fake_engine, monkeypatch, fail, words):
    monkeypatch.setenv("FAKE_FAIL", fail)
    run = services.run_start(recipe="debug", release=release)
    assert services.run_execute(run.pk) == "failed"
    run.refresh_from_db()
    assert words in run.error


def time_is_up_at_the_first_checkpoint(run, fake_engine, monkeypatch):
    """The clock of the limit starts when there is something to lose, however slowly the machine starts the child."""
    follow = launch.follow

    def patient(child, **options):
        folder = Run.objects.get(pk=run.pk).path
        while child.process.poll() is None and not (folder / "checkpoints" / "last").exists():
            time.sleep(0.01)
        return follow(child, **options)

    monkeypatch.setattr(launch, "follow", patient)
    fake_engine.TRAIN_TIME_LIMIT_S = 0.3


def test_a_machine_that_cannot_write_runs_says_so_and_the_run_waits(release, fake_engine, settings, tmp_path):
    run = services.run_start(recipe="debug", release=release)
    settings.RUNS_DIR = tmp_path / "a-file"
    settings.RUNS_DIR.write_text("not a folder")
    with pytest.raises(launch.FolderBusy, match="stays queued"):
        services.run_execute(run.pk)
    run.refresh_from_db()
    assert (run.state, "a-file" in run.error, run.attempts) == ("queued", True, 0)
    settings.RUNS_DIR = tmp_path / "runs"
    assert services.run_execute(run.pk) == "finished"
    run.refresh_from_db()
    assert run.error == ""


def test_a_time_limit_stops_the_run_with_its_checkpoint(release, fake_engine, monkeypatch):
    monkeypatch.setenv("FAKE_EPOCHS", "1000")
    run = services.run_start(recipe="debug", release=release)
    time_is_up_at_the_first_checkpoint(run, fake_engine, monkeypatch)
    assert services.run_execute(run.pk) == "failed"
    run.refresh_from_db()
    assert "time limit of 0.3 s" in run.error
    assert (run.path / "checkpoints" / "last").exists()


def test_a_retried_run_goes_on_from_its_checkpoint(release, dana, fake_engine, monkeypatch):
    monkeypatch.setenv("FAKE_EPOCHS", "1000")
    run = services.run_start(recipe="debug", release=release, user=dana)
    time_is_up_at_the_first_checkpoint(run, fake_engine, monkeypatch)
    services.run_execute(run.pk)
    run.refresh_from_db()
    reached = int((run.path / "checkpoints" / "last").read_text())
    monkeypatch.setenv("FAKE_EPOCHS", str(reached + 1))
    fake_engine.TRAIN_TIME_LIMIT_S = 60
    services.run_retry(run, user=dana)
    assert services.run_execute(run.pk) == "finished"
    assert f"from {reached} " in starts(run)[1]


TORCHRUN = "import sys; sys.exit('torch.distributed.elastic.multiprocessing.api.SignalException: Process 1 got signal: 15')"
TOO_EARLY = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"


@pytest.mark.parametrize("ended", [TORCHRUN, TOO_EARLY])
def test_a_run_that_was_told_to_stop_is_queued_again_however_the_engine_says_it(release, fake_engine, monkeypatch, ended):
    run = services.run_start(recipe="debug", release=release)
    monkeypatch.setattr("training.launch.train_command", lambda *_, **__: [sys.executable, "-c", ended])
    assert [services.run_execute(run.pk), services.run_execute(run.pk)] == ["queued", "failed"]
    run.refresh_from_db()
    assert "stopped from outside twice" in run.error


def test_a_queued_run_is_cancelled_at_once(release, dana):
    run = services.run_start(recipe="debug", release=release, user=dana)
    assert services.run_cancel(run, user=dana).state == "cancelled"
    assert services.run_cancel(run, user=dana).state == "cancelled"
    assert services.run_execute(run.pk) == ""


def test_only_the_owner_or_an_admin_cancels_and_retries(release, dana, erin, admin):
    run = services.run_start(recipe="debug", release=release, user=dana)
    with pytest.raises(PermissionDenied):
        services.run_cancel(run, user=erin)
    services.run_cancel(run, user=admin)
    with pytest.raises(PermissionDenied):
        services.run_retry(run, user=erin)
    assert services.run_retry(run, user=admin).state == "queued"


def test_a_run_that_is_over_is_neither_cancelled_nor_retried(release, dana, fake_engine):
    run = services.run_start(recipe="debug", release=release, user=dana)
    services.run_execute(run.pk)
    with pytest.raises(ValidationError, match="finished already"):
        services.run_cancel(run, user=dana)
    with pytest.raises(ValidationError, match="only a failed or cancelled"):
        services.run_retry(run, user=dana)


def test_a_twin_under_way_keeps_a_run_from_being_retried(release, dana):
    run = services.run_start(recipe="debug", release=release, user=dana)
    services.run_cancel(run, user=dana)
    services.run_start(recipe="debug", release=release, user=dana)
    with pytest.raises(ValidationError, match="queued or running already"):
        services.run_retry(run, user=dana)


# --- a running run, seen from outside ---------------------------------------------------------------------------
@pytest.fixture
def running(release, dana, fake_engine, monkeypatch):
    """A run whose row says that a worker has it, without one."""
    run = services.run_start(recipe="debug", release=release, user=dana)
    Run.objects.filter(pk=run.pk).update(state="running", lease=uuid.uuid4(), attempts=1, heartbeat_at=timezone.now())
    run.refresh_from_db()
    return run


def test_a_run_with_a_fresh_heartbeat_is_left_alone(running):
    assert services.runs_resume_stale() == {"resumed": 0, "failed": 0, "cancelled": 0, "resent": 0}


def test_a_stale_run_is_resumed_once(running):
    later = timezone.now() + timedelta(hours=1)
    Run.objects.filter(pk=running.pk).update(queued_at=later)
    assert services.runs_resume_stale(now=later)["resumed"] == 1
    assert services.runs_resume_stale(now=later)["resumed"] == 0
    assert services.run_execute(running.pk) == "finished"
    running.refresh_from_db()
    assert running.attempts == 2


def test_a_run_whose_worker_died_twice_is_failed_for_a_person_to_see(running):
    Run.objects.filter(pk=running.pk).update(attempts=2)
    assert services.runs_resume_stale(now=timezone.now() + timedelta(hours=1))["failed"] == 1
    running.refresh_from_db()
    assert "died 2 times" in running.error


def test_a_stale_run_that_was_to_be_cancelled_is_cancelled(running, dana):
    services.run_cancel(running, user=dana)
    assert services.runs_resume_stale(now=timezone.now() + timedelta(hours=1))["cancelled"] == 1


def test_a_worker_that_comes_back_from_the_dead_writes_nothing(running):
    old = running.lease
    Run.objects.filter(pk=running.pk).update(lease=uuid.uuid4(), folder="/nowhere")
    zombie = Execution(running, running.release.folder, launch.Device((), ()), (), lease=old)
    assert zombie.beat() == LOST
    assert zombie.end("failed", "too late") == ""
    running.refresh_from_db()
    assert (running.state, running.error) == ("running", "")


def test_a_lost_message_is_sent_again(release, django_capture_on_commit_callbacks, sent):
    with django_capture_on_commit_callbacks(execute=True):
        run = services.run_start(recipe="debug", release=release)
    with django_capture_on_commit_callbacks(execute=True):
        assert services.runs_resume_stale()["resent"] == 0
        assert services.runs_resume_stale(now=timezone.now() + timedelta(hours=1))["resent"] == 1
    assert sent == [run.pk, run.pk]


def test_a_broker_that_is_away_loses_no_run(release, django_capture_on_commit_callbacks, monkeypatch):
    def away(self):
        raise OperationalError("connection refused")

    monkeypatch.setattr("training.services.runs.signature", lambda name, args: type("S", (), {"apply_async": away})())
    with django_capture_on_commit_callbacks(execute=True):
        run = services.run_start(recipe="debug", release=release)
    run.refresh_from_db()
    assert (run.state, run.queued_at) == ("queued", None)


@pytest.mark.django_db(transaction=True)
def test_a_running_run_is_cancelled_with_a_checkpoint(release, dana, fake_engine, monkeypatch):
    monkeypatch.setenv("FAKE_EPOCHS", "1000")
    run = services.run_start(recipe="debug", release=release, user=dana)
    outcome = []

    def work():
        outcome.append(services.run_execute(run.pk))
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    deadline = time.monotonic() + 120
    while not Run.objects.filter(pk=run.pk).exclude(progress={}).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert services.run_cancel(run, user=dana).state == "running"
    worker.join(timeout=120)
    assert outcome == ["cancelled"]
    run.refresh_from_db()
    assert (run.path / "checkpoints" / "last").exists()
    assert not launch.is_locked(run.path / ".lock")


def test_a_database_that_is_away_as_the_child_starts_stops_no_training(release, fake_engine, monkeypatch):
    run, mine, away = services.run_start(recipe="debug", release=release), Execution.mine.fget, [OperationalDatabaseError("gone"), None]

    def flaky(self):
        if away and (error := away.pop(0)):
            raise error
        return mine(self)

    monkeypatch.setattr(Execution, "mine", property(flaky))
    monkeypatch.setattr(
        "training.services.execute.connection", SimpleNamespace(close=lambda: None)
    )  # the test's own, inside its transaction
    assert services.run_execute(run.pk) == "finished"
    run.refresh_from_db()
    assert run.pid


def test_nothing_of_a_log_keeps_a_run_from_failing_with_its_reason(release, fake_engine, monkeypatch):
    run = services.run_start(recipe="debug", release=release)
    monkeypatch.setattr("training.launch.train_command", lambda *_, **__: [sys.executable, "-c", "import sys; sys.exit('no \\0 clip')"])
    assert services.run_execute(run.pk) == "failed"
    run.refresh_from_db()
    assert run.error == "no  clip"


def test_a_run_cancelled_while_the_machine_goes_down_is_not_queued_again(release, dana, fake_engine, monkeypatch):
    run = services.run_start(recipe="debug", release=release, user=dana)

    def ending(child, **options):
        child.stop(5.0)
        services.run_cancel(run, user=dana)
        return launch.STOPPED, None

    monkeypatch.setattr(launch, "follow", ending)
    assert services.run_execute(run.pk) == "cancelled"
