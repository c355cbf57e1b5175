"""What can be asked of stages and videos; nothing is written here."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any, cast

from django.core import signing
from django.core.cache import cache
from django.core.paginator import Page, Paginator
from django.db import connection
from django.db.models import Case, CharField, Count, F, FloatField, Func, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Cast, Coalesce
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property

from crawler.models import Check, Decision, Host, Platform, Stage, Term, Video, Visit
from crawler.rules.transitions import EMOTIONS

SALT = "crawler.clip"
State = Video.State
LARGE = 50_000  # videos; counting fewer takes no time
REMEMBERED_S = 60
COUNTED = 10_000  # rows that a list counts; nobody turns further pages
ON_THE_WAY = {State.DISCOVERED, State.META, State.MEDIA, State.VERIFIED, State.DEDUPLICATED, State.SCREENED}


def videos_ready() -> QuerySet[Video]:
    """Accepted videos in the order of their numbers."""
    return Video.objects.filter(state=State.ACCEPTED).order_by("number")


def video_named(name: str) -> Video | None:
    """The video of a number, a public name (00000001.mp4) or platform/id; None when there is none."""
    if "/" in name:
        platform, _, platform_id = name.partition("/")
        return Video.objects.filter(platform=platform, platform_id=platform_id).first()
    match = re.fullmatch(r"0*(\d{1,9})(\.mp4)?", name)
    return Video.objects.filter(number=int(match[1])).first() if match else None


def is_large() -> bool:
    """Whether there are so many videos that counting them takes longer than a page may."""
    return (Video.objects.order_by("-pk").values_list("pk", flat=True).first() or 0) > LARGE


def remembered(name: str, count: Callable[[], Any]) -> Any:
    """What `count` gives: counted now in a small collection, in a large one as it was at most a minute ago."""
    return cache.get_or_set(f"counted.{name}", count, REMEMBERED_S) if is_large() else count()


class KeyedPages(Paginator):
    """Pages that are found by their keys alone: rows that are only passed over are read from an index, and nothing joined to them."""

    object_list: QuerySet[Any]

    def page(self, number: int | str) -> Page:
        found = super().page(number)
        keys = list(cast("QuerySet[Any]", found.object_list).values_list("pk", flat=True))
        found.object_list = self.object_list.filter(pk__in=keys)  # in the same order
        return found


class LongList(KeyedPages):
    """Pages of a list that may be very long: counts no further than COUNTED rows, or asks PostgreSQL how long a whole table is."""

    @cached_property
    def count(self) -> int:
        return self._about() or self.object_list.order_by()[:COUNTED].count()

    def _about(self) -> int:
        """The server's own estimate for a whole table of more than COUNTED rows, else 0."""
        if connection.vendor != "postgresql" or self.object_list.query.where:
            return 0
        with connection.cursor() as cursor:
            cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [self.object_list.model._meta.db_table])
            about = cursor.fetchone()[0]
        return about if about > COUNTED else 0


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
    total, platforms = _row(), {name: _row() for name in Platform.values}
    stages: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: {name: _row() for name in Platform.values})
    for stage, platform, state, reason, has_file, number in rows:
        for row in (total, platforms[platform], stages[stage or ""][platform]):
            _count(row, state, reason, bool(has_file), number)
    return {"total": total, "platforms": platforms, "stages": dict(stages)}


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


# --- clips ------------------------------------------------------------------------------------------------------


def clip_url(video: Video, *, user: Any, ttl_s: int = 3600) -> str:
    """An address of the clip that works for this user until it expires, and for nobody else."""
    expires = int(timezone.now().timestamp()) + ttl_s
    return reverse("crawler:clip", args=[signing.dumps([video.pk, user.pk, expires], salt=SALT)])


def clip_of(token: str, *, user: Any) -> Video | None:
    """The video that a clip address stands for; None when it is forged, expired, another person's, or the video has no file."""
    try:
        video_id, user_id, expires = signing.loads(token, salt=SALT)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    if user_id != user.pk or expires < timezone.now().timestamp():
        return None
    return Video.objects.filter(pk=video_id).exclude(file="").first()


# --- pages ------------------------------------------------------------------------------------------------------


def stages_all() -> QuerySet[Stage]:
    """All stages, the newest first, with num_videos, num_visits and num_visits_failed."""
    visits = Visit.objects.all()
    return Stage.objects.annotate(
        num_videos=_of_stage(Video.objects.all()),
        num_visits=_of_stage(visits),
        num_visits_failed=_of_stage(visits.filter(state=Visit.State.FAILED)),
    ).order_by("-pk")


def _of_stage(rows: QuerySet[Any]) -> Coalesce:
    counts = rows.filter(stage=OuterRef("pk")).order_by().values("stage").annotate(n=Count("*")).values("n")
    return Coalesce(Subquery(counts), 0)


def terms_heaviest(limit: int = 60) -> QuerySet[Term]:
    return Term.objects.order_by("blocked", "-weight", "pk")[:limit]


def visits_failed(limit: int = 100) -> QuerySet[Visit]:
    return Visit.objects.filter(state=Visit.State.FAILED).select_related("stage").order_by("-pk")[:limit]


