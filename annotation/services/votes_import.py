"""votes.csv into the database. Imported votes climb the same ladder as those cast on the site; all lines or none are taken."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from django.db import transaction
from django.utils import timezone

from annotation.models import LABEL, Assignment, Group, Person, Rung, Sample, TimelineEvent, Vote
from annotation.rules.voting import LADDER, MEMBERS, Ask, Decided, decide
from annotation.services.ladder import label_told
from annotation.services.refusals import BadLines
from annotation.services.turns import sample_repair
from annotation.services.votes_file import Line, canonical, number_of, votes_parse, votes_read
from annotation.services.webhooks import announce_all
from crawler.models import Counter, Video
from crawler.services.numbering import RELEASED_NUMBERS

NAMESPACE = uuid.UUID("6f2b9c1e-5d0b-4b57-9c2e-3a1f2e0c7d41")  # an imported vote's client_id follows from what it says
BATCH = 2000
REPAIR_AT_ONCE = 1000  # samples left open get their people now; beyond that the clock sees to it


@dataclass
class Ladder:
    """The votes of one video, those already here and those of the file, on their way up."""

    video: str
    said: list[str | None] = field(default_factory=list)
    people: set[str] = field(default_factory=set)
    verdict: Decided | Ask = field(default_factory=lambda: Ask("member"))
    unfilled: frozenset[str] = frozenset()  # rungs that nobody could ever have filled for this video's group
    settled: bool = False  # the label stands on this site: a file does not open it again
    reopened: bool = False  # the expert's vote came on top of a decision: the label had been opened again

    def add(self, rung: str, emotion: str, annotator: str) -> str | None:
        """Takes the next vote; returns what is wrong with it, if anything."""
        if annotator in self.people:
            return f"{annotator} has already voted on video {self.video}"
        if isinstance(self.verdict, Decided):
            if rung != Rung.EXPERT or self.verdict.rung == Rung.EXPERT or self.settled:
                return f"video {self.video} was already decided at rung {self.verdict.rung}"
            self.people.add(annotator)
            self.verdict, self.reopened = Decided(emotion, rung), True
            return None
        if rung != self.verdict.rung and not self._skips_to(rung):
            return f"video {self.video} waits for a {self.verdict.rung}'s vote, not for a {rung}'s"
        self.people.add(annotator)
        self.said.append(emotion)
        self.verdict = decide(self.said)
        return None

    def _skips_to(self, rung: str) -> bool:
        """Passes the rungs that nobody could fill, as the site does for a group without a leader."""
        passed = LADDER[LADDER.index(self.verdict.rung) : LADDER.index(rung)]
        if not passed or not set(passed) <= self.unfilled:
            return False
        self.said += [None] * len(passed)
        return True


@dataclass(frozen=True)
class Imported:
    votes: int
    unchanged: int
    samples: int
    videos: int
    decided: int


def votes_import(source: str | Path | TextIO) -> Imported:
    """Takes a votes.csv in, runs each video's votes through the ladder and stores votes, labels and history.

    A line that is here already is left alone, also one taken back since, so that the same file can be imported twice. An expert's vote
    on top of a decision means that the label had been opened again, where the site has none that stands. Raises BadLines with one
    message per bad line; then nothing was stored.
    """
    name, text = votes_read(source)
    lines, errors = votes_parse(name, text)
    with transaction.atomic():
        return _Import(name, lines, errors).run()


class _Import:
    """One file on its way into the database, inside one transaction."""

    def __init__(self, name: str, lines: Sequence[Line], errors: list[str]) -> None:
        self.name, self.errors = name, errors
        self.people = {person.user.username: person for person in Person.objects.select_related("user")}
        self.led = {person.group_id for person in self.people.values() if person.role == Person.Role.LEADER and person.group_id}
        self.by_video: dict[str, list[Line]] = defaultdict(list)
        for line in lines:
            self.by_video[canonical(line.video)].append(line)
        self.videos = self._known_videos()
        self.new_videos = 0

    def run(self) -> Imported:
        list(Group.objects.select_for_update(no_key=True).order_by("letter"))  # no distribution makes the same samples meanwhile
        for lines in self.by_video.values():
            self._check_people(lines)
            self._check_video(lines)
        self._raise()
        self._make_videos()
        samples = self._samples()
        before = self._votes_before(samples)
        fresh: list[tuple[Sample, Ladder, list[Line]]] = []
        unchanged = 0
        for key, lines in self.by_video.items():
            sample = samples[self.videos[key].pk]
            ladder, new = self._climb(sample, before.get(sample.pk, []), lines)
            unchanged += len(lines) - len(new)
            if new:
                fresh.append((sample, ladder, new))
        self._raise()
        self._store(fresh)
        self._announce([sample for sample, ladder, _ in fresh if isinstance(ladder.verdict, Decided)])
        for sample in [sample for sample, ladder, _ in fresh if isinstance(ladder.verdict, Ask)][:REPAIR_AT_ONCE]:
            sample_repair(sample.pk, now=timezone.now())
        decided = sum(isinstance(ladder.verdict, Decided) for _, ladder, _ in fresh)
        return Imported(sum(len(new) for _, _, new in fresh), unchanged, len(fresh), self.new_videos, decided)

    def _raise(self) -> None:
        if self.errors:
            raise BadLines(sorted(self.errors, key=lambda error: int(error.removeprefix(f"{self.name}:").split(":")[0])))

    def _wrong(self, line: Line, problem: str) -> None:
        self.errors.append(f"{self.name}:{line.number}: {problem}")

    def _check_people(self, lines: Iterable[Line]) -> None:
        for line in lines:
            if line.annotator not in self.people:
                self._wrong(line, f"annotator {line.annotator!r} is unknown; import people.csv first")

    def _known_videos(self) -> dict[str, Video]:
        """The file's names for videos → rows: a number, a clip's name (00000012.mp4), or the platform's own id."""
        names = list(self.by_video)
        numbers = {name: number for name in names if (number := number_of(name)) is not None}
        by_number = {video.number: video for video in _chunked(Video.objects.all(), "number", list(numbers.values()))}
        by_id: dict[str, list[Video]] = defaultdict(list)
        written = {line.video: name for name, lines in self.by_video.items() for line in lines}
        for video in _chunked(Video.objects.all(), "platform_id", [*names, *written]):
            by_id[written.get(video.platform_id, video.platform_id)].append(video)
        found = {name: by_number[number] for name, number in numbers.items() if number in by_number}
        for name, videos in by_id.items():
            if name not in found:
                found[name] = videos[0]
                if len(videos) > 1:
                    self._wrong(self.by_video[name][0], f"video {name!r} is on several platforms; name it by its number")
        return found

    def _check_video(self, lines: Sequence[Line]) -> None:
        video = self.videos.get(canonical(lines[0].video))
        if video is not None:
            if video.state != Video.State.ACCEPTED:
                self._wrong(lines[0], f"video {lines[0].video!r} is {video.state}, not accepted: it cannot be labelled")
            return
        if not any(line.platform for line in lines):
            self._wrong(
                lines[0], f"video {lines[0].video!r} is unknown; add the column platform (and duration_s, frames, title) to make it"
            )

    def _make_videos(self) -> None:
        missing = [name for name in self.by_video if name not in self.videos]
        if not missing:
            return
        Counter.objects.get_or_create(name=RELEASED_NUMBERS)
        counter = Counter.objects.select_for_update().get(name=RELEASED_NUMBERS)  # numbers are given out under this lock
        taken = {number for number in Video.objects.values_list("number", flat=True) if number}
        wanted = {name: number for name in missing if (number := number_of(name)) and number not in taken}
        start = max([counter.last, *taken, *wanted.values()])
        made = []
        for name in missing:
            if name not in wanted:
                start += 1
            made.append(self._new_video(name, wanted.get(name, start)))
        self.videos |= {video.platform_id: video for video in Video.objects.bulk_create(made, batch_size=BATCH)}
        self.new_videos = len(made)
        counter.last = start
        counter.save()

    def _new_video(self, name: str, number: int) -> Video:
        facts: dict[str, Any] = {}
        for line in self.by_video[name]:
            for key in ("platform", "duration_s", "frames", "title"):
                if getattr(line, key):
                    facts.setdefault(key, getattr(line, key))
        now = timezone.now()
        return Video(
            platform_id=name, number=number, url="", state=Video.State.ACCEPTED, accepted_at=now, reason="imported: votes.csv", **facts
        )

    def _samples(self) -> dict[int, Sample]:
        """Video id → sample, locked; where missing a new one, not saved yet, in the group of most members who voted."""
        ids = [self.videos[name].pk for name in self.by_video]
        samples = {sample.video_id: sample for sample in _chunked(Sample.objects.select_for_update(no_key=True), "video_id", ids)}
        for name, lines in self.by_video.items():
            if self.videos[name].pk in samples:
                continue
            if not any(line.rung == Rung.MEMBER for line in lines):
                self._wrong(lines[0], f"video {name!r} waits for a member's vote, not for a {lines[0].rung}'s")
                continue
            group_id = self._group(lines)
            if group_id is None:
                self._wrong(lines[0], f"none of the members who voted on video {name!r} is in a group; assign groups first")
                continue
            samples[self.videos[name].pk] = Sample(video=self.videos[name], group_id=group_id)
        self._raise()
        return samples

    def _group(self, lines: Iterable[Line]) -> int | None:
        members = [self.people[line.annotator].group_id for line in lines if line.rung == Rung.MEMBER]
        known = [group_id for group_id in members if group_id]
        return max(sorted(set(known)), key=known.count) if known else None

    def _votes_before(self, samples: dict[int, Sample]) -> dict[int, list[Vote]]:
        """Sample id → its votes, those taken back among them."""
        votes: dict[int, list[Vote]] = defaultdict(list)
        rows = Vote.objects.filter(round=LABEL).select_related("person__user")
        for vote in _chunked(rows, "sample_id", [sample.pk for sample in samples.values() if sample.pk]):
            votes[vote.sample_id].append(vote)
        return votes

    def _climb(self, sample: Sample, before: list[Vote], lines: list[Line]) -> tuple[Ladder, list[Line]]:
        """The ladder with the votes already here, then the file's, by rung and time; and the lines that are new."""
        ladder = Ladder(lines[0].video, unfilled=self._unfilled(sample.group_id))
        standing = [vote for vote in before if vote.undone_at is None]
        for vote in sorted(standing, key=lambda vote: (LADDER.index(vote.rung), vote.created_at, vote.pk)):
            ladder.add(vote.rung, vote.emotion, vote.person.user.username)
        ladder.settled = sample.state == Sample.State.DECIDED
        here = {(vote.person.user.username, vote.rung, vote.emotion, vote.created_at) for vote in before}
        new = [line for line in lines if (line.annotator, line.rung, line.emotion, line.created_at) not in here]
        if new and sample.state == Sample.State.EXCLUDED:
            self._wrong(new[0], f"video {new[0].video!r} was flagged out of labelling")
            return ladder, []
        for line in sorted(new, key=lambda line: (LADDER.index(line.rung), line.created_at, line.number)):
            if problem := ladder.add(line.rung, line.emotion, line.annotator):
                self._wrong(line, problem)
        return ladder, new

    def _unfilled(self, group_id: int) -> frozenset[str]:
        own, others = group_id in self.led, bool(self.led - {group_id})
        return frozenset(rung for rung, filled in ((Rung.LEADER.value, own), (Rung.EXCHANGE.value, others)) if not filled)

    def _store(self, fresh: Sequence[tuple[Sample, Ladder, list[Line]]]) -> None:
        for sample, ladder, lines in fresh:
            if isinstance(ladder.verdict, Decided):
                _decide(sample, ladder.verdict, max(line.created_at for line in lines))
            else:
                sample.rung = ladder.verdict.rung
            if ladder.reopened and not sample.reopened:
                sample.reopened = 1
        samples = [sample for sample, _, _ in fresh]
        decided_fields = ["state", "label", "decided_rung", "rung", "decided_at", "reopened"]
        Sample.objects.bulk_update([sample for sample in samples if sample.pk], decided_fields, batch_size=200)
        Sample.objects.bulk_create([sample for sample in samples if not sample.pk], batch_size=BATCH)
        turns = self._turns(fresh)
        votes, events = [], []
        for sample, ladder, lines in fresh:
            for line in lines:
                person = self.people[line.annotator]
                votes.append(_vote(sample, person, line, turns[sample.pk, person.pk]))
                detail = {"rung": line.rung, "emotion": line.emotion, "adjective": line.adjective, "imported": self.name}
                events.append(TimelineEvent(sample=sample, kind="voted", person=person, detail=detail))
            if isinstance(ladder.verdict, Decided):
                events.append(
                    TimelineEvent(sample=sample, kind="decided", detail={"emotion": ladder.verdict.emotion, "rung": ladder.verdict.rung})
                )
        Vote.objects.bulk_create(votes, batch_size=BATCH)
        TimelineEvent.objects.bulk_create(events, batch_size=BATCH)
        self._withdraw([sample.pk for sample in samples if sample.state == Sample.State.DECIDED])

    def _announce(self, samples: Sequence[Sample]) -> None:
        videos = {video.pk: video for video in self.videos.values()}
        for sample in samples:
            sample.video = videos[sample.video_id]
        announce_all("label.decided", map(label_told, samples))

    def _turns(self, fresh: Sequence[tuple[Sample, Ladder, list[Line]]]) -> dict[tuple[int, int], Assignment]:
        """(sample, person) → a submitted turn: the one that waited, or a new one in a free seat."""
        ids = [sample.pk for sample, _, _ in fresh]
        turns: dict[int, list[Assignment]] = defaultdict(list)
        for turn in _chunked(Assignment.objects.filter(round=LABEL), "sample_id", ids):
            turns[turn.sample_id].append(turn)
        found: dict[tuple[int, int], Assignment] = {}
        changed: list[Assignment] = []
        made: list[Assignment] = []
        for sample, _, lines in fresh:
            mine = {turn.person_id: turn for turn in turns[sample.pk]}
            voters = {self.people[line.annotator].pk for line in lines}
            done = {turn.seat for turn in mine.values() if turn.rung == Rung.MEMBER and turn.state == Assignment.State.SUBMITTED}
            seats = iter(sorted(set(range(MEMBERS)) - done))
            for turn in mine.values():
                if turn.person_id not in voters and turn.state in (Assignment.State.OPEN, Assignment.State.LEASED):
                    turn.state = Assignment.State.WITHDRAWN  # its seat may be needed; repair fills what is left over
                    changed.append(turn)
            for line in lines:
                person = self.people[line.annotator]
                turn = mine.get(person.pk) or Assignment(sample=sample, person=person, round=LABEL, order=sample.pk)
                turn.state, turn.rung, turn.seat = Assignment.State.SUBMITTED, line.rung, next(seats) if line.rung == Rung.MEMBER else 0
                (changed if turn.pk else made).append(turn)
                found[sample.pk, person.pk] = turn
        # First everything off the seats, then onto them: the seat constraint holds at every statement.
        Assignment.objects.filter(pk__in=[turn.pk for turn in changed]).update(
            state=Assignment.State.WITHDRAWN, lease_token=None, lease_expires_at=None
        )
        for start in range(0, len(changed), 200):
            Assignment.objects.bulk_update(changed[start : start + 200], ["state", "rung", "seat"])
        Assignment.objects.bulk_create(made, batch_size=BATCH)
        return found

    def _withdraw(self, sample_ids: list[int]) -> None:
        live = Assignment.objects.filter(round=LABEL, state__in=[Assignment.State.OPEN, Assignment.State.LEASED])
        for start in range(0, len(sample_ids), BATCH):
            live.filter(sample__in=sample_ids[start : start + BATCH]).update(
                state=Assignment.State.WITHDRAWN, lease_token=None, lease_expires_at=None
            )


def _chunked(rows, key: str, values: Sequence) -> Iterable:
    """Rows whose key is among the values, in pieces that every database takes."""
    values = list(dict.fromkeys(values))
    for start in range(0, len(values), BATCH):
        yield from rows.filter(**{f"{key}__in": values[start : start + BATCH]})


def _vote(sample: Sample, person: Person, line: Line, turn: Assignment) -> Vote:
    said = f"{sample.video_id}/{person.pk}/{line.rung}/{line.created_at.isoformat()}/{line.emotion}"
    return Vote(
        assignment=turn, sample=sample, person=person, rung=line.rung, round=LABEL, adjective=line.adjective,
        adjective_table=line.table, emotion=line.emotion, confidence=line.confidence, created_at=line.created_at,
        client_id=uuid.uuid5(NAMESPACE, said),
    )  # fmt: skip


def _decide(sample: Sample, verdict: Decided, at: datetime) -> None:
    sample.state, sample.label, sample.decided_rung = Sample.State.DECIDED, verdict.emotion, verdict.rung
    sample.rung, sample.decided_at = verdict.rung, at
