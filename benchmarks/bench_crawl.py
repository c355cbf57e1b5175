"""What the crawler adds: storing discovered posts, and a download beside the plainest one that `requests` allows.

    ./run bench crawl

Limits: 10,000 discovered rows in at most 10 s on PostgreSQL; a clip takes at most 15 % longer than with plain `requests` streaming
(guard, pace, robots.txt, checks, hash, flush to disk and all), on a line of 200 Mbit/s; memory does not grow with the file.
"""

from __future__ import annotations

import http.server
import json
import multiprocessing
import os
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROWS, BATCH = 10_000, 200  # a list brings at most some hundred posts at a time
ROWS_LIMIT_S = 10.0
CLIP_BYTES, LARGE_BYTES = 6 * 2**20, 240 * 2**20
ROUNDS = 15
LINE_BYTES_PER_S = 200e6 / 8
ADDED_LIMIT = 0.15
MEMORY_LIMIT_MB = 8.0
PAGE = "https://www.tiktok.com/@/video/7525082444551310602"
FILE = "https://v16-webapp-prime.tiktok.com/video/tos/"
ROOT = Path(__file__).parent.parent
HEAD = b"\x00\x00\x00\x18ftypisom"
PIECE = 64 * 1024


def measure(*, peers: bool = False) -> dict[str, Any]:
    """Seconds for the rows; the share of time and the megabytes that a download adds. The peer is `requests` itself."""
    from tests.servers import postgres

    with tempfile.TemporaryDirectory(prefix="emotions-bench-") as folder, postgres() as database:
        told = {**os.environ, "EMOTIONS_VAR": folder, "DATABASE_URL": database, "LOG_LEVEL": "WARNING"}
        command = [sys.executable, "-m", "benchmarks.bench_crawl"]
        done = subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


# --- in a process of its own, with Django -----------------------------------------------------------------------


def rows() -> dict[str, Any]:
    """Posts of a topic as lists bring them, every fifth seen before."""
    from crawler import services

    numbers = [n for batch in range(ROWS // BATCH) for n in range(batch * BATCH - BATCH // 4 * (batch > 0), (batch + 1) * BATCH)]
    posts = [
        {
            "platform": "tiktok",
            "platform_id": str(7_000_000_000_000_000_000 + n),
            "url": f"https://www.tiktok.com/@/video/{7_000_000_000_000_000_000 + n}",
            "title": f"clip number {n} #topic",
        }
        for n in numbers
    ]
    size = BATCH + BATCH // 4
    began = time.perf_counter()
    new = sum(len(services.posts_insert(posts[start : start + size])) for start in range(0, len(posts), size))
    return {"rows": new, "rows_s": round(time.perf_counter() - began, 2), "rows_limit_s": ROWS_LIMIT_S}


def downloads(folder: Path) -> dict[str, Any]:
    """Plain and guarded in turn, over the same line, from the same server."""
    from crawler.fetch import Client, Manner, download
    from crawler.platforms import PLATFORMS

    client = Client(PLATFORMS["tiktok"], Manner(delay_s=0, user_agent="honest"))
    files, plain_file = folder / "files", folder / "plain.mp4"

    def guarded(path: str) -> None:
        got = download(client, (FILE + path,), PAGE, files, "tiktok-1")
        (files / got.name).unlink()

    def plain(path: str) -> None:
        with client.session.get(FILE + path, stream=True, timeout=60) as answer, plain_file.open("wb") as file:
            answer.raise_for_status()
            for chunk in answer.iter_content(256 * 1024):
                file.write(chunk)

    figures: dict[str, Any] = {}
    for name, path in (("line", f"line/{CLIP_BYTES}"), ("loopback", f"free/{CLIP_BYTES}")):
        times = in_turn({"plain": lambda path=path: plain(path), "ours": lambda path=path: guarded(path)})
        figures |= {f"{name}_{way}_s": round(value, 4) for way, value in times.items()}
        figures[f"{name}_added"] = round(times["ours"] / times["plain"] - 1, 3)
    figures["line_added_limit"] = ADDED_LIMIT
    before = peak_mb()
    guarded(f"free/{LARGE_BYTES}")
    return figures | {
        "large_file_mb": LARGE_BYTES / 2**20,
        "memory_grown_mb": round(peak_mb() - before, 1),
        "memory_limit_mb": MEMORY_LIMIT_MB,
    }


def in_turn(ways: dict[str, Callable[[], None]]) -> dict[str, float]:
    """The median seconds of each way, one after the other in every round, so that the machine's moods strike both."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if turn:  # the first opens connections and reads robots.txt
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(found) for name, found in times.items()}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Handler(http.server.BaseHTTPRequestHandler):
    """/video/tos/line/N: N bytes at the line's pace; /video/tos/free/N: as fast as they go."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        *_, pace, size = self.path.split("/")
        if not size.isdigit():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        for name, value in (("Content-Type", "video/mp4"), ("Content-Length", size)):
            self.send_header(name, value)
        self.end_headers()
        began, sent = time.monotonic(), 0
        piece = HEAD + bytes(PIECE - len(HEAD))
        while sent < int(size):
            sent += self.wfile.write(piece[: int(size) - sent])
            if pace == "line":
                time.sleep(max(0.0, began + sent / LINE_BYTES_PER_S - time.monotonic()))

    def log_message(self, *args: object) -> None:
        """Silent."""


def serve(folder: str, port: Any) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(folder) / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    port.value = server.server_address[1]
    server.serve_forever()


@contextmanager
def server(folder: Path) -> Iterator[None]:
    """A process of its own that stands for the platform: what it costs is not ours."""
    from django.conf import settings

    from demo.replica import certificate

    certificate.ensure(folder)
    method = multiprocessing.get_context("spawn")
    port = method.Value("i", 0)
    process = method.Process(target=serve, args=(str(folder), port), daemon=True)
    process.start()
    deadline = time.monotonic() + 60
    while not port.value:
        if time.monotonic() > deadline:
            raise TimeoutError("the server of the benchmark does not start")
        time.sleep(0.05)
    settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA = f"127.0.0.1:{port.value}", str(folder / "ca.pem")
    try:
        yield
    finally:
        process.kill()
        process.join()


def main() -> int:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    folder = Path(settings.VAR_DIR) / "bench"
    folder.mkdir(parents=True)
    found = rows()
    with server(folder):
        found |= downloads(folder)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
