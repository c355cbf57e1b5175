"""What is known about people, samples and votes; every function is a constant number of queries."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Avg, Count, F, Max, OuterRef, Prefetch, Q, QuerySet, Subquery, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone

from annotation.models import (
    LABEL,
    Assignment,
    Attendance,
    Batch,
    Delivery,
    Flag,
    GoldItem,
    Group,
    Person,
    QualificationAttempt,
    Rung,
    Sample,
    StaffChange,
    TimelineEvent,
    TrainingSession,
    Vote,
    Webhook,
)
from annotation.rules.qualification import LEAST_QUALITY_ITEMS, PASS_MARK
from crawler.selectors import remembered

LIVE = (Assignment.State.OPEN, Assignment.State.LEASED)  # still to be done
TAKEN = (*LIVE, Assignment.State.SUBMITTED)  # holds a seat
OVERVIEW_DAYS = 14
OUTCOMES_LATEST = 1000  # votes by which the own agreement is reckoned
WAITING_CAP = 1000  # counting further would cost more than it tells
HINT_FACTS = ("votes", "same", "settled", "as_label", "run_right", "sure", "seconds")
MASKED_ROUNDS = ("repeat", "gold")  # look like ordinary labelling to the person


def people_active() -> QuerySet[Person]:
    """Those who can be given work now; an annotator must have passed the labelling test."""
    return Person.objects.filter(user__is_active=True, paused_reason="").exclude(role=Person.Role.ANNOTATOR, qualified_at__isnull=True)


def members_active() -> QuerySet[Person]:
    return people_active().filter(role=Person.Role.ANNOTATOR, group__isnull=False)


def loads(people: QuerySet[Person]) -> dict[int, int]:
    """Person id → turns still to be done."""
    live = Assignment.objects.filter(state__in=LIVE, person__in=people).order_by()
    counts = dict(live.values_list("person").annotate(n=Count("*")))
    return {pk: counts.get(pk, 0) for pk in people.order_by().values_list("pk", flat=True)}


def paces(*, days: int = 14) -> dict[int, int]:
    """Group id → votes of its members in the last days."""
    since = timezone.now() - timedelta(days=days)
    rows = Vote.objects.filter(created_at__gte=since, rung=Rung.MEMBER, round=LABEL).values("sample__group").annotate(n=Count("pk"))
    return {row["sample__group"]: row["n"] for row in rows}


def votes_live(round: str = LABEL) -> QuerySet[Vote]:
    return Vote.objects.filter(round=round, undone_at__isnull=True)


def votes_of_round(round: str) -> QuerySet[Vote, Any]:
    """One row per vote of a round: sample, person, group of the person, rung, emotion, confidence; ordered by sample."""
    return (
        votes_live(round)
        .order_by("sample_id", "pk")
        .values("sample_id", "person_id", "person__group__letter", "rung", "emotion", "adjective", "confidence", "created_at")
    )


def member_votes() -> QuerySet[Vote, Any]:
    """The three votes of each sample that κ is computed from, ordered by sample."""
    return votes_of_round(LABEL).filter(rung=Rung.MEMBER)


def samples_decided() -> QuerySet[Sample]:
    return Sample.objects.filter(state=Sample.State.DECIDED).select_related("video", "group").order_by("video__number")


def votes_for_export() -> Iterator[Vote]:
    """Every vote that counts towards a label, by video and time, without loading all at once."""
    rows = votes_live().select_related("sample__video", "person__user").order_by("sample__video__number", "created_at", "pk")
    return rows.iterator(chunk_size=2000)


def timeline(sample: Sample) -> QuerySet[TimelineEvent]:
    return sample.timeline.select_related("person")


# As text, like access.PERMITTED: it is asked with every clip. The condition on state is the one of the index turn_queue.
PROGRESS = """
SELECT (SELECT COUNT(*) FROM annotation_vote WHERE person_id = %s AND created_at >= %s AND undone_at IS NULL),
  (SELECT COUNT(*) FROM (SELECT 1 FROM annotation_assignment WHERE person_id = %s AND state IN ('open', 'leased') LIMIT %s) AS waiting)
