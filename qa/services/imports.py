"""cc.csv in: cross-check rounds that were labelled elsewhere; all lines or none."""

from __future__ import annotations

import csv
import io
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from annotation.models import Assignment, Group, Person, Rung, Sample, Vote
from annotation.rules.csv_text import unreadable
from annotation.rules.taxonomy import parse_emotion
from annotation.services import BadLines
from annotation.services.votes_file import number_of
from crawler.models import Video
from qa.models import CrossCheckItem, CrossCheckSet
from qa.rules.consistency import STAGE_SETS
from qa.selectors import reviewers
from qa.services.crosscheck import STAGE

COLUMNS = ("stage", "group", "set", "video", "previous_emotion", "annotator", "emotion")
NUM_RATERS = 3
BATCH = 2000
NAMESPACE = uuid.UUID("4d0f8f57-9f6c-4a4e-8f9c-6a1f4b7f2c11")


@dataclass(frozen=True)
class Line:
    number: int
    stage: str
    group: str
    index: int
    video: str
    previous: str
    annotator: str
    emotion: str


@dataclass(frozen=True)
class Imported:
    sets: int
    samples: int
    votes: int
    unchanged: int
    strangers: list[str]  # who is no member of the group (any more): their answers are kept, and count once they are


def cross_check_import(path: Path) -> Imported:
    """Takes a cc.csv in: its sets and, per sample, the three members' answers. `group` is the group that labelled again.

    What is here already is left alone, so the same file can be imported twice. Raises BadLines with one message per bad
    line; then nothing was stored.
    """
    lines, errors = _parse(path)
    if not errors:
        with transaction.atomic():
            return _Import(path.name, lines).run()
    raise BadLines(errors)


