"""What waits for a person, the evidence that is shown with it, and what was decided."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Case, F, FloatField, IntegerField, Min, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Cast, Coalesce, Mod
from django.utils import timezone

from crawler.models import Check, Decision, Video
from crawler.rules.transitions import EMOTIONS

REVIEWS_A_DAY = 400  # doubtful clips that one person looks at; more would wear on anybody
WAITING = Q(state=Video.State.REVIEW) | Q(doubted_at__isnull=False)
AT_IT = timedelta(minutes=10)  # since the last decision: whoever took it is still reviewing
UNSAFE = ("text-lexicon", "onscreen-text", "image-nsfw", "violence")  # checks whose doubt is about what is shown
EVER = datetime(1970, 1, 1, tzinfo=UTC)


def videos_in_review(user: Any) -> QuerySet[Video]:
    """Doubtful videos, and accepted ones that were doubted since, about which this person has not decided; most violent ones first.

    Where several people review at once each begins with a share of their own, lest two look at the same clip and one in vain.
    """
    since = Coalesce(OuterRef("doubted_at"), EVER)  # what was said before the doubt was said about something else
    said = Decision.objects.filter(video=OuterRef("pk"), person=user, created_at__gt=since)
    mine = said.order_by("-pk").values("action")[:1]
    ranked = Check.objects.filter(video=OuterRef("pk"), name="violence").order_by("-version")
    rank = ranked.values(number=Cast("evidence__rank", FloatField()))[:1]
    waiting = Video.objects.filter(WAITING).annotate(mine=Subquery(mine), rank=Subquery(rank))
    undecided = waiting.filter(Q(mine__isnull=True) | Q(mine="undo"))
    share, place = _share(user)
    theirs = Case(When(of=place, then=0), default=1)
    shared = undecided.annotate(of=Mod("pk", share, output_field=IntegerField()))
    return shared.prefetch_related("checks").order_by(theirs, F("rank").desc(nulls_last=True), "pk")


def _share(user: Any) -> tuple[int, int]:
    """Among how many people the queue is divided who have decided lately, this one counted in, and which part is theirs."""
    lately = Decision.objects.filter(created_at__gt=timezone.now() - AT_IT)
    people = sorted({user.pk, *lately.values_list("person", flat=True)})
    return len(people), people.index(user.pk)


def reviews_waiting() -> int:
    return Video.objects.filter(WAITING).count()


def review_oldest() -> datetime | None:
    """Since when the doubtful clip has waited that waits longest."""
    return Video.objects.filter(WAITING).aggregate(at=Min(Coalesce("doubted_at", "touched_at")))["at"]


def video_after(waiting: QuerySet[Video], video_id: int) -> Video | None:
    """The next of the waiting videos after one that was put off, the first again at the end; None when none waits."""
    ids = list(waiting.values_list("pk", flat=True))
    place = ids.index(video_id) + 1 if video_id in ids else 0
    return waiting.filter(pk=ids[place % len(ids)]).first() if ids else None


def decisions_latest(limit: int = 20) -> QuerySet[Decision]:
    """Who decided what, and when, latest first; not about clips that still wait, lest it sway a second reviewer."""
    rows = Decision.objects.filter(video__doubted_at=None).exclude(video__state=Video.State.REVIEW).select_related("video", "person")
    return rows.order_by("-pk")[:limit]


def standing(video: Video) -> dict[int, str]:
    """What each person last decided about the video as it is doubted now, by person id; who undid it has decided nothing."""
    said = video.decisions.filter(created_at__gt=video.doubted_at or EVER)
    last = dict(said.order_by("pk").values_list("person_id", "action"))
    return {person: action for person, action in last.items() if action != "undo"}


def doubts(video: Video) -> list[str]:
    """Why it waits for people: what its checks doubt; of an accepted one, what they came to doubt since people last settled it."""
    found = video.checks.filter(verdict=Check.Verdict.REVIEW).order_by("pk")
    if video.doubted_at and video.accepted_at:
        before = video.decisions.filter(created_at__lte=video.doubted_at).order_by("-pk").values_list("created_at", flat=True).first()
        found = found.filter(created_at__gt=max(video.accepted_at, before or EVER))
    return list(found.values_list("reason", flat=True))


def reviews_left(user: Any) -> int:
    """How many more decisions this person may take today."""
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
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


def is_veiled(video: Video) -> bool:
    """Whether it is shown blurred until somebody wants it sharp: something says that it may be unsafe."""
    doubted = video.checks.filter(verdict=Check.Verdict.REVIEW)
    flagged = Q(name="flagged", reason__contains="unsafe")
    return video.reason == "reviewed: unsafe" or doubted.filter(Q(name__in=UNSAFE) | flagged).exists()


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
