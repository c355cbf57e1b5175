"""Handing out work: cleaned videos to groups, and rounds of labelling again (Sec. III-B, III-D)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count
from django.utils.translation import gettext as _

from annotation.models import LABEL, Assignment, Batch, Group, Person, Rung, Sample, TimelineEvent
from annotation.rules.voting import MEMBERS
from annotation.rules.warnings import content_flags
from annotation.selectors import loads, members_active, paces
from annotation.services.refusals import Conflict
from crawler.models import Check, Video
from crawler.selectors import videos_ready

CHUNK = 500  # videos per insert


@dataclass
class Roster:
    """Who can take member seats, with their loads as they grow during one distribution."""

    members: dict[int, list[Person]]  # by group id, in group order
    load: dict[int, int]
    given: Counter[int] = field(default_factory=Counter)  # samples per group, ever
    by_platform: Counter[tuple[int, str]] = field(default_factory=Counter)
    pace: dict[int, int] = field(default_factory=dict)
    with_hints: bool = False  # of the batches to be opened


@transaction.atomic
def distribute(
    *,
    limit: int | None = None,
    per_group: int | None = None,
    group: Group | None = None,
    by: Person | None = None,
    with_hints: bool = False,
) -> int:
    """Makes samples of the ready videos, each with three members of one group; returns how many.

    Locks the groups' rows, so that two distributions follow each other; a video that has a sample is never taken again.
    limit: videos in all; per_group: samples a group gets in this call; group: only this one (a leader's batch).
    """
    roster = _roster(group)
    roster.with_hints = with_hints
    if not roster.members:
        return 0
    videos = videos_ready().filter(sample__isnull=True).only("pk", "number", "platform")
    if per_group is not None:
        most = per_group * len(roster.members)
        limit = most if limit is None else min(limit, most)
    chosen = list(videos if limit is None else videos[:limit])
    batches: dict[int, Batch] = {}
    taken: Counter[int] = Counter()
    made = 0
    for start in range(0, len(chosen), CHUNK):
        made += _hand_out(chosen[start : start + CHUNK], roster, batches, taken, per_group, by)
    return made


def _roster(group: Group | None) -> Roster:
    locked = Group.objects.select_for_update(no_key=True).order_by("letter")
    groups = [found for found in locked if group is None or found.pk == group.pk]
    members: dict[int, list[Person]] = defaultdict(list)
    for person in members_active().filter(group__in=groups).order_by("pk"):
        members[person.group_id or 0].append(person)
    staffed = {found.pk: members[found.pk] for found in groups if len(members[found.pk]) >= MEMBERS}
    roster = Roster(staffed, loads(members_active()), pace=paces())
    for row in Sample.objects.values("group", "video__platform").annotate(n=Count("pk")).order_by():
        roster.given[row["group"]] += row["n"]
        roster.by_platform[row["group"], row["video__platform"]] += row["n"]
    return roster


def policy_even(roster: Roster, video: Video, group_id: int) -> float:
    """Every group gets as many samples as the others."""
    return roster.given[group_id]


def policy_weighted(roster: Roster, video: Video, group_id: int) -> float:
    """The group that would be through first at its pace of the last two weeks."""
    open_turns = sum(roster.load.get(person.pk, 0) for person in roster.members[group_id])
    return (open_turns + 1) / (roster.pace.get(group_id, 0) + 1)


def policy_quota(roster: Roster, video: Video, group_id: int) -> float:
    """Every group gets its share of each platform: the category that is known before anyone has labelled."""
    return roster.by_platform[group_id, video.platform]


POLICIES: dict[str, Callable[[Roster, Video, int], float]] = {
    "even": policy_even,
    "weighted": policy_weighted,
    "quota": policy_quota,
}


def _hand_out(
    videos: Sequence[Video], roster: Roster, batches: dict[int, Batch], taken: Counter[int], per_group: int | None, by: Person | None
) -> int:
    warnings = _warnings(videos)
    samples, seats = [], []
    for video in videos:
        group_id = _group_for(video, roster, taken, per_group)
        if group_id is None:
            break
        people = _members_for(roster, group_id, set(warnings[video.pk]))
        if people is None:
            continue  # too many of the group asked not to see such clips; another distribution may find people
        batch = batches.get(group_id) or batches.setdefault(group_id, _batch(group_id, roster, by))
        samples.append(Sample(video=video, group_id=group_id, batch=batch, content_warning=warnings[video.pk]))
        seats.append(people)
        taken[group_id] += 1
        roster.given[group_id] += 1
        roster.by_platform[group_id, video.platform] += 1
        roster.load.update({person.pk: roster.load.get(person.pk, 0) + 1 for person in people})
    Sample.objects.bulk_create(samples)
    Assignment.objects.bulk_create(
        Assignment(sample=sample, person=person, rung=Rung.MEMBER, round=LABEL, seat=seat, order=sample.video.number or sample.pk)
        for sample, people in zip(samples, seats, strict=True)
        for seat, person in enumerate(people)
    )
    TimelineEvent.objects.bulk_create(
        TimelineEvent(sample=sample, kind="distributed", person=by, detail={"group": sample.group_id, "people": [p.pk for p in people]})
        for sample, people in zip(samples, seats, strict=True)
    )
    return len(samples)


def _batch(group_id: int, roster: Roster, by: Person | None) -> Batch:
    return Batch.objects.create(group_id=group_id, opened_by=by, with_hints=roster.with_hints)


def _warnings(videos: Sequence[Video]) -> dict[int, list[str]]:
    """The content flags of videos about which the cleaning review hesitated and that were kept all the same."""
    found: dict[int, list[str]] = {video.pk: [] for video in videos}
    doubts = Check.objects.filter(video__in=videos, verdict=Check.Verdict.REVIEW).order_by("pk")
    for video_id, name, evidence in doubts.values_list("video_id", "name", "evidence"):
        found[video_id] += [flag for flag in content_flags(name, evidence or {}) if flag not in found[video_id]]
    return found


def _group_for(video: Video, roster: Roster, taken: Counter[int], per_group: int | None) -> int | None:
    policy = POLICIES[settings.ASSIGNMENT_POLICY]
    free = [group_id for group_id in roster.members if per_group is None or taken[group_id] < per_group]
    return min(free, key=lambda group_id: policy(roster, video, group_id)) if free else None


def _members_for(roster: Roster, group_id: int, flags: set[str]) -> list[Person] | None:
    """Three members of the group, the least loaded if it has more, none of whom opted out of such clips."""
    willing = [person for person in roster.members[group_id] if not flags & set(person.opted_out)]
    willing.sort(key=lambda person: (roster.load.get(person.pk, 0), person.pk))
    return willing[:MEMBERS] if len(willing) >= MEMBERS else None


@transaction.atomic
def round_open(*, round: str, sample_ids: Iterable[int], people: Iterable[Person], shuffle_seed: int) -> int:
    """Gives these people these samples again, in an order of each person's own; returns how many turns are new.

    For cross-checks, re-annotation and repeats: votes of such a round never change a label, and earlier votes stay
    hidden. Whoever has a turn at a sample in this round keeps it.
    """
    if round == LABEL:
        raise ValueError("the label round is opened by distribute()")
    ids = sorted(set(sample_ids))
    turns = []
    for person in people:
        order = np.random.default_rng([shuffle_seed, person.pk]).permutation(len(ids))
        have = set(Assignment.objects.filter(person=person, round=round).values_list("sample_id", flat=True))
        turns += [
            Assignment(sample_id=pk, person=person, round=round, order=int(place) + 1)
            for pk, place in zip(ids, order, strict=True)
            if pk not in have
        ]
    Assignment.objects.bulk_create(turns, batch_size=2000)
    return len(turns)


@transaction.atomic
def batch_open(leader: Person, *, size: int, with_hints: bool = False) -> tuple[Batch, int]:
    """A leader takes the next videos for the own group: the batch and its number of samples."""
    if with_hints and settings.PRELABEL_HINT != "batches":
        raise ValidationError(_("This site opens no batches with hints."), code="no_hints")
    if leader.group is None:
        raise ValidationError(_("You lead no group; ask your manager."), code="no_group")
    made = distribute(limit=size, group=leader.group, by=leader, with_hints=with_hints)
    if not made:
        raise ValidationError(_("No cleaned video waits, or your group has fewer than three annotators at work."), code="nothing_waits")
    return Batch.objects.filter(group=leader.group, opened_by=leader).latest("pk"), made


@transaction.atomic
def batch_collect(batch: Batch, *, now: datetime) -> Batch:
    """Marks a batch as collected by its leader. Raises Conflict while members still have to vote."""
    batch = Batch.objects.select_for_update(no_key=True).get(pk=batch.pk)
    waiting = batch.samples.filter(state=Sample.State.OPEN, rung=Rung.MEMBER).count()
    if waiting:
        raise Conflict(_("%(n)d clips of this batch still wait for members' votes.") % {"n": waiting}, code="not_finished")
    if batch.collected_at is None:
        batch.collected_at = now
        batch.save(update_fields=["collected_at"])
    return batch