"""


def progress(person: Person, *, now: datetime) -> dict[str, int]:
    """Own counts only: votes since midnight (site time), and turns that wait (at most WAITING_CAP). One query."""
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        since = connection.ops.adapt_datetimefield_value(midnight)
        cursor.execute(PROGRESS, [person.pk, since, person.pk, WAITING_CAP])
        done, waiting = cursor.fetchone()
    return {"done_today": done, "waiting": waiting}


def pace(person: Person, *, now: datetime, days: int = 14) -> list[dict[str, Any]]:
    """Per day: own votes and active minutes; idle time is not in them."""
    since = now - timedelta(days=days)
    votes = person.votes.filter(created_at__gte=since, undone_at__isnull=True).order_by().annotate(day=TruncDate("created_at"))
    rows = votes.values_list("day").annotate(n=Count("*"), ms=Sum("assignment__active_ms")).order_by("day")
    return [{"day": day.isoformat(), "votes": n, "active_minutes": round(ms / 60_000, 1)} for day, n, ms in rows]


def spread(sample: Sample) -> dict[str, int]:
    """Emotion → votes so far, without names; for leaders and the expert where the setting allows it."""
    rows = votes_live().filter(sample=sample).values("emotion").annotate(n=Count("pk")).order_by("emotion")
    return {row["emotion"]: row["n"] for row in rows}


def counted(rows: QuerySet, by: str) -> Coalesce:
    """The number of rows that belong to one row of the outer query; asked only for the rows of a page, never for a whole table."""
    return Coalesce(Subquery(rows.filter(**{by: OuterRef("pk")}).order_by().values(by).annotate(n=Count("*")).values("n")), 0)


def batches(group: Group | None = None) -> QuerySet[Batch]:
    """Batches with their progress: samples, decided, excluded, above (waiting for a leader or the expert), votes."""
    samples = Sample.objects.all()
    votes = Assignment.objects.filter(round=LABEL, rung=Rung.MEMBER, state=Assignment.State.SUBMITTED)
    found = Batch.objects.select_related("group", "opened_by").annotate(
        num_samples=counted(samples, "batch"),
        num_decided=counted(samples.filter(state=Sample.State.DECIDED), "batch"),
        num_excluded=counted(samples.filter(state=Sample.State.EXCLUDED), "batch"),
        num_above=counted(samples.filter(state=Sample.State.OPEN).exclude(rung=Rung.MEMBER), "batch"),
        num_voted=counted(votes, "sample__batch"),
    )
    return found if group is None else found.filter(group=group)


def groups_progress() -> list[Group]:
    """The groups with num_samples, num_open and num_decided; one pass over an index of the samples."""
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for group_id, state, n in remembered(
        "groups", lambda: list(Sample.objects.order_by().values_list("group", "state").annotate(n=Count("*")))
    ):
        counts[group_id][state] = n
    groups = list(Group.objects.all())
    for group in groups:
        of = counts[group.pk]
        told = {"num_samples": of.total(), "num_open": of[Sample.State.OPEN], "num_decided": of[Sample.State.DECIDED]}
        group.__dict__.update(told)
    return groups


def people_overview(*, days: int = OVERVIEW_DAYS) -> QuerySet[Person]:
    """Everyone with what the people page shows: when the last vote was, and how many there were in the last days."""
    latest = Vote.objects.filter(person=OuterRef("pk")).order_by("-created_at").values("created_at")[:1]
    of_late = Vote.objects.filter(created_at__gte=timezone.now() - timedelta(days=days), undone_at__isnull=True)
    return (
        Person.objects.select_related("user", "group")
        .annotate(last_vote_at=Subquery(latest), num_votes=counted(of_late, "person"))
        .order_by("group__letter", "-role", "user__username")
    )


def turns_above(person: Person) -> QuerySet[Assignment]:
    """The person's open turns as a leader or the expert, in the order in which they will be shown."""
    mine = person.assignments.filter(state__in=LIVE, round=LABEL).exclude(rung=Rung.MEMBER)
    return mine.select_related("sample__video", "sample__group").defer("sample__video__raw").order_by("order", "pk")


def members_progress(group: Group) -> QuerySet[Person]:
    """The group's people with the turns they have done and those that wait."""
    turns = Assignment.objects.filter(round=LABEL)
    return (
        group.people.select_related("user")
        .annotate(
            num_done=counted(turns.filter(state=Assignment.State.SUBMITTED), "person"),
            num_waiting=counted(turns.filter(state__in=LIVE), "person"),
            num_skipped=counted(turns.filter(state=Assignment.State.SKIPPED), "person"),
        )
        .order_by("role", "full_name")
    )


