"""The collection as its page shows it: counts from found to accepted, stages, terms, lists, rules and hosts."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db import connection
from django.db.models import Case, CharField, Count, F, Func, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from crawler.models import Host, Platform, Stage, Term, Video, Visit
from crawler.selectors.long_lists import remembered

State = Video.State
ON_THE_WAY = {State.DISCOVERED, State.META, State.MEDIA, State.VERIFIED, State.DEDUPLICATED, State.SCREENED}
RECENT_PAGES = 100  # of a platform: what it shows now
ALARM_SHARE, FEW = 0.1, 3  # of them read by no rule, and at least so many


def funnel() -> dict[str, Any]:
    """Counts from found to accepted: {"total": row, "platforms": {name: row}, "stages": {name: {platform: row}}}.

    A row has found, fetched, waiting, review, accepted, and dropped and failed by cause.
    """
    return remembered("funnel", _funnel)


def _funnel() -> dict[str, Any]:
    cause = (
        Func(F("reason"), Value(":"), Value(1), function="split_part", output_field=CharField())
        if connection.vendor == "postgresql"
        else F("reason")
    )
    fetched = Case(When(sha256="", then=Value(0)), default=Value(1))
    counts = Video.objects.order_by().annotate(cause=cause, fetched=fetched)
    rows = counts.values_list("stage__name", "platform", "state", "cause", "fetched").annotate(n=Count("*"))
    total, platforms = _row(), _rows()
    stages: dict[str, dict[str, dict[str, Any]]] = defaultdict(_rows)
    for stage, platform, state, reason, has_file, number in rows:
        for row in (total, platforms[platform], stages[stage or ""][platform]):
            _count(row, state, reason, bool(has_file), number)
    # Plain dicts: a template would ask another for its "items".
    return {"total": total, "platforms": dict(platforms), "stages": {name: dict(rows) for name, rows in stages.items()}}


def _rows() -> dict[str, dict[str, Any]]:
    """A row for each platform that is crawled; what came from elsewhere has one once there is any."""
    return defaultdict(_row, {name: _row() for name in Platform.crawled()})


def _row() -> dict[str, Any]:
    return {"found": 0, "fetched": 0, "waiting": 0, "review": 0, "accepted": 0, "dropped": {}, "failed": {}}


def _count(row: dict[str, Any], state: str, reason: str, fetched: bool, number: int) -> None:
    row["found"] += number
    row["fetched"] += number if fetched else 0
    if state in ON_THE_WAY:
        row["waiting"] += number
    elif state in (State.DROPPED, State.FAILED):
        cause = reason.split(":")[0] or "unknown"
        row[state][cause] = row[state].get(cause, 0) + number  # plain dicts: a template would ask a Counter for its "items"
    else:
        row[state] += number


def stages_all() -> QuerySet[Stage]:
    """All stages, the newest first, with num_videos, num_visits and num_visits_failed."""
    visits = Visit.objects.all()
    return Stage.objects.annotate(
        num_videos=_of_stage(Video.objects.all()),
        num_visits=_of_stage(visits),
        num_visits_failed=_of_stage(visits.filter(state=Visit.State.FAILED)),
    ).order_by("-pk")


def stage_progress(stage: Stage) -> dict[str, int]:
    """How far a stage is: lists and videos, each done and total; both totals grow while lists are read."""
    visits, videos = Visit.objects.filter(stage=stage), Video.objects.filter(stage=stage)
    num_visits, num_videos = visits.count(), videos.count()
    lists_done = num_visits - visits.filter(state=Visit.State.WAITING).count()
    videos_done = num_videos - videos.filter(state__in=ON_THE_WAY).count()
    return {
        "lists_done": lists_done,
        "lists": num_visits,
        "videos_done": videos_done,
        "videos": num_videos,
        "done": lists_done + videos_done,
        "total": num_visits + num_videos,
    }


def _of_stage(rows: QuerySet[Any]) -> Coalesce:
    counts = rows.filter(stage=OuterRef("pk")).order_by().values("stage").annotate(n=Count("*")).values("n")
    return Coalesce(Subquery(counts), 0)


def terms_heaviest(limit: int = 20) -> QuerySet[Term]:
    return Term.objects.filter(blocked=False).order_by("-weight", "pk")[:limit]


def terms_blocked() -> QuerySet[Term]:
    return Term.objects.filter(blocked=True).order_by("platform", "text")


def visits_failed(limit: int = 100) -> QuerySet[Visit]:
    return Visit.objects.filter(state=Visit.State.FAILED).select_related("stage").order_by("-pk")[:limit]


def rule_matches() -> list[dict[str, Any]]:
    """Per platform: how many posts and lists were read by which rule, how many by none, and the share of the latest ones.

    alarm: that share is high. Only the latest pages count for it: a long good past would hide a change, an old trouble outlive its cure.
    """
    return remembered("rules", _rule_matches)


def _rule_matches() -> list[dict[str, Any]]:
    rows = []
    for platform in Platform.crawled():
        posts = Video.objects.filter(platform=platform).exclude(state=State.DISCOVERED)
        lists = Visit.objects.filter(platform=platform).exclude(state=Visit.State.WAITING)
        unread = posts.filter(state=State.FAILED, reason__startswith="rule-failed"), lists.filter(outcome="rule-failed")
        rules: dict[str, int] = {}
        for read in (posts, lists):
            for rule, count in read.exclude(rule_version="").order_by().values_list("rule_version").annotate(count=Count("pk")):
                rules[rule] = rules.get(rule, 0) + count
        failed = sum(found.count() for found in unread)
        if not rules and not failed:
            continue
        shares = [_unread_lately(read, missed) for read, missed in zip((posts, lists), unread, strict=True)]
        rows.append(
            {"platform": platform, "rules": rules, "failed": failed, "failed_share": max(shares), "alarm": max(shares) > ALARM_SHARE}
        )
    return rows


def _unread_lately(read: QuerySet[Any], missed: QuerySet[Any]) -> float:
    """Share of the latest pages that no rule could read; 0 for a few, which may be chance."""
    latest = list(read.filter(Q(pk__in=missed) | ~Q(rule_version="")).order_by("-touched_at").values_list("pk", flat=True)[:RECENT_PAGES])
    number = missed.filter(pk__in=latest).count()
    return number / len(latest) if number >= FEW else 0.0


def hosts() -> QuerySet[Host]:
    return Host.objects.order_by("-paused_until", "name")
