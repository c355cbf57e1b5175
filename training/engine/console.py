"""What the engine's commands share: they end with one line on stderr and a status, never a traceback, and know the recipes by name."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import wraps
from typing import Any

from training.engine.recipes import RECIPES

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
                said, status = _line(error), 1
            print("; ".join(filter(None, (said, again))), file=sys.stderr)
            return status

        return told

    return decorate


def _line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).splitlines())


def recipe_name(text: str) -> str:
    """The text, if a recipe is called so; for an argument --recipe."""
    if text not in RECIPES:
        near = get_close_matches(text, RECIPES, n=3)
        raise ArgumentTypeError(f"there is no recipe {text!r}" + (f"; is it {' or '.join(near)}?" if near else "; --help lists them"))
    return text


RECIPE: dict[str, Any] = {"type": recipe_name, "metavar": "NAME", "help": f"one of {', '.join(sorted(RECIPES))}"}  # of add_argument
