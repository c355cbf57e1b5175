"""The ladder on rows: what a sample's votes decide, and who is asked next (Sec. III-D)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from annotation.models import LABEL, Assignment, Group, Person, Rung, Sample, TimelineEvent, Vote
from annotation.rules.voting import Ask, Decided, decide
from annotation.selectors import LIVE, loads, people_active
from annotation.services.webhooks import announce_all


@dataclass(frozen=True)
class Step:
    """What the votes say: decided, or which rung is asked and whom (None: nobody can be asked now)."""

    verdict: Decided | Ask
    person: Person | None = None


def ladder_advance(sample: Sample, *, now: datetime, votes: list[Vote] | None = None) -> list[TimelineEvent]:
    """Brings a sample to where its votes put it and returns the events, not saved yet.

    The caller holds the lock on the sample's row: two members may cast the third vote at once.
    votes: those of the label round by time, where the caller has them already, undone ones among them.
    """
    if votes is None:
        votes = list(Vote.objects.filter(sample=sample, round=LABEL).order_by("created_at", "pk"))
    step = ladder_step(sample, [vote for vote in votes if vote.undone_at is None])
    if isinstance(step.verdict, Decided):
        return _settle(sample, step.verdict, now=now)
    return _ask(sample, step)


def ladder_step(sample: Sample, votes: Iterable[Vote]) -> Step:
    """Walks the rungs with the votes there are; a leader's rung that nobody can ever fill counts as passed."""
    above = {vote.rung: vote.emotion for vote in votes if vote.rung != Rung.MEMBER}
    if Rung.EXPERT in above:  # the last word, also on a sample that was opened again
        return Step(Decided(above[Rung.EXPERT], Rung.EXPERT))
    if sample.reopened:
        return Step(Ask(Rung.EXPERT), _available(_candidates(sample, Rung.EXPERT)))
    said: list[str | None] = [vote.emotion for vote in votes if vote.rung == Rung.MEMBER]
    while True:
        verdict = decide(said)
        if isinstance(verdict, Decided) or verdict.rung == Rung.MEMBER:
            return Step(verdict)
        if verdict.rung in above:
            said.append(above[verdict.rung])
            continue
        candidates = _candidates(sample, verdict.rung)
        if candidates or verdict.rung == Rung.EXPERT:
            return Step(verdict, _available(candidates))
        said.append(None)


def _candidates(sample: Sample, rung: str) -> list[Person]:
    """Who may vote at that rung, best first: nobody who already had a turn at this sample in another place or skipped it."""
    had_a_turn = Assignment.objects.filter(sample=sample, round=LABEL)
    had_a_turn = had_a_turn.exclude(rung=rung, state__in=[*LIVE, Assignment.State.WITHDRAWN])
    people = Person.objects.filter(user__is_active=True).exclude(pk__in=had_a_turn.values("person"))
    if rung == Rung.EXPERT:
        experts = people.filter(role=Person.Role.EXPERT)
        load = loads(experts)
        return sorted(experts, key=lambda expert: (load[expert.pk], expert.pk))
    leaders = people.filter(role=Person.Role.LEADER, group__isnull=False)
    if rung == Rung.LEADER:
        return list(leaders.filter(group=sample.group_id).order_by("pk"))
    by_group: dict[int | None, list[Person]] = {}
    for leader in leaders.exclude(group=sample.group_id).order_by("pk"):
        by_group.setdefault(leader.group_id, []).append(leader)
    return [leader for group_id in rotation(sample.group_id)[1:] for leader in by_group.get(group_id, [])]


def rotation(group_id: int) -> list[int]:
    """Group ids in the order in which work is passed on: own group first, then A→B→C→A."""
    ids = list(Group.objects.order_by("letter").values_list("pk", flat=True))
    at = ids.index(group_id)
    return ids[at:] + ids[:at]


def _available(candidates: list[Person]) -> Person | None:
    """The first who is not paused; a paused leader is waited for only if there is no other at that rung."""
    return next(_at_work(candidates), None)


def above_available(sample: Sample, rung: str) -> Iterator[Person]:
    """Everyone above the members who could take that rung's turn now, in the order in which they are asked."""
    return _at_work(_candidates(sample, rung))


def _at_work(candidates: list[Person]) -> Iterator[Person]:
    allowed = set(people_active().filter(pk__in=[person.pk for person in candidates]).values_list("pk", flat=True))
    return (person for person in candidates if person.pk in allowed)


def _settle(sample: Sample, verdict: Decided, *, now: datetime) -> list[TimelineEvent]:
    if (sample.state, sample.label, sample.decided_rung) == (Sample.State.DECIDED, verdict.emotion, verdict.rung):
        return []
    sample.state, sample.label, sample.decided_rung = Sample.State.DECIDED, verdict.emotion, verdict.rung
    sample.rung, sample.decided_at = verdict.rung, now
    sample.save(update_fields=["state", "label", "decided_rung", "rung", "decided_at"])
    turns_withdraw(sample)
    announce_all("label.decided", map(label_told, [sample]))
    return [TimelineEvent(sample=sample, kind="decided", detail={"emotion": verdict.emotion, "rung": verdict.rung})]


def _ask(sample: Sample, step: Step) -> list[TimelineEvent]:
    rung = step.verdict.rung
    has_turn = rung == Rung.MEMBER or Assignment.objects.filter(sample=sample, round=LABEL, rung=rung, state__in=LIVE).exists()
    if sample.state == Sample.State.OPEN and sample.rung == rung and has_turn:
        return []
    _reset(sample, rung)
    turns_withdraw(sample, keep=rung)
    if has_turn:
        return []
    if step.person is None:
        return [TimelineEvent(sample=sample, kind="waiting", detail={"rung": rung, "for": "nobody at this rung can take it now"})]
    turn_open(sample, step.person, rung=rung)
    return [TimelineEvent(sample=sample, kind="asked", person=step.person, detail={"rung": rung})]


def label_told(sample: Sample) -> dict[str, object]:
    """A label as other systems are told of it."""
    video = sample.video
    return {
        "sample": sample.pk,
        "video": video.number,
        "platform": video.platform,
        "platform_id": video.platform_id,
        "emotion": sample.label,
        "rung": sample.decided_rung,
        "decided_at": sample.decided_at,
    }


def _reset(sample: Sample, rung: str) -> None:
    if sample.label:
        announce_all("label.reopened", map(label_told, [sample]))
    sample.state, sample.label, sample.decided_rung, sample.decided_at, sample.rung = Sample.State.OPEN, "", "", None, rung
    sample.save(update_fields=["state", "label", "decided_rung", "rung", "decided_at"])


def turn_open(sample: Sample, person: Person, *, rung: str, seat: int = 0) -> Assignment:
    """A turn for the person; one that was withdrawn earlier is taken up again, with its draft."""
    turn, created = Assignment.objects.get_or_create(
        sample=sample, person=person, round=LABEL, defaults={"rung": rung, "seat": seat, "order": sample.pk}
    )
    if not created and turn.state == Assignment.State.WITHDRAWN:
        turn.state, turn.rung, turn.seat = Assignment.State.OPEN, rung, seat
        turn.save(update_fields=["state", "rung", "seat"])
    return turn


def turns_withdraw(sample: Sample, *, keep: str = "") -> int:
    """Ends the turns that nobody needs any more, but for those at one rung; drafts stay in the rows."""
    turns = Assignment.objects.filter(sample=sample, round=LABEL, state__in=LIVE).exclude(rung=keep)
    return turns.update(state=Assignment.State.WITHDRAWN, lease_token=None, lease_expires_at=None)
