"""Why a service says no to a person, with a word that a program can act on."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied


class Conflict(Exception):
    """Something else happened first: the row is no longer in the state that the request assumed. HTTP 409."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class NotEligible(PermissionDenied):
    """This person gets no work now: paused, or not yet qualified. HTTP 403."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class BadLines(ValueError):
    """A file was refused as a whole; `lines` has one message per bad line, with file name and line number."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(f"{len(lines)} bad lines, nothing was imported: {lines[0]}")
        self.lines = lines
