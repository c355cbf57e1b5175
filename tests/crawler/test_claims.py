"""Who works on a row: a living worker keeps its claim however long the work takes, a dead one loses it at once."""

import os
import socket
import subprocess
import sys
import time

import pytest

from crawler.models import Stage
from crawler.services import claims

pytestmark = pytest.mark.django_db
HOUR = 3600


def claim(*, host=None, pid=None, ago_s=0):
    return f"{host or socket.gethostname()}:{pid or os.getpid()}:{int(time.time()) - ago_s}:aaaa"


def test_a_living_process_of_this_machine_keeps_its_claim_for_hours():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        began = claims.began_at(child.pid)
        assert began == pytest.approx(time.time(), abs=30)
        init = claims.began_at(1)
        assert init is not None
        assert claims.is_alive(claim(pid=1, ago_s=int(time.time() - init) // 2))
    finally:
        child.kill()
        child.wait()
    assert claims.began_at(child.pid) is None


def test_another_process_that_got_the_number_of_a_dead_one_does_not_hold_its_claim():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert claims.is_alive(claim(pid=child.pid))
        assert not claims.is_alive(claim(pid=child.pid, ago_s=HOUR))
    finally:
        child.kill()
        child.wait()


def test_a_claim_of_another_machine_is_believed_for_its_lease():
    assert claims.is_alive(claim(host="elsewhere", ago_s=60))
    assert not claims.is_alive(claim(host="elsewhere", ago_s=HOUR))


def test_a_claim_that_is_renewed_counts_from_then_and_is_given_back_in_the_end():
    stage = Stage.objects.create(name="long")
    with claims.claimed(stage) as mine:
        assert mine
        old = claim(host="elsewhere", ago_s=HOUR).rpartition(":")[0] + ":" + stage.claimed_by.rpartition(":")[2]
        Stage.objects.filter(pk=stage.pk).update(claimed_by=old)
        stage.claimed_by = old
        assert claims.renew(stage)
        stage.refresh_from_db()
        assert claims.is_alive(stage.claimed_by)
    stage.refresh_from_db()
    assert stage.claimed_by == ""


def test_who_was_taken_over_is_told_so():
    stage = Stage.objects.create(name="long", claimed_by=claim(ago_s=60))
    stage.claimed_by = claim(host="elsewhere", ago_s=HOUR)
    assert not claims.renew(stage)
