"""What can go wrong on the way to a page or a file. Unreachable is worth another try; the others are final for now."""

from __future__ import annotations


class FetchError(Exception):
    """cause: one word for counting; the message carries the value and the remedy."""

    cause = "fetch"

    def __init__(self, message: str, *, cause: str = "") -> None:
        super().__init__(message)
        self.cause = cause or self.cause


class Unreachable(FetchError):
    """No answer, a hurried-away answer (429), a server's fault: try again later."""

    cause = "unreachable"


class Gone(FetchError):
    """404 or 410: it is not there and will not be."""

    cause = "gone"


class Refused(FetchError):
    """We may not or must not ask: robots.txt, a wall, a budget, an address outside the platform."""

    cause = "blocked"


class Expired(FetchError):
    """The file's address is no longer good; a fresh one comes from its page."""

    cause = "expired"
