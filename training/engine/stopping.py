"""SIGTERM and Ctrl-C as a request to stop at the next step, with a checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):
    """SIGTERM or Ctrl-C came; what is needed to go on is written."""


class StopSignal:
    """Whether a signal came."""

    stop = False

    def ask(self, number: int, _: object) -> None:
        if self.stop and number == signal.SIGINT:
            raise KeyboardInterrupt  # a second Ctrl-C does not wait
        self.stop = True


@contextmanager
def stop_signal() -> Iterator[StopSignal]:
    """While entered, SIGTERM and Ctrl-C ask for a stop at the next step instead of ending the process."""
    asked = StopSignal()
    with handled(asked.ask):
        yield asked


@contextmanager
def handled(ask: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """While entered, this is called for SIGTERM and for Ctrl-C."""
    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
