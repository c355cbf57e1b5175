"""How fast one gets the next clip and submits a vote: pairs/s and latency over HTTP, closed loop, no think time.

A server of its own (gunicorn), 10,000 samples, 1, 8 and 32 annotators, on SQLite and on a throw-away PostgreSQL. Limits: next and
submit p95 below 60 ms for one annotator and 250 ms for eight, at least 80 pairs/s at eight on PostgreSQL; then the server and the workers are
killed again and again under 32, and the database is checked for lost votes and for people in one another's seats. Every list page takes
less than 150 ms. `python -m benchmarks.bench_annotate --settled 1000000` measures beside a million decided samples of three votes
each: no more than 1.5 times as long. Since other work may share the machine, the server's CPU time per pair is told too.
With --peers Label Studio is installed and measured in the same run, and doccano is tried.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import annotate_peers

SAMPLES = 10_000
ANNOTATORS = (1, 8, 32)
SECONDS = 10.0
KILLED_ANNOTATORS = 32
MORE_VIDEOS = 200  # come in while the server and the workers are killed
ADJECTIVES = ("happy", "scary", "neutral", "calm", "gloomy", "tense")
P95_LIMIT_MS = {1: 60.0, 8: 250.0}  # at 32 only nothing may be lost
PAGE_LIMIT_MS = 150.0
PAIRS_LIMIT = {("postgresql", 8): 80.0}
TIMES_LABEL_STUDIO = 15.0  # as many pairs/s at eight as Label Studio in the same run, at least
LETTERS = "ABCDEFGHIJK"  # as many groups of three as 32 annotators need, and one person more
CHECKOUT = Path(__file__).parent.parent


def measure(
    *,
    peers: bool = False,
    samples: int = SAMPLES,
    seconds: float = SECONDS,
    stores: tuple[str, ...] = ("sqlite", "postgresql"),
    settled: int = 0,
) -> dict[str, Any]:
    """Figures per store and number of annotators; `settled` decided samples are there from the start (PostgreSQL only)."""
    from tests.servers import postgres

    results: dict[str, Any] = {"samples": samples}
    for store in stores:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="emotions-bench-"))
            url = stack.enter_context(postgres()) if store == "postgresql" else ""
            environment = site_environment(Path(folder), url)
            filled = fill(environment, samples, settled=settled if url else 0, letters=LETTERS)
            with server(environment) as port:
                run(port, filled["tokens"][24:32], 0.5)  # so that every worker has loaded what it needs
                for number in ANNOTATORS:
                    # Alone means quick: who works alone has a queue that the others leave alone.
                    tokens = filled["tokens"][-1:] if number == 1 else filled["tokens"][:number]
                    results[f"{store}, {number} annotators"] = judged(store, number, run(port, tokens, seconds))
            results[f"{store}, server and workers killed three times"] = survive(environment, filled["tokens"][:KILLED_ANNOTATORS], kills=3)
            results[f"{store}, list pages"] = pages(environment)
            results[f"{store}, after all"] = check(environment)
    if peers:
        results |= beside(samples, seconds, stores, results)
    return results


def beside(samples: int, seconds: float, stores: tuple[str, ...], ours: dict[str, Any]) -> dict[str, Any]:
    """The peers in the same run: Label Studio on each store, doccano as far as it starts."""
    from tests.servers import free_port, postgres

    found: dict[str, Any] = {}
    for store in stores:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emotions-bench-")))
            url = stack.enter_context(postgres()) if store == "postgresql" else ""
            loop = functools.partial(run_as, seconds=seconds)
            told = annotate_peers.label_studio(folder, url, samples=samples, run=loop, port=free_port())
        if "unusable" not in told:
            times = ours[f"{store}, 8 annotators"]["pairs_per_s"] / max(told["8 annotators"]["pairs_per_s"], 0.1)
            told |= {"we_are_times_as_fast_at_8": round(times, 1), "least": TIMES_LABEL_STUDIO, "met": times >= TIMES_LABEL_STUDIO}
        found[f"{annotate_peers.LABEL_STUDIO}, {store}"] = told
    with tempfile.TemporaryDirectory(prefix="emotions-bench-") as name:
        found[annotate_peers.DOCCANO] = annotate_peers.doccano(Path(name))
    return found


def run_as(port: int, keys: list[str], annotator: Callable[..., None], *, seconds: float) -> dict[str, Any]:
    return run(port, keys, seconds, annotator=annotator)


def site_environment(folder: Path, database_url: str) -> dict[str, str]:
    """The site as it runs in earnest on PostgreSQL; on SQLite as the embedded default."""
    found = {**os.environ, "EMOTIONS_VAR": str(folder), "THROTTLE_USER": "1000000/min", "LOG_LEVEL": "WARNING"}
    for name in ("DATABASE_URL", "CELERY_BROKER_URL"):
        found.pop(name, None)
    if database_url:
        secret = uuid.uuid4().hex * 2
        found |= {
            "DATABASE_URL": database_url,
            "DEBUG": "off",
            "SECRET_KEY": secret,
            "AUTHOR_HASH_KEY": secret,
            "ALLOWED_HOSTS": "127.0.0.1",
        }
        found |= {"SECURE_SSL_REDIRECT": "off"}
    return found


def python(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def fill(environment: dict[str, str], samples: int, *, settled: int = 0, letters: str = "ABC") -> dict[str, Any]:
    python(environment, "manage.py", "migrate", "--verbosity", "0")
    job = ("fill_settled", str(samples), str(settled)) if settled else ("fill", str(samples), letters)
    return json.loads(python(environment, "-m", "benchmarks.annotate_data", *job).splitlines()[-1])


def pages(environment: dict[str, str]) -> dict[str, Any]:
    python(environment, "manage.py", "collectstatic", "--no-input", "--verbosity", "0")  # their addresses carry the files' hashes
    found = json.loads(python(environment, "-m", "benchmarks.annotate_data", "pages").splitlines()[-1])
    slow = [path for path, page in found.items() if page["p95_ms"] >= PAGE_LIMIT_MS]
    told = {path: {**page, "p95_limit_ms": PAGE_LIMIT_MS, "met": path not in slow} for path, page in found.items()}
    return {**told, "slower than the limit": slow, "met": not slow}


def check(environment: dict[str, str]) -> dict[str, Any]:
    return json.loads(python(environment, "-m", "benchmarks.annotate_data", "check").splitlines()[-1])


@contextlib.contextmanager
def server(environment: dict[str, str], *, kill: bool = False) -> Iterator[int]:
    """The site under gunicorn; with kill it ends as in a power cut, workers and all."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "4"]
    with (
        open(os.devnull, "w") as silence,
        subprocess.Popen(command, env=environment, cwd=CHECKOUT, stderr=silence, start_new_session=True) as process,
    ):
        try:
            wait_for(port)
            yield port
        finally:
            os.killpg(process.pid, signal.SIGKILL if kill else signal.SIGTERM)


