"""Clips and a replica with every fault, made once; and a visitor that speaks to it as a program would."""

import http.client
import json
import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.clips import make_clips
from demo.replica.server import ReplicaServer

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


@pytest.fixture(scope="session")
def clips(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    make_clips(folder, count=12, seed=5)
    return folder


@pytest.fixture(scope="session")
def many_clips(clips, tmp_path_factory) -> Path:
    """The twelve clips under ninety names: what the replica serves matters here, not what it shows."""
    folder = tmp_path_factory.mktemp("many")
    for index in range(90):
        os.link(clips / f"clip_{index % 12:04d}.mp4", folder / f"clip_{index:04d}.mp4")
    return folder


@pytest.fixture(scope="session")
def replica(many_clips, tmp_path_factory):
    with ReplicaServer(many_clips, tmp_path_factory.mktemp("state"), seed=3, faults="all", link_ttl_s=600) as server:
        yield server


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self):
        return json.loads(self.body)

    def cookies(self) -> str:
        return "; ".join(line.split(";")[0] for line in self.headers.get_all("Set-Cookie") or [])


class Visitor:
    """GETs real addresses from the replica: TLS with the real host name, trusted by the test CA alone, no redirect followed."""

    def __init__(self, server: ReplicaServer) -> None:
        self.server = server
        self.context = ssl.create_default_context(cafile=server.ca)

    def get(self, url: str, *, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        host, path = re.fullmatch(r"https://([^/]+)(/.*)?", url).groups()
        connection = http.client.HTTPSConnection("127.0.0.1", self.server.port, timeout=60, context=self.context)
        connection._context = Named(self.context, host)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path or "/", body=body, headers={"Host": host, "User-Agent": BROWSER} | names)
            reply = connection.getresponse()
            return Answer(reply.status, reply.headers, reply.read())
        finally:
            connection.close()


@dataclass
class Named:
    """A TLS context that asks for another name than the address it connects to."""

    context: ssl.SSLContext
    host: str

    def wrap_socket(self, sock, server_hostname=None):
        return self.context.wrap_socket(sock, server_hostname=self.host)


@pytest.fixture
def visitor(replica) -> Visitor:
    return Visitor(replica)


def first(server: ReplicaServer, platform: str, **wanted: str):
    """The first post of a platform with these attributes."""
    return next(post for post in server.site.corpus.of(platform) if all(getattr(post, name) == value for name, value in wanted.items()))


def planted(server: ReplicaServer, name: str) -> list[dict]:
    lines = (server.state / "planted.jsonl").read_text(encoding="utf-8").splitlines()
    return [record for line in lines if (record := json.loads(line))["fault"] == name]
