"""What a person may set about the own workbench: keys, breaks, blurring. Anything else is refused, so that no
stored setting can ever carry something the page did not expect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEFAULT_KEYS = {
    "group1": "e",
    "group2": "f",
    "group3": "n",
    "group4": "r",
    "group5": "s",
    "group6": "t",
    "play": " ",
    "back": "ArrowLeft",
    "forward": "ArrowRight",
    "frameBack": ",",
    "frameForward": ".",
    "slower": "[",
    "faster": "]",
    "mute": "m",
    "louder": "ArrowUp",
    "quieter": "ArrowDown",
    "fullScreen": "z",
    "submit": "Enter",
    "undo": "u",
    "skip": "x",
    "flag": "v",
    "filter": "/",
    "hint": "h",
    "help": "?",
}
NAMED_KEYS = frozenset(
    {"ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Enter", "Backspace", "Delete", "Home", "End", "PageUp", "PageDown"}
)
BREAK_MINUTES = 45
MOST_BREAK_MINUTES = 240


class TwoActions(ValueError):
    """One key cannot do both; the page says it in the reader's language."""

    def __init__(self, key: str, first: str, second: str) -> None:
        super().__init__(f"{key!r} is set for both {first} and {second}")
        self.key, self.first, self.second = key, first, second


class NoKey(ValueError):
    """This cannot be a key of the workbench."""

    def __init__(self, action: str, key: Any) -> None:
        known = ", ".join(sorted(NAMED_KEYS))
        super().__init__(f"{action}: {key!r} cannot be used; take a letter, a sign, or one of {known} (digits are the confidence)")
        self.action, self.key = action, key


def preferences_checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they may be stored. Raises ValueError naming what is unknown or makes no sense."""
    unknown = set(given) - set(CHECKS)
    if unknown:
        raise ValueError(f"unknown setting {', '.join(sorted(unknown))}; known: {', '.join(CHECKS)}")
    return {name: CHECKS[name](value) for name, value in given.items()}


def _keys(value: Any) -> dict[str, str]:
    """Only what differs from the defaults. Raises ValueError for two actions on one key."""
    if not isinstance(value, Mapping):
        raise ValueError("keys must be a table of action and key")
    unknown = set(value) - set(DEFAULT_KEYS)
    if unknown:
        raise ValueError(f"unknown action {', '.join(sorted(map(str, unknown)))}")
    own = {action: _key(action, key) for action, key in value.items()}
    taken: dict[str, str] = {}
    for action, key in {**DEFAULT_KEYS, **own}.items():
        if key in taken:
            raise TwoActions(key, taken[key], action)
        taken[key] = action
    return {action: key for action, key in own.items() if key != DEFAULT_KEYS[action]}


def _key(action: str, key: Any) -> str:
    if isinstance(key, str) and (key in NAMED_KEYS or (len(key) == 1 and key.isprintable() and not key.isdigit())):
        return key if key in NAMED_KEYS else key.lower()
    raise NoKey(action, key)


def _break_minutes(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_BREAK_MINUTES:
        raise ValueError(f"break_minutes must be a whole number from 0 (never) to {MOST_BREAK_MINUTES}, not {value!r}")
    return value


def _blur(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"blur must be true or false, not {value!r}")
    return value


CHECKS = {"keys": _keys, "break_minutes": _break_minutes, "blur": _blur}
