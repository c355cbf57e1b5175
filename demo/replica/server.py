"""The replica as a process: HTTPS on loopback, one thread per connection, every request answered by the platform that owns its host name."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.clips import read_labels
from demo.replica import certificate, corpus, douyin, files, kuaishou, media, tiktok
from demo.replica.faults import chosen
from demo.replica.http import Request, Response
from demo.replica.site import Site

MODULES = (tiktok, douyin, kuaishou)
CHUNK = 1 << 16


class ReplicaServer:
    """Serves the replica while the `with` block lasts; `address`, `ca`, `site` and `truth` say where and what."""

    def __init__(
        self,
        clips: Path | str,
        state: Path | str,
        *,
        port: int = 0,
        posts: int | None = None,
        seed: int = 0,
        faults: str = "quick",
        hurry_per_s: float = 0.0,
        latency_s: float = 0.0,
        link_ttl_s: float = 3600.0,
        clock: Callable[[], float] = time.time,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.clips, self.state = Path(clips).resolve(), Path(state).resolve()
        self.state.mkdir(parents=True, exist_ok=True)
        certificate.ensure(self.state)
        self.ca, self.truth = self.state / "ca.pem", self.state / "truth.json"
        names = chosen(faults)
        world = corpus.build(self.clips, read_labels(self.clips), faults=names, seed=seed, posts=posts)
        files.make_bodies(world, self.clips, self.state / "bodies", progress=progress)
        self.site = Site(
            world, self.clips, self.state, faults=names, clock=clock, hurry_per_s=hurry_per_s, latency_s=latency_s, link_ttl_s=link_ttl_s
        )
        corpus.set_depths(world, self.site.today())
        corpus.write_truth(world, self.truth, self.site.today())
        self.server = Server(("127.0.0.1", port), self.site, self.state / "server.pem")
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    @property
    def address(self) -> str:
        """host:port, as CRAWL_REPLICA wants it."""
        return f"127.0.0.1:{self.port}"

    @property
    def spki_pin(self) -> str:
        return certificate.spki_pin(self.ca)

    def start(self) -> Self:
        self.thread.start()
        return self

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.site.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], site: Site, key: Path) -> None:
        self.site = site
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(key)
        super().__init__(address, Handler)

    def finish_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:  # type: ignore[override]  # socketserver leaves the types open
        """Shakes hands in the connection's own thread, so that one slow visitor holds up nobody."""
        request.settimeout(30)
        try:
            secure = self.context.wrap_socket(request, server_side=True)
        except (OSError, ssl.SSLError):
            return
        with contextlib.suppress(OSError), secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """A visitor who hangs up is no error; anything else is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # socketserver leaves the types open


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        request = Request.parse(self.command, self.path, self.headers, self.rfile.read(length) if length else b"")
        self.send(request, answer(self.server.site, request))

    do_GET = do_HEAD = do_POST = do_OPTIONS = handle_any

    def send(self, request: Request, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(response.claimed_length if response.claimed_length is not None else len(response.body)))
        if response.breaks:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        if request.method != "HEAD":
            for piece in pieces(response):
                self.wfile.write(piece)

    def log_message(self, format: str, *arguments: object) -> None:
        """Silent: what matters is in planted.jsonl."""


def pieces(response: Response) -> Iterator[bytes]:
    """The body in parts, slowly where the fault says so, only its beginning where the connection breaks."""
    body = response.body if response.cut_at is None else response.body[: response.cut_at]
    step = response.drip_bytes or CHUNK
    for start in range(0, len(body), step):
        if response.drip_bytes:
            time.sleep(0.1)
        yield body[start : start + step]


def answer(site: Site, request: Request) -> Response:
    """The response of the platform, or the media host, that owns the request's host name."""
    if media.owns(request.host):
        return media.serve(site, request)
    for module in MODULES:
        if module.owns(request.host):
            return site.hurried(request) or module.serve(site, request)
    return Response.text(f"this replica does not know the host {request.host!r}", status=421)
