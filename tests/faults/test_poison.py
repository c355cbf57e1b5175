"""A poisoned task ends on the dead-letter page, with its error, and the worker goes on."""

import pytest

from tests.faults.machine import wait_until

pytestmark = pytest.mark.slow
SEND = """
from config.celery import app
for name, args in sent:
    app.send_task(name, args=args, queue="default")
"""
LOOK = """
from config.models import FailedTask
answer = {task.name.rpartition(".")[2]: [task.args, task.error, task.state] for task in FailedTask.objects.order_by("-pk")}
"""
AGAIN = """
from config.deadletter import send_again
from config.models import FailedTask
pk = FailedTask.objects.get(name__endswith="stumbles_once").pk
answer = [send_again(pk), send_again(pk)]
"""
POISON = "tests.faults.poison."


def test_what_fails_for_good_is_kept_and_can_be_sent_again(make_machine):
    machine = make_machine()
    worker = machine.worker("default,gpu", "--include", "tests.faults.poison")
    sent = [(f"{POISON}kills_its_worker", []), (f"{POISON}stumbles", [7]), ("no.such.task", [1]), (f"{POISON}stumbles_once", [8])]
    machine.python(SEND, sent=sent)

    def all_kept() -> dict | None:
        kept = machine.python(LOOK)
        return kept if {"stumbles", "task", "kills_its_worker", "stumbles_once"} <= set(kept) else None

    kept = wait_until(all_kept, "four rows on the dead-letter page", timeout_s=240)
    assert kept["stumbles"] == [[7], "ZeroDivisionError: 7 by nothing", "waiting"]
    assert kept["task"][0] == [1]
    assert "WorkerLostError" in kept["kills_its_worker"][1]
    assert worker.poll() is None, "the worker outlives its poison"
    assert machine.python(AGAIN) == [True, False], "pressed twice, sent once"
    wait_until(lambda: machine.python(LOOK)["stumbles_once"][2] == "sent_again", "the task sent again")
    status = machine.python("from config.status import status; answer = status().alarms")
    assert any("3 tasks failed for good" in alarm for alarm in status)
