"""Crawls of the replica that bench_discovery reports, each in a process of its own: `python -m benchmarks.crawling NAME …`, JSON on stdout.

EMOTIONS_VAR, and DATABASE_URL and CELERY_BROKER_URL where they are set, say where it keeps its rows, files and messages.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from crawler import services, tasks
from crawler.models import Stage, Video
from demo.processes import DIE_WITH_PARENT
from demo.replica.truth import Found, compare, load

ROOT = Path(__file__).parent.parent
SETTLED = {Video.State.ACCEPTED, Video.State.REVIEW, Video.State.DROPPED, Video.State.FAILED}
BEAT_S = 10.0  # as beat does every few minutes: due stages and stale videos are sent to the queue again
DOWN_S = 3.0  # the replica stays away so long, and as long as it takes to start


class Program:
    """A child process that can be killed and started again; its output goes to a log."""

    def __init__(self, *command: str, log: Path) -> None:
        self.command, self.log = command, log
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.child = subprocess.Popen(
                [*DIE_WITH_PARENT, sys.executable, *self.command],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def kill(self) -> None:
        """SIGKILL to the program and its own worker processes; a browser is left behind, as it is when a worker dies."""
        if self.child is None:
            return
        family = [self.child.pid, *(pid for pid in workers_of(self.child.pid))]
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.child.wait()

    def kill_worker(self, rng: random.Random) -> None:
        """SIGKILL to one worker process of a pool, or to the program where it has none."""
        if self.child is not None and (pids := workers_of(self.child.pid)):
            os.kill(rng.choice(pids), signal.SIGKILL)
        else:
            self.kill()


def workers_of(parent: int) -> list[int]:
    """Child processes of the same program: those of a Celery pool."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            name = (status.parent / "comm").read_text().strip()
        except OSError:  # ended meanwhile
            continue
        if int(fields[1]) == parent and (name.startswith("python") or "celery" in name):
            found.append(int(status.parent.name))
    return found


