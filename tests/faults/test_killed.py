"""SIGKILL of beat, of the web server, of a crawl worker: the schedule goes on, nothing is sent, cast or numbered twice, nothing is lost."""

import hashlib
import json
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing

import pytest

from benchmarks import bench_annotate
from config.settings import BASE_DIR
from tests.crawler.conftest import make_clip
from tests.faults.machine import Machine, kill, wait_until
from tests.faults.test_objects import FETCHED, SWEEP_LATER
from tests.faults.test_postgres import Annotator

pytestmark = pytest.mark.slow

# --- beat ---------------------------------------------------------------------------------------------------------
SCHEDULE = """
from datetime import timedelta
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask
PeriodicTask.objects.update(enabled=False)
for name, seconds in (("tests.each_second", 1), ("tests.each_day", 86_400)):
    every, _ = IntervalSchedule.objects.get_or_create(every=seconds, period="seconds")
    PeriodicTask.objects.create(name=name, task=name, interval=every, last_run_at=timezone.now() - timedelta(days=2))
"""


def beat(machine: Machine) -> subprocess.Popen[bytes]:
    log = (machine.folder / f"beat-{len(machine.processes)}.log").open("wb")
    command = [sys.executable, "-m", "celery", "-A", "config", "beat", "--max-interval", "1", "--pidfile", ""]
    process = subprocess.Popen(command, env=machine.environment, cwd=BASE_DIR, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    machine.processes.append(process)
    return process


def sent(machine: Machine) -> Counter[str]:
    """Task → messages in the queue: no worker takes any."""
    found: Counter[str] = Counter()
    for path in (machine.folder / "queue" / "messages").glob("*.msg"):
        try:
            found[json.loads(path.read_text())["headers"]["task"]] += 1
        except (FileNotFoundError, ValueError):  # half written: it is there the next time
            continue
    return found


def test_a_killed_beat_goes_on_and_sends_nothing_twice(make_machine):
    machine = make_machine()
    machine.python(SCHEDULE)
    first = beat(machine)
    wait_until(lambda: sent(machine)["tests.each_day"] == 1 and sent(machine)["tests.each_second"] >= 2, "the first beat to send")
    kill(first)
    before = sent(machine)["tests.each_second"]
    beat(machine)
    wait_until(lambda: sent(machine)["tests.each_second"] >= before + 3, "the second beat to go on")
    assert sent(machine)["tests.each_day"] == 1, "what was sent before the kill is not sent again"


# --- the web server -----------------------------------------------------------------------------------------------
def test_a_killed_web_server_loses_no_vote_and_doubles_none(tmp_path):
    environment = bench_annotate.site_environment(tmp_path, "")
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    filled = bench_annotate.fill(environment, 150)
    stop = threading.Event()
    people = [Annotator(0, token, stop) for token in filled["tokens"][:3]]

    def votes() -> int:
        return sum(len(person.confirmed) for person in people)

    for last in (False, True):
        before = votes()
        with bench_annotate.server(environment, kill=True) as port:  # killed at the end of the block, in the middle of their work
            for person in people:
                person.port = port
                if not person.is_alive():
                    person.start()
            wait_until(lambda before=before: votes() >= before + 10, "votes")
            if last:
                stop.set()
                for person in people:
                    person.join(60)
    assert [refusal for person in people for refusal in person.refusals] == []
    confirmed = [vote for person in people for vote in person.confirmed]
    kept = json.loads(bench_annotate.python(environment, "-m", "benchmarks.annotate_data", "kept", *map(str, confirmed)).splitlines()[-1])
    assert kept == len(confirmed) == len(set(confirmed)), "every confirmed vote is there, once"
    after = bench_annotate.check(environment)
    assert (after["lost_votes"], after["duplicate_assignments"]) == (0, 0)


# --- a crawl worker -----------------------------------------------------------------------------------------------
LOOK = """
from config.models import FailedTask
from crawler.models import Check, Fingerprint, Video
video = Video.objects.get()
checks = list(video.checks.values_list("name", "version"))
answer = {"state": video.state, "number": video.number, "prints": Fingerprint.objects.count(), "twice": len(checks) - len(set(checks)), "failed": FailedTask.objects.count()}
"""


def test_a_killed_crawl_workers_clip_is_finished_by_the_next_one(make_machine, tmp_path):
    machine = make_machine(NSFW_MODEL="off", ONSCREEN_TEXT="off")
    clip = make_clip(tmp_path / "clip.mp4").read_bytes()
    digest = hashlib.sha256(clip).hexdigest()
    name = f"{digest[:2]}/{digest}.mp4"
    (machine.folder / "media" / name).parent.mkdir(parents=True)
    (machine.folder / "media" / name).write_bytes(clip)
    worker = machine.worker("crawl")

    def row() -> tuple[str, str]:
        with closing(sqlite3.connect(machine.folder / "emotions.sqlite3")) as database:
            return database.execute("SELECT claimed_by, state FROM crawler_video").fetchone() or ("", "")

    machine.python(FETCHED, name=name, sha256=digest, size=len(clip))
    wait_until(lambda: row()[0], "the worker to take the clip")
    kill(worker)
    assert row()[1] != "accepted", "the test broke something"
    machine.python(SWEEP_LATER)
    machine.worker("crawl")
    wait_until(lambda: row()[1] == "accepted", "the next worker to finish it")
    assert machine.python(LOOK) == {"state": "accepted", "number": 1, "prints": 1, "twice": 0, "failed": 0}
