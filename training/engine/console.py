"""How a command of the engine ends: what it refuses, and Ctrl-C, are one line on stderr and an exit status, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps

INTERRUPTED = 130  # as a shell reports it
Main = Callable[..., int]


def tells_in_one_line(again: str = "", *also: type[Exception]) -> Callable[[Main], Main]:
    """For a main(): ValueError, OSError and what else is named end it with 1, Ctrl-C with 130; again: what becomes of the work done so far."""

    refusals: tuple[type[Exception], ...] = (ValueError, OSError, *also)

    def decorate(main: Main) -> Main:
        @wraps(main)
        def told(arguments: Sequence[str] | None = None) -> int:
            try:
                return main(arguments)
            except KeyboardInterrupt:
                said, status = "stopped by Ctrl-C", INTERRUPTED
            except refusals as error:
                said, status = " ".join(str(error).splitlines()), 1
            print("; ".join(filter(None, (said, again))), file=sys.stderr)
            return status

        return told

    return decorate