def tasks_waiting(environment: dict[str, str]) -> int:
    return len(list((Path(environment["EMOTIONS_VAR"]) / "queue" / "messages").iterdir()))


@contextlib.contextmanager
def worker(environment: dict[str, str]) -> Iterator[None]:
    """A Celery worker of two processes; it ends as in a power cut."""
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "--concurrency", "2", "--loglevel", "ERROR"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, cwd=CHECKOUT, start_new_session=True, **quiet) as process:
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(port: int) -> None:
    """Returns once the site answers; gunicorn listens before its workers are up. Raises TimeoutError."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise TimeoutError(f"the server did not come up on port {port}")


def run(port: int, tokens: list[str], seconds: float, *, annotator: Callable[..., None] | None = None) -> dict[str, Any]:
    """Everyone takes and votes without a pause for that long; a short warm-up is not counted."""
    times: dict[str, list[float]] = {"next": [], "submit": []}
    failures: list[str] = []
    for length in (2.0, seconds):  # the first is the warm-up
        for kept in times.values():
            kept.clear()
        before = cpu_s(port)
        until = time.monotonic() + length
        threads = [threading.Thread(target=guarded, args=(failures, annotator or annotate, port, token, until, times)) for token in tokens]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise RuntimeError(failures[0])
    pairs = len(times["submit"]) / seconds
    cpu = (cpu_s(port) - before) / max(len(times["submit"]), 1)
    return {
        "pairs_per_s": round(pairs, 1),
        "server_cpu_ms_per_pair": round(1000 * cpu, 1),
        **{name: percentiles(kept) for name, kept in times.items()},
    }


def cpu_s(port: int) -> float:
    """CPU seconds that the server at this port has used so far, all its workers together."""
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(port).encode() in (folder / "cmdline").read_bytes():
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def guarded(failures: list[str], job: Callable[..., None], *arguments: Any) -> None:
    try:
        job(*arguments)
    except Exception as error:  # whatever it was: a thread's error is told by the one that waits for it
        failures.append(f"{type(error).__name__}: {error}")


def annotate(port: int, token: str, until: float, times: dict[str, list[float]]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}
    tab = str(uuid.uuid4())

    def post(name: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        connection.request("POST", f"/api/v1/{path}", json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        times[name].append(time.perf_counter() - started)
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {text[:200]!r}")
        return json.loads(text)

    while time.monotonic() < until:
        turn = post("next", "assignments/next", {"lease_token": tab})
        vote = {"client_id": str(uuid.uuid4()), "adjective": ADJECTIVES[turn["sample"] % 6], "confidence": 0.7, "lease_token": tab}
        post("submit", f"assignments/{turn['assignment']}/submit", vote)


def survive(environment: dict[str, str], tokens: list[str], *, kills: int, seconds: float = 3.0) -> dict[str, Any]:
    """Votes that the server confirmed while it and the workers were killed again and again; each client sends on until it is answered.

    The workers hand out new videos and take leases back meanwhile. Raises RuntimeError if a confirmed vote is not in the database
    afterwards.
    """
    environment = {**environment, "LEASE_S": "10"}  # so that leases run out as well
    confirmed: list[int] = []
    stop = threading.Event()
    address: dict[str, int] = {}
    failures: list[str] = []
    threads = [threading.Thread(target=guarded, args=(failures, insist, address, token, stop, confirmed)) for token in tokens]
    for thread in threads:
        thread.start()
    tasks_begun = 0
    for _ in range(kills + 1):
        python(environment, "-m", "benchmarks.annotate_data", "more", str(MORE_VIDEOS))
        waiting = tasks_waiting(environment)
        with worker(environment), server(environment, kill=True) as port:
            address["port"] = port
            time.sleep(seconds)
            deadline = time.monotonic() + 60
            while tasks_waiting(environment) >= waiting and time.monotonic() < deadline:
                time.sleep(0.1)  # the workers come up more slowly than the server
        tasks_begun += waiting - tasks_waiting(environment)
    stop.set()
    with server(environment) as port:  # what was under way is answered by the last one
        address["port"] = port
        for thread in threads:
            thread.join()
    if failures:
        raise RuntimeError(failures[0])
    kept = json.loads(python(environment, "-m", "benchmarks.annotate_data", "kept", *map(str, confirmed)).splitlines()[-1])
    if kept != len(set(confirmed)) or len(set(confirmed)) != len(confirmed):
        raise RuntimeError(f"{len(confirmed)} votes were confirmed, {len(set(confirmed))} different ones, {kept} are there")
    return {"confirmed": len(confirmed), "lost": 0, "tasks_begun_by_killed_workers": tasks_begun}


def insist(address: dict[str, int], token: str, stop: threading.Event, confirmed: list[int]) -> None:
    """Labels on; a request that got no answer is sent again as it was, with the same client_id."""
    tab = str(uuid.uuid4())
    while not stop.is_set():
        turn = ask(address, token, "assignments/next", {"lease_token": tab}, stop)
        if turn is None:
            return
        vote = {"client_id": str(uuid.uuid4()), "adjective": ADJECTIVES[turn["sample"] % 6], "confidence": 0.7, "lease_token": tab}
        cast = ask(address, token, f"assignments/{turn['assignment']}/submit", vote, None)
        if cast is not None:
            confirmed.append(cast["vote"])


def ask(address: dict[str, int], token: str, path: str, body: dict[str, Any], stop: threading.Event | None) -> dict[str, Any] | None:
    """The answer, sooner or later; None once `stop` is set and nobody answers. Raises RuntimeError for any refusal."""
    headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}
    while stop is None or not stop.is_set():
        try:
            connection = http.client.HTTPConnection("127.0.0.1", address["port"], timeout=20)
            connection.request("POST", f"/api/v1/{path}", json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        except (KeyError, OSError, http.client.HTTPException):
            time.sleep(0.05)
            continue
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {text[:200]!r}")
        return json.loads(text)
    return None


def percentiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "p50_ms": round(1000 * statistics.median(ordered), 1),
        "p95_ms": round(1000 * ordered[int(0.95 * (len(ordered) - 1))], 1),
        "max_ms": round(1000 * ordered[-1], 1),
    }


def judged(store: str, annotators: int, figures: dict[str, Any]) -> dict[str, Any]:
    figures |= {"load_average": round(os.getloadavg()[0], 1)}
    limit = P95_LIMIT_MS.get(annotators)
    if limit is None:
        return figures
    met = all(figures[name]["p95_ms"] < limit for name in ("next", "submit"))
    least = PAIRS_LIMIT.get((store, annotators))
    figures |= {"p95_limit_ms": limit}
    if least:
        figures["pairs_limit"] = least
        met = met and figures["pairs_per_s"] >= least
    return {**figures, "met": met}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stores", nargs="*", default=["sqlite", "postgresql"])
    parser.add_argument("--settled", type=int, default=0, help="decided samples with three votes each that are there beforehand")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--peers", action="store_true")
    options = parser.parse_args(arguments)
    print(json.dumps(measure(**{**vars(options), "stores": tuple(options.stores)}), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
