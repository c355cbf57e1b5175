"""The one gate of every outbound request: which schemes and hosts, which addresses, pinned from look-up to connection.

The look-up and the connection are one event (PinnedAdapter), so an answer that changes in between
(DNS rebinding) reaches nothing. Redirects come back here, each like a new request.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError, NewConnectionError
from urllib3.util import connection as sockets

from crawler.fetch.errors import Refused
from crawler.platforms import PLATFORMS

PORTS = {"https": 443, "http": 80}
MAX_URL = 8000


def check(url: str) -> str:
    """The host of an address that may be asked; raises Refused for any other, naming what is wrong with it."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise Refused(f"{url[:200]!r} is no address: {error}", cause="guard") from error
    schemes = {"https"} if settings.CRAWL_REPLICA else set(PORTS)
    if parts.scheme not in schemes:
        raise Refused(f"{parts.scheme or 'no'}:// is not asked for ({url[:200]!r}); only {', '.join(sorted(schemes))}", cause="guard")
    if len(url) > MAX_URL or parts.username is not None or port not in (None, PORTS[parts.scheme]):
        raise Refused(f"{url[:200]!r} is too long, or carries a user name or an unusual port", cause="guard")
    if not any(adapter.allows(host) for adapter in PLATFORMS.values()):
        raise Refused(f"{host or url[:200]!r} belongs to no platform", cause="guard")
    return host


def addresses(host: str, port: int) -> list[tuple[str, int]]:
    """Where to connect for this host: its public addresses, or the replica. Raises Refused when any answer is not public."""
    if settings.CRAWL_REPLICA:
        replica, _, replica_port = settings.CRAWL_REPLICA.rpartition(":")
        return [(replica.strip("[]"), int(replica_port))]
    return public_addresses(host, port)


def public_addresses(host: str, port: int) -> list[tuple[str, int]]:
    """All addresses of the host; raises Refused when there are none or any of them is not public."""
    answers = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    inner = [answer for answer in answers if not is_public(answer)]
    if inner or not answers:
        raise Refused(f"{host} resolves to {', '.join(inner) or 'nothing'}, which is not a public address", cause="guard")
    return [(answer, port) for answer in dict.fromkeys(answers)]


def is_public(address: str) -> bool:
    """Whether an address lies on the open Internet, also when IPv4 is wrapped into IPv6 (mapped, 6to4, Teredo, NAT64)."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            wrapped.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        if any(inner is not None and not inner.is_global for inner in wrapped):
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


class _Pinned:
    """Connects to an address that `targets` gave, and to no other; the name stays for TLS and the Host header."""

    targets: Callable[[str, int], list[tuple[str, int]]]

    def _new_conn(self) -> socket.socket:
        host, port = self._dns_host, self.port or self.default_port  # type: ignore[attr-defined]  # of the connection that it is mixed into
        try:
            targets = self.targets(host, port)
        except socket.gaierror as error:
            raise NameResolutionError(host, self, error) from error  # type: ignore[arg-type]  # the connection that it is mixed into
        problem: OSError | None = None
        for target in targets:
            try:
                return sockets.create_connection(target, self.timeout, socket_options=self.socket_options)  # type: ignore[attr-defined]  # of the connection that it is mixed into
            except OSError as error:
                problem = error
        raise NewConnectionError(self, f"no address of {host} answers: {problem}")  # type: ignore[arg-type]  # the connection that it is mixed into


class PinnedAdapter(HTTPAdapter):
    """requests' transport, whose connections go only to what targets(host, port) gives: looked up and connected to in one step."""

    def __init__(self, targets: Callable[[str, int], list[tuple[str, int]]]) -> None:
        pinned = type("Pinned", (_Pinned,), {"targets": staticmethod(targets)})
        self.pools = {
            scheme: type("PinnedPool", (pool,), {"ConnectionCls": type("PinnedConnection", (pinned, connection), {})})
            for scheme, pool, connection in (
                ("http", HTTPConnectionPool, HTTPConnection),
                ("https", HTTPSConnectionPool, HTTPSConnection),
            )
        }
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self.pools


class GuardedAdapter(PinnedAdapter):
    """For the platforms' pages and clips. Through CRAWL_PROXY the proxy resolves; we check beforehand."""

    def __init__(self) -> None:
        super().__init__(addresses)

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        host = check(request.url)
        if kwargs.get("proxies"):
            try:
                addresses(host, PORTS[urlsplit(request.url).scheme])
            except socket.gaierror as error:
                raise Refused(f"{host} does not resolve", cause="guard") from error
        return super().send(request, *args, **kwargs)
