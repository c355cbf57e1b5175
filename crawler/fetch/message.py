"""One signed message to an address that a manager named. It belongs to no platform, so it passes the gate for named addresses.

No redirect is followed and hardly any of the answer is read. WEBHOOK_INNER_HOSTS lets named receivers of the own network through.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from django.conf import settings
from urllib3.exceptions import HTTPError

from crawler.fetch import named
from crawler.fetch.errors import Unreachable

TIMEOUT_S = (5, 10)  # to connect, between two bytes
LONGEST_S = 15.0
MAX_ANSWER_BYTES = 4096


@dataclass(frozen=True)
class Answer:
    status: int
    reason: str


def message_check(url: str) -> None:
    """Raises Refused, saying why, unless messages may go to this address. The name's addresses are looked at when it is asked."""
    named.check(url, settings.WEBHOOK_INNER_HOSTS)


def message_post(url: str, *, body: bytes, headers: dict[str, str]) -> Answer:
    """Sends the message once. Any status is an answer, a redirect too. Raises Refused or Unreachable."""
    message_check(url)
    with named.named_session(settings.WEBHOOK_INNER_HOSTS) as session:
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
