"""A broker that is emptied, restarted or fed with nonsense: the work that the database knows of is done all the same."""

import json
import subprocess
import time

import pytest

from tests.faults.machine import Machine, wait_until
from tests.faults.test_training_worker import LOOK, START, SWEEP_LATER
from tests.servers import binary, free_port, wait_for_port

pytestmark = pytest.mark.slow
QUICK = {
    "TRAIN_ENGINE": "tests.training.app.fake_engine", "TRAIN_GPUS": "none", "TRAIN_HEARTBEAT_S": "0.2", "TRAIN_STALE_S": "2",
    "FAKE_EPOCHS": "2",
}  # fmt: skip
SEND_POISON = """
from config.celery import app
app.send_task("training.tasks.no_such_task", queue="gpu")
app.send_task("training.tasks.start_run", args=("nonsense",), queue="gpu")
app.send_task("training.tasks.start_run", args=(1, 2, 3), kwargs={"x": 1}, queue="gpu")
app.send_task("training.tasks.start_run", args=(10**30,), queue="gpu")
"""


def finished(machine: Machine, pk: int) -> bool:
    return machine.python(LOOK, pk=pk)["state"] == "finished"


def test_nonsense_in_the_queue_does_not_stop_the_worker(make_machine):
    machine = make_machine(**QUICK)
    worker = machine.worker("gpu")
    machine.python(SEND_POISON)
    pk = machine.python(START, seed=1)
    wait_until(lambda: finished(machine, pk), "the run behind the nonsense")
    assert worker.poll() is None


def test_a_message_cut_in_half_is_passed_over(make_machine):
    """As a full disk or a killed sender leaves it with the embedded broker."""
    machine = make_machine(**QUICK)
    (machine.folder / "queue" / "messages" / f"1_{'a' * 36}.gpu.msg").write_text(json.dumps({"body": "x"})[:7])
    first = machine.worker("gpu")
    pk = machine.python(START, seed=1)
    machine.python(SWEEP_LATER)

    def done() -> bool:
        if first.poll() is not None:  # the supervisor's part: a worker that ended is started again
            machine.worker("gpu")
        return finished(machine, pk)

    wait_until(done, "the run behind the broken message")


class Redis:
    """A Redis on one port that a test may kill and start again."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    def start(self) -> None:
        command = [binary("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for_port(self.port)

    def kill(self) -> None:
        self.server.kill()
        self.server.wait(60)


@pytest.fixture
def redis():
    server = Redis()
    yield server
    server.kill()


def test_a_redis_that_lost_everything_loses_no_run(make_machine, redis):
    machine = make_machine(**QUICK, CELERY_BROKER_URL=f"redis://127.0.0.1:{redis.port}/0")
    waiting = machine.python(START, seed=1)
    lengths = "from config.status import queue_lengths; answer = queue_lengths()"
    assert machine.python(lengths) == {"default": 0, "crawl": 0, "gpu": 1}
    worker = machine.worker("crawl")
    redis.kill()
    asked_meanwhile = machine.python(START, seed=2)
    assert machine.python(lengths) == {"default": None, "crawl": None, "gpu": None}
    time.sleep(1)
    redis.start()
    assert machine.python(SWEEP_LATER)["resent"] == 2
    machine.worker("gpu")
    wait_until(lambda: finished(machine, waiting) and finished(machine, asked_meanwhile), "both runs")
    assert worker.poll() is None, "a worker outlives its broker"
