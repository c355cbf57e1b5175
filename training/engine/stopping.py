"""SIGTERM as a request to stop at the next step, with a checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(Exception):
    """SIGTERM came; what is needed to go on is written."""


class StopSignal:
    """Whether SIGTERM came."""

    stop = False

    def ask(self, *_: object) -> None:
        self.stop = True


@contextmanager
def stop_signal() -> Iterator[StopSignal]:
    """While entered, SIGTERM asks for a stop at the next step instead of ending the process."""
    asked = StopSignal()
    before = signal.signal(signal.SIGTERM, asked.ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)
