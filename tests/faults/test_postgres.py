"""PostgreSQL cut off, crashed and taken over by another machine while votes are cast: none lost, none twice, work goes on."""

import http.client
import json
import threading
import time
import uuid
from contextlib import suppress

import pytest

from benchmarks import bench_annotate
from tests.faults.lines import Postgres, Proxy
from tests.faults.machine import wait_until

pytestmark = pytest.mark.slow


class Annotator(threading.Thread):
    """Labels on; whatever is not answered with a 200 is sent again as it was, with the same client_id."""

    def __init__(self, port: int, token: str, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.port, self.token, self.stop = port, token, stop
        self.confirmed: list[int] = []
        self.refusals: list[str] = []
        self.unavailable = 0

    def run(self) -> None:
        tab = str(uuid.uuid4())
        while not self.stop.is_set():
            turn = self.ask("assignments/next", {"lease_token": tab})
            if turn is None:
                return
            vote = {"client_id": str(uuid.uuid4()), "adjective": "calm", "confidence": 0.7, "lease_token": tab}
            cast = self.ask(f"assignments/{turn['assignment']}/submit", vote)
            if cast is not None:
                self.confirmed.append(cast["vote"])

    def ask(self, path: str, body: dict) -> dict | None:
        headers = {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}
        until = time.monotonic() + 240
        while time.monotonic() < until:
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                connection.request("POST", f"/api/v1/{path}", json.dumps(body), headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status == 200:
                    return json.loads(text)
                if answer.status != 503:
                    self.refusals.append(f"{path}: {answer.status} {text[:300]!r}")
                    return None
                self.unavailable += 1
                assert json.loads(text)["code"] == "unavailable"
            time.sleep(0.1)
        self.refusals.append(f"{path}: no answer for four minutes")
        return None


def ready(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/readyz")
    return connection.getresponse().status


@pytest.fixture
def database():
    found = Postgres()
    yield found
    found.remove()


@pytest.fixture
def line(database):
    found = Proxy(database.start())
    yield found
    found.close()


def test_votes_survive_cut_lines_a_crash_and_a_failover(tmp_path, database, line):
    environment = bench_annotate.site_environment(tmp_path, f"postgres://postgres@127.0.0.1:{line.port}/postgres")
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    filled = bench_annotate.fill(environment, 600)
    stop = threading.Event()
    with bench_annotate.server(environment) as port:
        people = [Annotator(port, token, stop) for token in filled["tokens"][:4]]
        for person in people:
            person.start()

        def votes() -> int:
            return sum(len(person.confirmed) for person in people)

        def goes_on(what: str) -> None:
            before = votes()
            wait_until(lambda: votes() >= before + 20 or any(person.refusals for person in people), f"votes after {what}", timeout_s=240)

        goes_on("the start")
        for _ in range(3):
            assert line.cut() > 0, "the site holds connections"
            goes_on("the cut")
        line.target = None
        line.cut()
        database.crash()
        wait_until(lambda: ready(port) == 503, "the site to say that it is not ready", timeout_s=120)
        line.target = database.start()  # the machine that takes over has another address; the line now leads there
        wait_until(lambda: ready(port) == 200, "the site to be ready again", timeout_s=120)
        goes_on("the failover")
        stop.set()
        for person in people:
            person.join(60)
        assert [refusal for person in people for refusal in person.refusals] == []
        assert sum(person.unavailable for person in people) > 0, "the test broke something"
    confirmed = [vote for person in people for vote in person.confirmed]
    kept = json.loads(bench_annotate.python(environment, "-m", "benchmarks.annotate_data", "kept", *map(str, confirmed)).splitlines()[-1])
    assert kept == len(confirmed) == len(set(confirmed)), "every confirmed vote is there, once"
    after = bench_annotate.check(environment)
    assert (after["lost_votes"], after["duplicate_assignments"]) == (0, 0)
