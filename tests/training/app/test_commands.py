import json

import pytest
from django.core.management import CommandError, call_command

from training import services
from training.models import Run

pytestmark = pytest.mark.django_db


def test_train_here_prints_the_scores(release, fake_engine, capsys):
    call_command("train", "--recipe", "debug", "--release", "all-1", "--set", "epochs=1", "--here")
    run = Run.objects.get()
    assert capsys.readouterr().out == f"{run.pk} finished acc=0.5000 wa_f1=0.4000 uar=0.3000 {run.folder}\n"


def test_a_release_is_found_by_its_folder(release, fake_engine, capsys):
    call_command("train", "--recipe", "debug", "--release", f"{release.path}/")
    assert Run.objects.get().release == release
    assert "queued" in capsys.readouterr().out


def test_waiting_without_a_worker_trains_here(release, fake_engine, capsys, monkeypatch):
    monkeypatch.setattr("training.management.commands.train.NOBODY_CAME_S", 0.0)
    call_command("train", "--recipe", "debug", "--release", "all-1", "--wait")
    captured = capsys.readouterr()
    assert "no worker took it" in captured.err
    assert "finished acc=0.5000" in captured.out


def test_a_failed_run_fails_the_command(release, fake_engine, monkeypatch):
    monkeypatch.setenv("FAKE_FAIL", "train")
    with pytest.raises(CommandError, match="no clip could be read"):
        call_command("train", "--recipe", "debug", "--release", "all-1", "--here")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--release", "absent"], "No release is called 'absent'"),
        (["--release", "all-1", "--set", "epochs"], "write FIELD=VALUE"),
        (["--release", "all-1", "--set", "colour=red"], "unknown recipe field"),
    ],
)
def test_bad_arguments_are_refused(release, arguments, words):
    with pytest.raises(CommandError, match=words):
        call_command("train", "--recipe", "debug", *arguments)


def test_runs_lists_the_newest_first(release, fake_engine, capsys):
    call_command("runs")
    assert "no run yet" in capsys.readouterr().out
    first = services.run_start(recipe="debug", release=release, seed=1)
    services.run_execute(first.pk)
    second = services.run_start(recipe="debug", release=release, seed=2)
    call_command("runs", "--format", "json")
    listed = json.loads(capsys.readouterr().out)
    assert [run["id"] for run in listed] == [second.pk, first.pk]
    assert (listed[1]["acc"], listed[0]["acc"]) == (0.5, None)
    call_command("runs")
    assert "acc=0.5000" in capsys.readouterr().out


def test_a_run_stopped_by_ctrl_c_is_over_and_the_same_command_begins_another(release, fake_engine, monkeypatch):
    def interrupted(child, **options):
        child.stop(1.0)
        raise KeyboardInterrupt

    command = ["train", "--recipe", "debug", "--release", "all-1", "--here"]
    with monkeypatch.context() as patched:
        patched.setattr("training.launch.follow", interrupted)
        with pytest.raises(CommandError, match="was stopped; its last checkpoint is kept"):
            call_command(*command)
    assert (Run.objects.get().state, Run.objects.get().lease) == ("cancelled", None)
    call_command(*command)
    assert [run.state for run in Run.objects.order_by("pk")] == ["cancelled", "finished"]