def agreement_with_outcome(person: Person, *, before: datetime, latest: int = OUTCOMES_LATEST) -> tuple[int, int]:
    """How many of the person's latest member votes named the emotion that their sample ended with, and of how many.

    Only samples decided before that time: an outcome told at once would teach what the others vote.
    """
    votes = person.votes.filter(round=LABEL, rung=Rung.MEMBER, undone_at__isnull=True, created_at__lt=before)
    settled = votes.filter(sample__state=Sample.State.DECIDED, sample__decided_at__lt=before).order_by("-created_at")[:latest]
    pairs = settled.values_list("emotion", "sample__label")
    return sum(emotion == label for emotion, label in pairs), len(pairs)


def scores_best() -> dict[int, dict[str, float]]:
    """Person id → part of the labelling test → best score."""
    best: dict[int, dict[str, float]] = {}
    rows = QualificationAttempt.objects.filter(score__isnull=False).values("person", "part").annotate(best=Max("score"))
    for row in rows:
        best.setdefault(row["person"], {})[row["part"]] = row["best"]
    return best


def gold_of_test() -> QuerySet[GoldItem]:
    """Gold items that the labelling test may show: those meant for it whose clip can be played."""
    return GoldItem.objects.filter(in_test=True).exclude(video__file="")


def qualification_parts(person: Person) -> list[dict[str, Any]]:
    """Where the person stands in both parts of the labelling test: state, attempts left, best score, the last attempt handed in.

    state: passed, open (begun and not handed in), used_up, no_gold (too few gold items to hold it) or ready.
    """
    attempts = list(person.attempts.order_by("number"))
    num_gold = gold_of_test().count()
    return [_part_standing(part, [attempt for attempt in attempts if attempt.part == part], num_gold) for part in QualificationAttempt.Part]


def _part_standing(part: QualificationAttempt.Part, attempts: list[QualificationAttempt], num_gold: int) -> dict[str, Any]:
    handed_in = [attempt for attempt in attempts if attempt.score is not None]
    best = max((attempt.score for attempt in handed_in if attempt.score is not None), default=None)
    if best is not None and best >= PASS_MARK:
        state = "passed"
    elif len(handed_in) < len(attempts):
        state = "open"
    elif len(attempts) >= settings.QUALIFICATION_ATTEMPTS:
        state = "used_up"
    else:
        state = "no_gold" if part == QualificationAttempt.Part.QUALITY and num_gold < LEAST_QUALITY_ITEMS else "ready"
    left = max(settings.QUALIFICATION_ATTEMPTS - len(handed_in), 0)
    return {
        "part": part.value,
        "state": state,
        "left": left,
        "best": best,
        "last": handed_in[-1] if handed_in else None,
        "num_gold": num_gold,
    }


def gold_overview() -> list[dict[str, Any]]:
    """Every gold item with how often it was met hidden among the work, and how often the answer was right. Two queries.

    A gold item that good annotators get wrong is more likely wrong itself.
    """
    said: dict[int, Counter[str]] = {}
    rows = votes_live("gold").values_list("sample__video", "emotion").annotate(n=Count("pk")).order_by()
    for video_id, emotion, n in rows:
        said.setdefault(video_id, Counter())[emotion] = n
    items = GoldItem.objects.select_related("video").defer("video__raw").order_by("-in_test", "-hidden", "video__number")
    return [
        {
            "item": item,
            "num_met": said.get(item.video_id, Counter()).total(),
            "num_right": sum(said.get(item.video_id, Counter())[emotion] for emotion in item.emotions),
        }
        for item in items
    ]


def gold_candidates(*, limit: int = 12, among: int = 200) -> QuerySet[Sample]:
    """Samples decided of late on which the three members named one emotion, and that are no gold items yet: the surest, first."""
    latest = Sample.objects.filter(state=Sample.State.DECIDED, decided_rung=Rung.MEMBER).order_by("-pk").values("pk")[:among]
    of_members = Q(votes__round=LABEL, votes__rung=Rung.MEMBER, votes__undone_at__isnull=True)
    return (
        Sample.objects.filter(pk__in=list(latest.values_list("pk", flat=True)), video__gold__isnull=True)
        .exclude(video__file="")
        .select_related("video")
        .defer("video__raw")
        .annotate(
            num_votes=Count("votes", filter=of_members),
            num_emotions=Count("votes__emotion", filter=of_members, distinct=True),
            sure=Avg("votes__confidence", filter=of_members),
        )
        .filter(num_votes=3, num_emotions=1)
        .order_by("-sure", "-pk")[:limit]
    )


