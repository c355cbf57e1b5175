"""Two hundred people at work: 200 simulated annotators with think time against the real server and a throw-away PostgreSQL.

    python -m benchmarks.bench_load --seconds 600 --people 200

Each takes a clip, "watches" it for 5 to 15 seconds, votes, and goes on; a tenth of the votes is sent twice, as after a bad line.
Told: latencies (p50, p95, p99), errors, votes lost or doubled, the server's memory over time. Limits: no error, none lost, none
doubled, memory at the end within a tenth of what it was after the first fifth.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from benchmarks import bench_annotate

PEOPLE = 200
SECONDS = 600.0
THINK_S = (5.0, 15.0)
SENT_TWICE = 0.1
SAMPLES_PER_GROUP = 120
MEMORY_GROWTH_LIMIT = 1.10


def measure(*, peers: bool = False, people: int = PEOPLE, seconds: float = SECONDS) -> dict[str, Any]:
    from tests.servers import postgres

    with postgres() as url, tempfile.TemporaryDirectory(prefix="emotions-load-") as folder:
        environment = bench_annotate.site_environment(Path(folder), url)
        bench_annotate.python(environment, "manage.py", "migrate", "--verbosity", "0")
        tokens = json.loads(bench_annotate.python(environment, "-m", "benchmarks.bench_load", "--fill", str(people)).splitlines()[-1])
        with bench_annotate.server(environment) as port:
            figures = crowd(port, tokens, seconds)
        figures |= bench_annotate.check(environment)
    figures["lost_votes"] += figures["confirmed"] - figures["votes"]
    wrong = figures["errors"] or figures["lost_votes"] or figures["duplicate_assignments"]
    figures["met"] = not wrong and figures["confirmed"] >= people and figures["memory_flat"]  # without votes nothing was measured
    return figures


def fill(people: int) -> list[str]:
    """Groups of three with enough samples for each; the members' keys."""
    from django.utils import timezone

    from annotation.services import distribute, person_create
    from config.tokens import token_create
    from crawler.models import Video

    now = timezone.now()
    letters = [*ascii_uppercase, *(a + b for a in ascii_uppercase for b in ascii_uppercase)][: -(-people // 3)]
    samples = len(letters) * SAMPLES_PER_GROUP
    Video.objects.bulk_create(
        (
            Video(platform="tiktok", platform_id=str(n), number=n, state="accepted", accepted_at=now, file=f"{n}.mp4", duration_s=20.0)
            for n in range(1, samples + 1)
        ),
        batch_size=1000,
    )
    keys = []
    for letter in letters:
        for number, gender in enumerate("MMF"):
            person = person_create(username=f"{letter}{number}", full_name="Load", gender=gender, group=letter, qualified_at=now)
            keys.append(token_create(person.user, name="load", scope="write")[1])
        person_create(username=f"{letter}-leader", full_name="Load", gender="F", role="leader", group=letter)
    person_create(username="expert", full_name="Load", gender="F", role="expert")
    distribute()
    return keys[:people]


class Annotator(threading.Thread):
    def __init__(self, port: int, token: str, until: float, seed: int) -> None:
        super().__init__(daemon=True)
        self.port, self.token, self.until = port, token, until
        self.rng = random.Random(seed)
        self.tab = str(uuid.uuid4())
        self.times: dict[str, list[float]] = {"next": [], "submit": []}
        self.errors: list[str] = []
        self.votes: set[int] = set()

    def run(self) -> None:
        time.sleep(self.rng.uniform(0, THINK_S[1]))  # nobody begins at the same moment
        while time.monotonic() < self.until:
            turn = self.ask("next", "assignments/next", {"lease_token": self.tab})
            if turn is None:
                continue
            time.sleep(self.rng.uniform(*THINK_S))
            vote = {"client_id": str(uuid.uuid4()), "adjective": "calm", "confidence": 0.7, "lease_token": self.tab}
            path = f"assignments/{turn['assignment']}/submit"
            cast = self.ask("submit", path, vote)
            if cast is not None and self.rng.random() < SENT_TWICE:
                again = self.ask("submit", path, vote)
                if again is not None and again["vote"] != cast["vote"]:
                    self.errors.append("the same submission became two votes")
            if cast is not None:
                self.votes.add(cast["vote"])

    def ask(self, name: str, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        headers = {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}
        started = time.perf_counter()
        # Thinking outlasts the server's keep-alive: as a browser does, open a line anew for each request.
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            line.request("POST", f"/api/v1/{path}", json.dumps(body), headers)
            answer = line.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.errors.append(f"{path}: {type(error).__name__}")
            return None
        finally:
            line.close()
        self.times[name].append(time.perf_counter() - started)
        if answer.status != 200:
            self.errors.append(f"{path}: {answer.status} {text[:120]!r}")
            return None
        return json.loads(text)


def crowd(port: int, tokens: list[str], seconds: float) -> dict[str, Any]:
    until = time.monotonic() + seconds
    people = [Annotator(port, token, until, seed) for seed, token in enumerate(tokens)]
    for person in people:
        person.start()
    memory = []
    while time.monotonic() < until:
        memory.append(server_memory(port))
        time.sleep(min(5.0, seconds / 20))
    for person in people:
        person.join(120)
    errors = [error for person in people for error in person.errors]
    settled = memory[len(memory) // 5 :]
    early, late = max(settled[: max(1, len(settled) // 4)]), max(settled[-max(1, len(settled) // 4) :])
    times = {name: [second for person in people for second in person.times[name]] for name in ("next", "submit")}
    return {
        "people": len(people), "seconds": seconds, "think_s": list(THINK_S), "cores": os.cpu_count(), "load_average": round(os.getloadavg()[0], 1),
        "requests_per_s": round(sum(map(len, times.values())) / seconds, 1),
        **{name: percentiles(kept) for name, kept in times.items()},
        "confirmed": sum(len(person.votes) for person in people), "errors": len(errors), "first_errors": errors[:5],
        "memory_mib": {"after_a_fifth": round(early / 2**20), "at_the_end": round(late / 2**20)},
        "memory_flat": late <= MEMORY_GROWTH_LIMIT * early,
    }  # fmt: skip


def server_memory(port: int) -> int:
    """Bytes that the server's processes hold together, from /proc; shared pages are counted by their share."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if f"127.0.0.1:{port}".encode() in (folder / "cmdline").read_bytes():
                share = next(line for line in (folder / "smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
                total += int(share.split()[1]) * 1024
    return total


def percentiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds) or [float("nan")]
    at = lambda share: round(1000 * ordered[int(share * (len(ordered) - 1))], 1)  # noqa: E731 - a name for one arithmetic step
    return {"count": len(seconds), "p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99), "max_ms": round(1000 * ordered[-1], 1)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--fill", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        import django

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        django.setup()
        print(json.dumps(fill(options.fill)))
    else:
        result = measure(people=options.people, seconds=options.seconds)
        print(json.dumps(result, indent=2))
        sys.exit(0 if result["met"] else 1)
