"""A worker that dies while it trains: the run is resumed from its checkpoint, once, by whoever comes next."""

import json
import os
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.faults.machine import Machine, kill, wait_until

pytestmark = pytest.mark.slow

START = """
from qa.models import Release
from training.services import run_start
folder = settings.VAR_DIR / "release"
folder.mkdir(exist_ok=True)
release, _ = Release.objects.get_or_create(name="all-1", defaults=dict(variant="all", seed=1, path=str(folder), sha256="0" * 64, counts={}))
answer = run_start(recipe="debug", release=release, seed=seed).pk
"""
LOOK = """
from training.models import Run
run = Run.objects.get(pk=pk)
answer = {"state": run.state, "attempts": run.attempts, "folder": run.folder, "error": run.error}
"""
SWEEP = "from training.services import runs_resume_stale; answer = runs_resume_stale()"
SWEEP_LATER = """
from datetime import timedelta
from django.utils import timezone
from training.services import runs_resume_stale
answer = runs_resume_stale(now=timezone.now() + timedelta(hours=1))
"""


@pytest.fixture
def machine(make_machine) -> Machine:
    return make_machine(
        TRAIN_ENGINE="tests.training.app.fake_engine",
        TRAIN_GPUS="none",
        TRAIN_HEARTBEAT_S="0.2",
        TRAIN_STALE_S="2",
        TRAIN_GRACE_S="5",
        FAKE_EPOCHS="30",
        FAKE_EPOCH_S="0.2",
    )


def look(machine: Machine, pk: int) -> dict:
    return machine.python(LOOK, pk=pk)


def epoch(machine: Machine) -> int:
    """Of the only run, read without a process of its own: the run does not wait for whoever looks."""
    with closing(sqlite3.connect(machine.folder / "emotions.sqlite3")) as database:
        (progress,) = database.execute("SELECT progress FROM training_run").fetchone()
    return json.loads(progress).get("epoch", -1)


def pool_child(process) -> int:
    """The pool's process, the child of the worker's main one."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        return int(file.read().split()[0])


@pytest.mark.parametrize("victim", ["the whole worker", "the pool's process"])
def test_a_killed_workers_run_is_resumed_once(machine, victim):
    worker = machine.worker("gpu")
    pk = machine.python(START, seed=1)
    wait_until(lambda: epoch(machine) >= 2, "two epochs")
    if victim == "the whole worker":
        kill(worker)
        machine.worker("gpu")
    else:
        os.kill(pool_child(worker), signal.SIGKILL)

    def sweeps() -> int:
        with ThreadPoolExecutor(2) as pool:
            return sum(answer["resumed"] for answer in pool.map(lambda _: machine.python(SWEEP), range(2)))

    assert wait_until(sweeps, "a sweep that finds the run") == 1
    run = wait_until(lambda: (now := look(machine, pk))["state"] in ("finished", "failed") and now, "the end of the run")
    assert (run["state"], run["attempts"], run["error"]) == ("finished", 2, "")
    with open(f"{run['folder']}/starts") as file:
        starts = file.read().splitlines()
    assert len(starts) == 2
    assert int(starts[1].split()[2]) >= 2, "the second execution goes on from the first one's checkpoint"
    with open(f"{run['folder']}/metrics.jsonl") as file:
        assert sum('"split": "val"' in line for line in file) == 30, "no epoch is done twice"
    assert machine.python(SWEEP)["resumed"] == 0


def test_a_queue_emptied_while_a_run_waits_loses_nothing(machine):
    pk = machine.python(START, seed=2)
    for message in (machine.folder / "queue" / "messages").iterdir():
        message.unlink()
    machine.worker("gpu")
    assert look(machine, pk)["state"] == "queued"
    assert machine.python(SWEEP_LATER)["resent"] == 1
    wait_until(lambda: look(machine, pk)["state"] == "finished", "the run")
    assert look(machine, pk)["attempts"] == 1
