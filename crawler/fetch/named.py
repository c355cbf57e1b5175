"""The gate for addresses that people name, not platforms: receivers of messages, the house's sign-in server. As narrow as the other.

https to public addresses only, pinned from look-up to connection. Hosts of the own network (host:port), which may also speak http,
pass only where a setting names them.
"""

from __future__ import annotations

import socket
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

import requests

from crawler.fetch import guard
from crawler.fetch.errors import Refused

PORTS = {"https": 443, "http": 80}
PUBLIC_PORTS = {443, 8443}
TIMEOUT_S = (5, 10)  # to connect, between two bytes
MAX_URL = 500


def check(url: str, inner: Collection[str]) -> None:
    """Raises Refused, saying why, unless this address may be asked. `inner`: what may be of the own network, as host:port."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise Refused(f"{url[:200]!r} is no address: {error}", cause="guard") from error
    if parts.scheme not in PORTS or not host:
        raise Refused(f"{url[:200]!r} is no https:// address", cause="guard")
    if len(url) > MAX_URL or parts.username is not None or parts.fragment:
        raise Refused(f"{url[:200]!r} is longer than {MAX_URL} characters, or carries a user name or a fragment", cause="guard")
    port = port or PORTS[parts.scheme]
    if f"{host}:{port}" in inner:
        return
    if parts.scheme != "https" or port not in PUBLIC_PORTS:
        raise Refused(f"{host}:{port} must be asked by https on port 443 or 8443", cause="guard")
    if host == "localhost" or (_is_literal(host) and not guard.is_public(host)):
        raise Refused(f"{host} is not a public address", cause="guard")


def named_session(inner: Collection[str]) -> requests.Session:
    """A session each of whose requests, redirects too, passes this gate; the surroundings' proxies and passwords are not used."""
    session = _Session()
    session.trust_env = False
    session.mount("https://", _NamedAdapter(inner))
    session.mount("http://", _NamedAdapter(inner))
    return session


class _Session(requests.Session):
    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = kwargs.get("timeout") or TIMEOUT_S
        return super().request(*args, **kwargs)


class _NamedAdapter(guard.PinnedAdapter):
    def __init__(self, inner: Collection[str]) -> None:
        self.inner = inner
        super().__init__(self._targets)

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        check(request.url, self.inner)
        return super().send(request, *args, **kwargs)

    def _targets(self, host: str, port: int) -> list[tuple[str, int]]:
        if f"{host}:{port}" in self.inner:
            return list(dict.fromkeys((str(info[4][0]), port) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        return guard.public_addresses(host, port)


def _is_literal(host: str) -> bool:
    """Whether the host is written as an address, also in the odd ways that the system's resolver takes (127.1, 0x7f000001)."""
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except OSError:
        return False
    return True