def attendance() -> dict[int, dict[str, Any]]:
    """Person id → training sessions attended, and the version of the guide that was last taught."""
    found: dict[int, dict[str, Any]] = {}
    rows = Attendance.objects.order_by("session__held_at").values_list("person_id", "session__guide_version")
    for person_id, version in rows:
        seen = found.setdefault(person_id, {"sessions": 0})
        seen["sessions"] += 1
        seen["guide"] = version
    return found


def sessions_held(limit: int = 20) -> QuerySet[TrainingSession]:
    """The latest training sessions, each with those who were there and for how long."""
    there = Attendance.objects.select_related("person").order_by("person__full_name")
    return TrainingSession.objects.prefetch_related(Prefetch("attendances", there))[:limit]


def staff_changes(limit: int = 30) -> QuerySet[StaffChange]:
    return StaffChange.objects.select_related("person", "by").order_by("-pk")[:limit]


def webhooks_overview() -> QuerySet[Webhook]:
    """The receivers, each with how many messages wait for it or were given up, and when the last one got through."""
    waiting = Count("deliveries", filter=Q(deliveries__state=Delivery.State.WAITING))
    given_up = Count("deliveries", filter=Q(deliveries__state=Delivery.State.GIVEN_UP))
    return Webhook.objects.annotate(num_waiting=waiting, num_given_up=given_up, last_delivered_at=Max("deliveries__delivered_at"))


def deliveries() -> QuerySet[Delivery]:
    """The outbox, the newest first."""
    return Delivery.objects.select_related("webhook").defer("body").order_by("-pk")


def hints_counted() -> dict[str, dict[str, Any]]:
    """Members' votes by what became of the run's hint (seen, unseen, held back; offered: the first two): votes, same (as the run), of
    settled clips as_label and run_right, sure (mean confidence), seconds. One query.
    """
    run, settled = KT("prelabel__emotion"), Q(sample__state=Sample.State.DECIDED)
    rows = (
        votes_live()
        .filter(rung=Rung.MEMBER, prelabel__has_key="hint")
        .values_list(KT("prelabel__hint"))
        .annotate(
            votes=Count("pk"),
            same=Count("pk", filter=Q(emotion=run)),
            settled=Count("pk", filter=settled),
            as_label=Count("pk", filter=settled & Q(emotion=F("sample__label"))),
            run_right=Count("pk", filter=settled & Q(sample__label=run)),
            sure=Avg("confidence"),
            seconds=Avg("assignment__active_ms") / 1000.0,
        )
        .order_by()
    )
    found = {key: dict(zip(HINT_FACTS, row, strict=True)) for key, *row in remembered("hints", lambda: list(rows))}
    none = dict.fromkeys(HINT_FACTS, 0) | {"sure": None, "seconds": None}
    counted = {key: found.get(key, none) for key in ("seen", "unseen", "held back")}
    return counted | {"offered": _together(counted["seen"], counted["unseen"])}


def _together(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """The counts of both added up, and the means over both."""
    total = {key: (first[key] or 0) + (second[key] or 0) for key in HINT_FACTS}
    for key in ("sure", "seconds"):
        parts = sum((one[key] or 0) * one["votes"] for one in (first, second))
        total[key] = parts / total["votes"] if total["votes"] else None
    return total


def flags_standing(*, limit: int = 50) -> QuerySet[Flag]:
    """Doubts that took no clip out of labelling and that nobody has settled, the newest first."""
    rows = Flag.objects.exclude(sample__state=Sample.State.EXCLUDED).select_related("sample__video", "sample__group", "person")
    return rows.defer("sample__video__raw").order_by("-pk")[:limit]


def samples_to_look_at(*, limit: int = 50) -> QuerySet[Sample]:
    """Samples about which a manager may have to do something: flagged out, or opened again and not settled yet; the newest first."""
    open_again = Q(state=Sample.State.OPEN, reopened__gt=0)
    rows = Sample.objects.filter(Q(state=Sample.State.EXCLUDED) | open_again).select_related("video", "group")
    return rows.defer("video__raw").prefetch_related("flags").order_by("-pk")[:limit]
