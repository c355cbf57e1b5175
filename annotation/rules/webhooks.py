"""What is announced to other systems, how an announcement is signed, and when it is tried again."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta

EVENTS = ("label.decided", "label.reopened", "release.made", "report.made")
TEST_EVENT = "test"  # sent by a button, whatever the receiver has asked for
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=6)
ATTEMPTS = 14  # spread over about a day and a half


def signature(secret: str, timestamp: int, body: str) -> str:
    """`sha256=…`: HMAC-SHA256 of "timestamp.body" in hexadecimal. The time is signed too, so that an old message cannot be replayed."""
    return "sha256=" + hmac.new(secret.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256).hexdigest()


def wait_after(attempts: int) -> timedelta | None:
    """How long to wait after so many vain attempts: 30 s, doubled each time up to 6 h; None when it is time to give up."""
    if attempts >= ATTEMPTS:
        return None
    return min(FIRST_WAIT * 2 ** (attempts - 1), LONGEST_WAIT)
