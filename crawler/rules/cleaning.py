"""Whether a clip is kept: one small check per accident, each a pure function of what was measured; verdict() reads them in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from crawler.rules import duplicates

SHORTEST_S, LONGEST_S = 2.46, 163.77  # Tab. II
MISSING_FRAMES = 0.02  # of the announced ones; edit lists and a cut first group hide a few
MISSING_S = 0.35
STATED_S, STATED_SHARE = 1.5, 0.1  # pages round to whole seconds, and some count a cover or a fade
BLACK, FROZEN = 0.8, 0.98  # share of the clip


@dataclass(frozen=True)
class Facts:
    """What was measured about one file (media.Examination gives most of it)."""

    problem: str = ""
    strict_problem: str = ""
    frames: int = 0
    declared_frames: int = 0
    declared_s: float = 0.0
    reached_s: float = 0.0
    audio_s: float = 0.0
    has_audio: bool = True
    silent: bool = False
    black_ratio: float = 0.0
    frozen_ratio: float = 0.0
    shortest_s: float = SHORTEST_S
    longest_s: float = LONGEST_S
    stated_s: float = 0.0  # by the post's page; 0: it does not say
    taken_down: str = ""  # why this content must not come back; empty: it may
    flags: tuple[str, ...] = ()  # what the detectors want a person to look at


@dataclass(frozen=True)
class Keep:
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drop:
    reason: str  # "cause: detail"; the cause is for counting
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Review:
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)


Verdict = Keep | Drop | Review
Check = Callable[[Facts], Drop | Review | None]


def corrupt(facts: Facts) -> Drop | None:
    """Dropped when FFmpeg at its strictest or PyAV complains, or pictures announced are missing."""
    problem = facts.problem or facts.strict_problem or shortfall(facts)
    return Drop(f"corrupt: {problem}"[:200], {"problem": problem}) if problem else None


def shortfall(facts: Facts) -> str:
    """What the container promises and the decoder does not find, "" when nothing."""
    if facts.declared_frames and facts.frames < facts.declared_frames * (1 - MISSING_FRAMES) - 2:
        return f"{facts.frames} of {facts.declared_frames} frames decode"
    reached = max(facts.reached_s, facts.audio_s)
    if facts.declared_s and facts.declared_s - reached > max(MISSING_S, 0.05 * facts.declared_s):
        return f"{reached:.2f} of {facts.declared_s:.2f} s decode"
    return ""


def length(facts: Facts) -> Drop | None:
    if facts.reached_s < facts.shortest_s:
        return Drop(f"too-short: {facts.reached_s:.2f} s, at least {facts.shortest_s:g}", {"duration_s": facts.reached_s})
    if facts.reached_s > facts.longest_s:
        return Drop(f"too-long: {facts.reached_s:.2f} s, at most {facts.longest_s:g}", {"duration_s": facts.reached_s})
    return None


def stated(facts: Facts) -> Review | None:
    """A clip much shorter or longer than its page says was cut or replaced on the way."""
    if not facts.stated_s or abs(facts.reached_s - facts.stated_s) <= max(STATED_S, STATED_SHARE * facts.stated_s):
        return None
    evidence = {"stated_s": facts.stated_s, "duration_s": round(facts.reached_s, 3)}
    return Review(f"length?: {facts.reached_s:.2f} s, where the page says {facts.stated_s:g}", evidence)


def taken_down(facts: Facts) -> Drop | None:
    return Drop(f"taken-down: {facts.taken_down}"[:200]) if facts.taken_down else None


def flagged(facts: Facts) -> Review | None:
    return Review(f"flagged: {', '.join(facts.flags)}"[:200], {"flags": list(facts.flags)}) if facts.flags else None


CHECKS: dict[str, tuple[int, Check]] = {  # name -> (version, function), in this order
    "taken-down": (1, taken_down),
    "corrupt": (1, corrupt),
    "length": (1, length),
    "stated-length": (1, stated),
    "flagged": (1, flagged),
}


def tags(facts: Facts) -> tuple[str, ...]:
    """Facts that drop nothing but matter later."""
    found = {
        "no_audio": not facts.has_audio,
        "silent": facts.has_audio and facts.silent,
        "black": facts.black_ratio >= BLACK,
        "frozen": facts.frozen_ratio >= FROZEN,
    }
    return tuple(name for name, present in found.items() if present)


def verdict(facts: Facts, seen: list[duplicates.Likeness] | None = None) -> Verdict:
    """Keep, Drop(reason) or Review(reason). seen: how stored clips resemble this one. A drop outweighs every review."""
    review: Review | None = None
    for _, check in CHECKS.values():
        found = check(facts)
        if isinstance(found, Drop):
            return found
        review = review or found
    same = duplicate(seen or [])
    if isinstance(same, Drop):
        return same
    return review or same or Keep(tags(facts))


def duplicate(seen: list[duplicates.Likeness]) -> Drop | Review | None:
    found = duplicates.decide(seen)
    if found is None:
        return None
    evidence = {"other": found.other, "how": found.how, **found.evidence}
    if isinstance(found, duplicates.Same):
        return Drop(f"duplicate: of {found.other} ({found.how})", evidence)
    return Review(f"duplicate?: {found.other} ({found.how})", evidence)
