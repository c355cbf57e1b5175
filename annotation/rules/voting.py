"""The ladder of Sec. III-D as one pure function: members, own leader, exchanged leader, expert."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

MEMBERS = 3  # votes of the first rung
LADDER = ("member", "leader", "exchange", "expert")  # whose vote is asked for, in this order
LONGEST = MEMBERS + len(LADDER) - 1


@dataclass(frozen=True)
class Decided:
    emotion: str
    rung: str


@dataclass(frozen=True)
class Ask:
    rung: str


def decide(votes: Sequence[str | None]) -> Decided | Ask:
    """The label that these votes give, or whose vote is needed next.

    votes: emotions in the order of the ladder: three members, own leader, another group's leader, expert. None stands
    for a leader that does not exist, so that the next rung is asked. Votes past the deciding one are not looked at.
    Raises ValueError for more than six votes, or for None where a person must vote.
    """
    votes = list(votes)
    if len(votes) > LONGEST:
        raise ValueError(f"{len(votes)} votes, but the ladder ends at {LONGEST}")
    if None in votes[:MEMBERS] or (len(votes) == LONGEST and votes[-1] is None):
        raise ValueError("a member's or the expert's vote cannot be left out")
    if len(votes) < MEMBERS:
        return Ask("member")
    emotion, count = Counter(votes[:MEMBERS]).most_common(1)[0]
    if count >= 2 and emotion is not None:
        return Decided(emotion, "member")
    return _above_members(votes)


def _above_members(votes: Sequence[str | None]) -> Decided | Ask:
    for place, rung in enumerate(LADDER[1:], start=MEMBERS):
        if len(votes) == place:
            return Ask(rung)
        vote = votes[place]
        if vote is not None and (vote in votes[:place] or rung == "expert"):
            return Decided(vote, rung)
    raise AssertionError("the expert's vote always decides")