def replica(folder: Path, clips: Path, *, posts: int | None, seed: int, faults: str) -> Program:
    """The replica as a process of its own, running; the settings of this process and its children name it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--state", str(folder), "--clips", str(clips), "--seed", str(seed), "--faults", faults]
    options += ["--latency-s", "0.05", *(["--posts", str(posts)] if posts else [])]
    folder.mkdir(parents=True, exist_ok=True)
    server = Program("-m", "demo.replica", *options, log=folder / "replica.log")
    start_replica(server)
    chosen = {"CRAWL_REPLICA": f"127.0.0.1:{port}", "CRAWL_REPLICA_CA": str(folder / "ca.pem"), "CRAWL_DELAY_S": "0.05"}
    os.environ |= chosen
    settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA, settings.CRAWL_DELAY_S = *list(chosen.values())[:2], 0.05
    return server


def start_replica(server: Program) -> None:
    begin = server.log.stat().st_size if server.log.exists() else 0
    server.start()
    wait_for(lambda: "replica ready" in server.log.read_text()[begin:] or not server.is_running, 900)
    if not server.is_running:
        raise RuntimeError(f"the replica does not start: {server.log.read_text()[-800:]}")


def wait_for(is_so: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so after {timeout_s:.0f} s")
        time.sleep(0.2)


# --- a crawl whose workers are killed ---------------------------------------------------------------------------


def survive(
    var: Path,
    clips: Path,
    *,
    posts: int | None,
    seed: int,
    stages: int,
    terms: int,
    kills: int,
    restarts: int,
    queue: bool,
    timeout_s: float,
) -> dict[str, Any]:
    """Stages over the whole replica while workers are killed and the replica restarts; found beside what there was to find.

    queue: Celery workers, stages and videos sent as messages; else `manage.py crawl`, run again whenever it died.
    """
    server = replica(var / "replica", clips, posts=posts, seed=seed, faults="quick")
    truth = load(var / "replica" / "truth.json")
    rng = random.Random(seed)
    events = ["kill one", "kill all"] * (kills // 2) + ["kill all"] * (kills % 2) + ["restart"] * restarts
    rng.shuffle(events)
    # By progress, not by the clock: a slow machine is hurt as often as a quick one.
    steps = 2 * sum(0 < post["depth"] <= stages for post in truth["posts"])  # each post is found, then settled
    due = [(steps * (place + 1) // (len(events) + 2), event) for place, event in enumerate(events)]
    started, log = time.monotonic(), var / "worker.log"
    try:
        for number in range(1, stages + 1):
            name, many = f"stage-{number}", {"video_budget": 10**6, "items_per_list": 10**5, "terms_per_platform": terms}
            stage = services.stage_create(name=name, seed=seed, backoff_s=0.2, **many)
            worker = worker_of(stage, log, queue=queue)
            crawl(stage, worker, server, due, rng, queue=queue, deadline=started + timeout_s)
            worker.kill()
    finally:
        server.kill()
    return report(truth, var, stages) | {
        "hurt": {event: events.count(event) for event in sorted(set(events))},
        "hurt_in_time": len(events) - len(due),
        "seconds": round(time.monotonic() - started, 1),
    }


def worker_of(stage: Stage, log: Path, *, queue: bool) -> Program:
    if queue:
        return Program("-m", "celery", "-A", "config", "worker", "-Q", "crawl", "-c", "3", "--loglevel", "WARNING", log=log)
    return Program("manage.py", "crawl", stage.name, "--json", log=log)


def crawl(
    stage: Stage, worker: Program, server: Program, due: list[tuple[int, str]], rng: random.Random, *, queue: bool, deadline: float
) -> None:
    """Until the stage is done, however often its workers die. Raises TimeoutError."""
    beat = 0.0
    while True:
        stage.refresh_from_db()
        if stage.state == Stage.State.DONE:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"stage {stage.name} is {stage.state} ({stage.reason}): {services.stage_counts(stage)}")
        if not worker.is_running:
            worker.start()
        if queue and time.monotonic() > beat:
            beat = time.monotonic() + BEAT_S
            tasks.crawl_stage.delay(stage.pk)
            tasks.resume_stale()
        found = Video.objects.count()
        if due and found + Video.objects.filter(state__in=SETTLED).count() >= due[0][0]:
            hurt(due.pop(0)[1], worker, server, rng)
        time.sleep(0.2)


def hurt(event: str, worker: Program, server: Program, rng: random.Random) -> None:
    if event == "kill one":
        worker.kill_worker(rng)
    elif event == "kill all":
        worker.kill()
    else:
        server.kill()
        time.sleep(DOWN_S)
        start_replica(server)


def report(truth: dict[str, Any], var: Path, stages: int) -> dict[str, Any]:
    """What was found beside what there was, and whether rows and files agree.

    A post that no list led to counts against the recall alone: nothing is said of it, rightly or wrongly.
    """
    rows = Video.objects.values_list("platform", "platform_id", "state", "reason")
    result = compare([Found(*row) for row in rows], truth, stages=stages)
    wrong = [entry for entry in result["wrong"] if entry["reported"] != "undiscovered"]
    healthy = [entry for entry in wrong if entry["expected"] == "accepted"]
    kept = Video.objects.filter(state=Video.State.ACCEPTED)
    return {
        "posts": result["posts"],
        "reachable": result["reachable"],
        "recall": round(result["recall"], 4),
        "recall_limit": 0.99,
        "kept": kept.count(),
        "private_or_disallowed_kept": len(result["leaked"]),
        "posts_that_do_not_exist": len(result["strangers"]),
        "healthy_not_kept_exactly_once": len(healthy) + len(result["copies"]),
        "faults_planted": sum(post["fault"] != "" and 0 < post["depth"] <= stages for post in truth["posts"]),
        "faults_misnamed": len(wrong) - len(healthy),
        "files_missing": sum(not video.path.is_file() for video in kept),
        "numbers_without_gaps": sorted(kept.values_list("number", flat=True)) == list(range(1, kept.count() + 1)),
        "parts_left": len(list((var / "media" / "parts").glob("*.part"))),
        "outcomes": result["outcomes"],
        "wrong": wrong[:20],
        "copies": result["copies"][:20],
        "missed": result["missed"][:20],
    }


def begin_empty() -> None:
    """Makes the tables. Exits where there are some: a measurement neither counts nor changes a site's own rows."""
    if connection.introspection.table_names():
        sys.exit(f"the database of {settings.VAR_DIR} is in use: set EMOTIONS_VAR (and DATABASE_URL) to an empty place")
    call_command("migrate", verbosity=0)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crawling", description=__doc__)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--posts", type=int)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--stages", type=int, default=2)
    parser.add_argument("--terms", type=int, default=60, help="words asked for per platform and stage")
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--queue", action="store_true", help="Celery workers instead of manage.py crawl")
    parser.add_argument("--timeout-s", type=float, default=3600)
    options = vars(parser.parse_args(arguments))
    begin_empty()
    print(json.dumps(survive(Path(settings.VAR_DIR), options.pop("clips"), **options), ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
