"""Whether a labelling test was passed, and what may be told about it (Sec. III-B)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

PASS_MARK = 90.0  # "scoring 90 or above in accuracy"
LEAST_QUALITY_ITEMS = 6  # gold clips without which the annotation quality test cannot be held
MAX_HINTS = 3
PAUSE_REASON = re.compile(r"(?P<right>\d+) of the last (?P<seen>\d+) gold items right, less than (?P<least>[\d.]+) %")
LEAST_CASES = 3  # a pattern seen less often would give the item away


@dataclass(frozen=True)
class Result:
    score: float
    passed: bool
    hints: tuple[tuple[str, str], ...]  # (what it was, what was answered), most frequent first


def score(answers: Sequence[str], accepted: Sequence[Collection[str]]) -> Result:
    """Accuracy in percent over all items, and the confusions that may be told: at most 3, each from at least 3 cases.

    accepted: per item the emotions that count as right, the first being the one named in a hint.
    Raises ValueError if the lengths differ or there is no item.
    """
    if len(answers) != len(accepted) or not answers:
        raise ValueError(f"{len(answers)} answers for {len(accepted)} items")
    right = sum(answer in keys for answer, keys in zip(answers, accepted, strict=True))
    percent = 100.0 * right / len(answers)
    return Result(percent, percent >= PASS_MARK, _hints(answers, accepted))


def _hints(answers: Sequence[str], accepted: Sequence[Collection[str]]) -> tuple[tuple[str, str], ...]:
    wrong = Counter((next(iter(keys)), answer) for answer, keys in zip(answers, accepted, strict=True) if answer not in keys)
    often = [(pair, count) for pair, count in wrong.items() if count >= LEAST_CASES]
    often.sort(key=lambda entry: (-entry[1], entry[0]))
    return tuple(pair for pair, _ in often[:MAX_HINTS])


def must_pause(right: int, seen: int, *, least_seen: int, pause_below: float) -> bool:
    """Whether hidden gold items show that a person should stop: enough were seen, and too few were right."""
    return seen >= least_seen and 100.0 * right < pause_below * seen


def pause_reason(right: int, seen: int, *, pause_below: float) -> str:
    """Why, as it is kept; PAUSE_REASON reads the numbers back, so that a page can say it in any language."""
    return f"{right} of the last {seen} gold items right, less than {pause_below:g} %"
