"""What was done, by whom, read for the audit page: the site's own log and the histories that other rooms keep."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from annotation.models import StaffChange, TimelineEvent
from config.models import Event
from crawler.models import Decision
from qa.models import AdjustmentStep


@dataclass(frozen=True)
class Line:
    at: datetime
    who: str
    kind: str
    about: str
    before: dict[str, Any]
    after: dict[str, Any]
    address: str = ""


@dataclass(frozen=True)
class Log:
    """One history: its rows, the columns that are sorted and filtered by, and how a row reads."""

    title: Any
    rows: Callable[[], QuerySet[Any]]
    line: Callable[[Any], Line]
    at: str = "created_at"
    who: str = "by__username"
    kind: str = "kind"
    about: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()  # where they are known; else the rows are asked
    sorts: tuple[str, ...] = ("at", "who", "kind")


def _event(row: Event) -> Line:
    about = f"{row.what}: {row.about}" if row.about else row.what
    return Line(row.at, row.who, str(row.get_kind_display()), about, row.before, row.after, row.address or "")


def _staff(row: StaffChange) -> Line:
    return Line(row.created_at, row.by.get_username() if row.by else "", row.kind, str(row.person), {}, _with(row.detail, row.reason))


def _review(row: Decision) -> Line:
    return Line(row.created_at, row.person.get_username(), row.action, str(row.video), {}, _with({}, row.reason))


def _label(row: TimelineEvent) -> Line:
    return Line(row.created_at, str(row.person or ""), row.kind, str(row.sample.video), {}, row.detail)


def _step(row: AdjustmentStep) -> Line:
    who = row.confirmed_by.get_username() if row.confirmed_by else ""
    return Line(row.created_at, who, row.state, f"{row.stage} {row.emotion}: {row.high} ↔ {row.low}", {}, row.numbers)


def _with(detail: dict[str, Any], reason: str) -> dict[str, Any]:
    return {**detail, "reason": reason} if reason else detail


LOGS: dict[str, Log] = {
    "site": Log(_("Accounts and settings"), Event.objects.all, _event, at="at", who="who", about=("about", "what")),
    "staff": Log(
        _("Groups and pauses"),
        lambda: StaffChange.objects.select_related("by", "person"),
        _staff,
        about=("person__full_name",),
    ),
    "review": Log(
        _("Cleaning review"),
        lambda: Decision.objects.select_related("person", "video"),
        _review,
        who="person__username",
        kind="action",
        about=("video__platform_id",),
    ),
    "labels": Log(
        _("Labels"),
        lambda: TimelineEvent.objects.select_related("person", "sample__video"),
        _label,
        who="person__full_name",
        about=("sample__video__platform_id",),
        kinds=TimelineEvent.KINDS,
        sorts=("at",),  # by anything else millions of lines would be put in order for each page
    ),
    "adjustments": Log(
        _("Personnel adjustment"),
        lambda: AdjustmentStep.objects.select_related("confirmed_by", "high", "low"),
        _step,
        who="confirmed_by__username",
        kind="state",
        about=("high__full_name", "low__full_name"),
    ),
}
SORTS = ("at", "who", "kind")


def history(log: Log, *, who: str = "", kind: str = "", about: str = "", since: datetime | None = None, until: datetime | None = None, sort: str = "-at") -> QuerySet[Any]:  # fmt: skip
    """The log's rows that fit, sorted by one of SORTS (with - the other way round), the newest first among equals.

    Raises KeyError for any other sort.
    """
    where = Q()
    if who:
        where &= Q(**{f"{log.who}__icontains": who})
    if kind:
        where &= Q(**{log.kind: kind})
    if since:
        where &= Q(**{f"{log.at}__gte": since})
    if until:
        where &= Q(**{f"{log.at}__lt": until})
    if about:
        where &= Q(*((f"{name}__icontains", about) for name in log.about), _connector=Q.OR)
    columns = {"at": log.at, "who": log.who, "kind": log.kind}
    name = sort.removeprefix("-")
    column, down = columns[name], "-" if sort.startswith("-") else ""
    if name not in log.sorts:
        column, down = log.at, "-"
    return log.rows().filter(where).order_by(f"{down}{column}", f"{down}pk" if column == log.at else "-pk")


def kinds(log: Log) -> list[str]:
    return list(log.kinds) or list(log.rows().order_by(log.kind).values_list(log.kind, flat=True).distinct())