RECENT_PAGES = 100  # of a platform: what it shows now
ALARM_SHARE, FEW = 0.1, 3  # of them read by no rule, and at least so many


def rule_matches() -> list[dict[str, Any]]:
    """Per platform: how many posts and lists were read by which rule, how many by none, and the share of the latest ones.

    alarm: that share is high. Only the latest pages count for it: a long good past would hide a change, an old trouble outlive its cure.
    """
    return remembered("rules", _rule_matches)


def _rule_matches() -> list[dict[str, Any]]:
    rows = []
    for platform in Platform.values:
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


def videos_in_review(user: Any) -> QuerySet[Video]:
    """Doubtful videos that this person has not decided about, those first that rank highest for violence."""
    mine = Decision.objects.filter(video=OuterRef("pk"), person=user).order_by("-pk").values("action")[:1]
    ranked = Check.objects.filter(video=OuterRef("pk"), name="violence").order_by("-version")
    rank = ranked.values(number=Cast("evidence__rank", FloatField()))[:1]
    waiting = Video.objects.filter(state=State.REVIEW).annotate(mine=Subquery(mine), rank=Subquery(rank))
    undecided = waiting.filter(Q(mine__isnull=True) | Q(mine="undo"))
    return undecided.prefetch_related("checks").order_by(F("rank").desc(nulls_last=True), "pk")


def video_after(waiting: QuerySet[Video], video_id: int) -> Video | None:
    """The next of the waiting videos after one that was put off, the first again at the end; None when none waits."""
    ids = list(waiting.values_list("pk", flat=True))
    place = ids.index(video_id) + 1 if video_id in ids else 0
    return waiting.filter(pk=ids[place % len(ids)]).first() if ids else None


def decisions_latest(limit: int = 20) -> QuerySet[Decision]:
    """Who decided what, and when, latest first; not about clips that still wait, lest it sway a second reviewer."""
    rows = Decision.objects.exclude(video__state=State.REVIEW).select_related("video", "person")
    return rows.order_by("-pk")[:limit]


def standing(video: Video) -> dict[int, str]:
    """What each person last decided about the video, by person id; who undid it has decided nothing."""
    last = dict(video.decisions.order_by("pk").values_list("person_id", "action"))
    return {person: action for person, action in last.items() if action != "undo"}


REVIEWS_A_DAY = 400  # doubtful clips that one person looks at; more would wear on anybody


def reviews_left(user: Any) -> int:
    """How many more decisions this person may take today."""
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    done = Decision.objects.filter(person=user, created_at__gte=today, action__in=["keep", "drop"]).count()
    return max(0, REVIEWS_A_DAY - done)


def decision_last(user: Any) -> Decision | None:
    """The person's latest decision, if it can still be undone."""
    last = Decision.objects.filter(person=user).select_related("video").order_by("-pk").first()
    return last if last and last.action != "undo" else None


def resembled(video: Video) -> Video | None:
    """The earlier video that a doubtful one looks like."""
    check = video.checks.filter(name="duplicate").order_by("-version").first()
    return Video.objects.filter(pk=check.evidence.get("other")).first() if check else None


def sound_of(video: Video) -> dict[str, Any]:
    """What the sound of a doubtful pair says: how many of its bits agree in percent, or why nothing can be compared."""
    pair = video.checks.filter(name="duplicate").order_by("-version").first()
    if pair is None or pair.verdict != Check.Verdict.REVIEW:
        return {}
    if "sound" in pair.evidence:
        return {"percent": round(100 * pair.evidence["sound"])}
    checks = Check.objects.filter(name="sound", video__in=[video.pk, pair.evidence.get("other")])
    problem = checks.filter(verdict=Check.Verdict.UNABLE).values_list("reason", flat=True).first()
    return {"problem": problem or ""}


def strip_of(video: Video) -> dict[str, Any]:
    """Where the clip changes, in percent of its length, for the strip under the player, and the likeliest emotion of each window."""
    checks = {check.name: check.evidence for check in video.checks.filter(name__in=["transition", "emotion-shift"]).order_by("version")}
    found = checks.get("transition")
    if found is None or not video.duration_s:
        return {}
    percent = [round(100 * second / video.duration_s, 1) for second in found.get("cuts_s", [])]
    split = round(100 * found.get("split_s", 0) / video.duration_s, 1)
    return {
        **found,
        "cuts_percent": percent,
        "split_percent": split,
        "windows": _windows(checks.get("emotion-shift", {}).get("windows", [])),
    }


def _windows(rows: list[list[float]]) -> list[dict[str, Any]]:
    """Each window as a bar: where it begins, how wide it is, which emotion is likeliest, how likely (the height, of 6)."""
    width = round(100 / max(len(rows), 1), 3)
    tops = [row.index(max(row)) for row in rows]
    return [
        {
            "x": round(place * width, 3),
            "width": width,
            "emotion": EMOTIONS[top],
            "height": round(6 * rows[place][top], 2),
            "y": round(6 - 6 * rows[place][top], 2),
        }
        for place, top in enumerate(tops)
    ]


def hosts() -> QuerySet[Host]:
    return Host.objects.order_by("-paused_until", "name")