def _parse(path: Path) -> tuple[list[Line], list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        return [], [f"{path.name}: not UTF-8: {error.reason} at byte {error.start}"]
    if unread := unreadable(path.name, text):
        return [], unread
    reader = csv.DictReader(io.StringIO(text, newline=""))
    header = list(reader.fieldnames or [])
    wrong = [f"column {name} is missing" for name in COLUMNS if name not in header]
    wrong += [f"column {name!r} is unknown" for name in header if name not in COLUMNS]
    if wrong:
        return [], [f"{path.name}:1: {'; '.join(wrong)}"]
    lines, errors = [], []
    for row in reader:
        try:
            lines.append(_line(reader.line_num, row))
        except ValueError as error:
            errors.append(f"{path.name}:{reader.line_num}: {error}")
    if not lines and not errors:
        errors.append(f"{path.name}:2: no rows in the file")
    return lines, errors


def _line(number: int, row: dict[str, str]) -> Line:
    if None in row or None in row.values():
        raise ValueError(f"{len(COLUMNS)} columns expected")
    values = {key: value.strip() for key, value in row.items()}
    empty = [key for key in COLUMNS if not values[key]]
    if empty:
        raise ValueError(f"{', '.join(empty)} is empty")
    if not STAGE.fullmatch(values["stage"]):
        raise ValueError(f"stage {values['stage']!r} is not sA, sB …")
    if not values["set"].isascii() or not values["set"].isdigit() or int(values["set"]) >= len(STAGE_SETS):
        raise ValueError(f"set {values['set']!r} is not 0..{len(STAGE_SETS) - 1}")
    return Line(
        number, values["stage"], values["group"], int(values["set"]), values["video"],
        parse_emotion(values["previous_emotion"]), values["annotator"], parse_emotion(values["emotion"]),
    )  # fmt: skip


class _Import:
    """One file on its way into the database, inside one transaction."""

    def __init__(self, name: str, lines: Sequence[Line]) -> None:
        self.name, self.lines, self.errors = name, lines, list[str]()
        self.groups = {group.letter: group for group in Group.objects.order_by("letter")}
        self.people = {person.user.username: person for person in Person.objects.select_related("user")}
        self.samples = self._samples()

    def run(self) -> Imported:
        for line in self.lines:
            self._check(line)
        if not self.errors:  # a wrong name in one row would only be told twice
            self._check_triples()
        if self.errors:
            raise BadLines(sorted(self.errors, key=lambda error: int(error.split(":")[1])))
        sets = self._sets()
        samples = self._items(sets)
        votes = self._votes()
        return Imported(len(sets), samples, votes, len(self.lines) - votes, self._strangers())

    def _strangers(self) -> list[str]:
        members = reviewers(self.groups.values()).values_list("user__username", "group__letter")
        named = {(line.annotator, line.group) for line in self.lines}
        return sorted(f"{name} of group {letter}" for name, letter in named - set(members))

    def _wrong(self, line: Line, problem: str) -> None:
        self.errors.append(f"{self.name}:{line.number}: {problem}")

    def _samples(self) -> dict[str, Sample]:
        """The file's names for videos → samples: a number, a clip's name, or the platform's own id."""
        names = {line.video for line in self.lines}
        numbers = {name: number for name in names if (number := number_of(name)) is not None}
        by_number: dict[int, Sample] = {}
        by_id: dict[str, Sample] = {}
        wanted = list(numbers.values())
        for start in range(0, len(wanted), BATCH):
            for sample in Sample.objects.filter(video__number__in=wanted[start : start + BATCH]).select_related("video"):
                by_number[sample.video.number or 0] = sample
        ids = sorted(names)
        for start in range(0, len(ids), BATCH):
            for sample in Sample.objects.filter(video__platform_id__in=ids[start : start + BATCH]).select_related("video"):
                by_id[sample.video.platform_id] = sample
        found = {name: by_number[number] for name, number in numbers.items() if number in by_number}
        return by_id | found

    def _check(self, line: Line) -> None:
        if line.group not in self.groups:
            self._wrong(line, f"group {line.group!r} is unknown; there is {', '.join(self.groups) or 'none yet: import people.csv first'}")
        if line.annotator not in self.people:
            self._wrong(line, f"annotator {line.annotator!r} is unknown; import people.csv first")
        if line.video not in self.samples:
            known = Video.objects.filter(number=number_of(line.video)).exists() if number_of(line.video) else False
            self._wrong(line, f"video {line.video!r} {'has no votes yet' if known else 'is unknown'}; import votes.csv first")

    def _check_triples(self) -> None:
        triples: dict[tuple[str, str, str], list[Line]] = defaultdict(list)
        for line in self.lines:
            triples[line.stage, line.group, line.video].append(line)
        for lines in triples.values():
            first = lines[0]
            if len(lines) != NUM_RATERS or len({line.annotator for line in lines}) != NUM_RATERS:
                self._wrong(
                    first, f"video {first.video!r} needs {NUM_RATERS} rows by different annotators in stage {first.stage}, has {len(lines)}"
                )
            elif len({(line.index, line.previous) for line in lines}) > 1:
                self._wrong(first, f"video {first.video!r}: its rows name different sets or previous emotions")

    def _sets(self) -> dict[tuple[str, str, int], CrossCheckSet]:
        """(stage, group, set) → row. The sets come from the group after it, as when they are drawn here."""
        letters = list(self.groups)
        emotions: dict[tuple[str, str, int], str] = {}
        for line in self.lines:
            emotion = emotions.setdefault((line.stage, line.group, line.index), line.previous)
            if emotion != line.previous:
                self._wrong(line, f"set {line.index} of group {line.group} is of {emotion}, this row says {line.previous}")
        if self.errors:
            raise BadLines(self.errors)
        sets = {}
        for (stage, letter, index), emotion in emotions.items():
            origin = self.groups[letters[(letters.index(letter) + 1) % len(letters)]]
            found, _ = CrossCheckSet.objects.get_or_create(
                stage=stage, origin=origin, index=index, defaults={"reviewer": self.groups[letter], "emotion": emotion, "seed": 0}
            )
            if (found.reviewer_id, found.emotion) != (self.groups[letter].pk, emotion):
                line = next(line for line in self.lines if (line.stage, line.group, line.index) == (stage, letter, index))
                self._wrong(
                    line,
                    f"set {index} of stage {stage} from group {origin} is here already: of {found.emotion}, for group {found.reviewer}",
                )
            sets[stage, letter, index] = found
        if self.errors:
            raise BadLines(self.errors)
        return sets

    def _items(self, sets: dict[tuple[str, str, int], CrossCheckSet]) -> int:
        rows = {(sets[line.stage, line.group, line.index].pk, self.samples[line.video].pk): line.previous for line in self.lines}
        CrossCheckItem.objects.bulk_create(
            (CrossCheckItem(set_id=set_id, sample_id=sample_id, previous_emotion=emotion) for (set_id, sample_id), emotion in rows.items()),
            batch_size=BATCH,
            ignore_conflicts=True,
        )
        return len(rows)

    def _votes(self) -> int:
        """Votes that are not here yet, each with a submitted turn."""
        stages = {line.stage for line in self.lines}
        here = set(Vote.objects.filter(round__in=stages, undone_at__isnull=True).values_list("sample_id", "person_id", "round"))
        now = timezone.now()
        turns, votes = [], []
        for line in self.lines:
            sample, person = self.samples[line.video], self.people[line.annotator]
            if (sample.pk, person.pk, line.stage) in here:
                continue
            turn = Assignment(sample=sample, person=person, round=line.stage, rung=Rung.MEMBER, state=Assignment.State.SUBMITTED)
            turns.append(turn)
            votes.append(
                Vote(
                    assignment=turn,
                    sample=sample,
                    person=person,
                    rung=Rung.MEMBER,
                    round=line.stage,
                    emotion=line.emotion,
                    created_at=now,
                    client_id=uuid.uuid5(NAMESPACE, f"{line.stage}/{sample.pk}/{person.pk}/{line.emotion}"),
                )
            )
        self._take_turns(stages, turns)
        Vote.objects.bulk_create(votes, batch_size=BATCH)
        return len(votes)

    def _take_turns(self, stages: set[str], turns: list[Assignment]) -> None:
        """Turns that wait here already become submitted; the others are made."""
        waiting = {(turn.sample_id, turn.person_id, turn.round): turn.pk for turn in Assignment.objects.filter(round__in=stages)}
        made: list[Assignment] = []
        for turn in turns:
            turn.pk = waiting.get((turn.sample_id, turn.person_id, turn.round))
            if turn.pk is None:
                made.append(turn)
        done = [turn.pk for turn in turns if turn.pk]
        for start in range(0, len(done), BATCH):
            Assignment.objects.filter(pk__in=done[start : start + BATCH]).update(
                state=Assignment.State.SUBMITTED, lease_token=None, lease_expires_at=None
            )
        Assignment.objects.bulk_create(made, batch_size=BATCH)
