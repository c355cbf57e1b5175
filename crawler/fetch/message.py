"""One signed message to an address that a manager named. It belongs to no platform, so it has a gate of its own, as narrow as theirs.

https to public addresses only, pinned from look-up to connection; no redirect is followed and hardly any of the answer is read.
WEBHOOK_INNER_HOSTS lets named receivers of the own network through.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from django.conf import settings
from urllib3.exceptions import HTTPError

from crawler.fetch import guard
from crawler.fetch.errors import Refused, Unreachable

PORTS = {"https": 443, "http": 80}
PUBLIC_PORTS = {443, 8443}
TIMEOUT_S = (5, 10)  # to connect, between two bytes
LONGEST_S = 15.0
MAX_ANSWER_BYTES = 4096
MAX_URL = 500


@dataclass(frozen=True)
class Answer:
    status: int
    reason: str


def message_check(url: str) -> None:
    """Raises Refused, saying why, unless messages may go to this address. The name's addresses are looked at when it is asked."""
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
    if _is_inner(host, port):
        return
    if parts.scheme != "https" or port not in PUBLIC_PORTS:
        raise Refused(f"{host}:{port} must be asked by https on port 443 or 8443", cause="guard")
    if host == "localhost" or (_is_literal(host) and not guard.is_public(host)):
        raise Refused(f"{host} is not a public address", cause="guard")


def message_post(url: str, *, body: bytes, headers: dict[str, str]) -> Answer:
    """Sends the message once. Any status is an answer, a redirect too. Raises Refused or Unreachable."""
    message_check(url)
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", guard.PinnedAdapter(_targets))
        session.mount("http://", guard.PinnedAdapter(_targets))
        try:
            with session.post(url, data=body, headers=headers, allow_redirects=False, stream=True, timeout=TIMEOUT_S) as response:
                _drain(response)
                return Answer(response.status_code, str(response.reason or "")[:80])
        except (requests.RequestException, HTTPError, OSError) as error:
            raise Unreachable(f"{urlsplit(url).hostname}: {str(error)[:200]}") from error


def _drain(response: requests.Response) -> None:
    """Reads a little of the answer, so that the receiver is not cut off in the middle of a short one."""
    until, count = time.monotonic() + LONGEST_S, 0
    while count < MAX_ANSWER_BYTES and time.monotonic() < until:
        chunk = response.raw.read1(MAX_ANSWER_BYTES - count)
        if not chunk:
            return
        count += len(chunk)


def _is_inner(host: str, port: int) -> bool:
    return f"{host}:{port}" in settings.WEBHOOK_INNER_HOSTS


def _is_literal(host: str) -> bool:
    """Whether the host is written as an address, also in the odd ways that the system's resolver takes (127.1, 0x7f000001)."""
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except OSError:
        return False
    return True


def _targets(host: str, port: int) -> list[tuple[str, int]]:
    if _is_inner(host, port):
        return list(dict.fromkeys((str(info[4][0]), port) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    return guard.public_addresses(host, port)
