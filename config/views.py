"""The status page for managers, the same figures for a monitoring, and the audit log."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from config import deadletter
from config.history import LOGS, SORTS, history, kinds
from config.models import Backup, FailedTask
from config.status import Status, status, status_scraped, workers
from crawler.models import Platform
from crawler.platforms.outcomes import Outcome
from crawler.selectors import LongList

BACKUPS_SHOWN = 10
LINES_A_PAGE = 100


@require_safe
@login_required
@permission_required("config.view_status", raise_exception=True)
def status_page(request: HttpRequest) -> HttpResponse:
    """With ?workers=ask also who answers now: that takes the second that they are given, so the page itself asks for it when it is there."""
    state = status()
    waiting = {name: (age_s, state.now - timedelta(seconds=age_s)) for name, age_s in state.oldest_s.items()}
    context: dict[str, Any] = {"status": state, "waiting": waiting, "backups": Backup.objects.order_by("-created_at")[:BACKUPS_SHOWN]}
    if asked := "workers" in request.GET:
        context["workers"] = workers()
    return render(request, "status.html", {**context, "asked": asked})


@require_safe
@login_required
@permission_required("config.view_status", raise_exception=True)
def failed_tasks(request: HttpRequest) -> HttpResponse:
    page = Paginator(FailedTask.objects.order_by("-state", "-pk"), LINES_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "failed_tasks.html", {"page": page})


@require_POST
@login_required
@permission_required("config.retry_tasks", raise_exception=True)
def failed_task_settle(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    if action not in {"again", "aside"}:
        raise Http404
    get_object_or_404(FailedTask, pk=pk)
    settled = deadletter.send_again(pk) if action == "again" else deadletter.put_aside(pk)
    if settled:
        messages.success(request, _("The task was sent again.") if action == "again" else _("The task is put aside."))
    return redirect("failed_tasks")


class AuditForm(forms.Form):
    """The only ways to filter and sort; anything else in the query is not looked at."""

    log = forms.ChoiceField(label=_("Log"), choices=[(name, log.title) for name, log in LOGS.items()], required=False)
    who = forms.CharField(label=_("Who"), max_length=150, required=False)
    kind = forms.CharField(max_length=30, required=False)
    about = forms.CharField(label=_("What"), max_length=200, required=False)
    since = forms.DateTimeField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateTimeField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    sort = forms.ChoiceField(choices=[(way + name, name) for name in SORTS for way in ("", "-")], required=False)


@require_safe
@login_required
@permission_required("config.view_audit", raise_exception=True)
def audit_page(request: HttpRequest) -> HttpResponse:
    form = AuditForm(request.GET)
    asked = {name: value for name, value in (form.cleaned_data if form.is_valid() else {}).items() if value}
    chosen = asked.pop("log", "site")
    log = LOGS[chosen]
    page = LongList(history(log, **asked), LINES_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "form": form, "chosen": chosen, "logs": LOGS, "kinds": kinds(log), "kind": asked.get("kind", ""), "page": page,
        "lines": [log.line(row) for row in page], "columns": _columns(asked.get("sort", "-at"), log.sorts),
    }  # fmt: skip
    return render(request, "audit.html", context)


def _columns(sort: str, sorts: tuple[str, ...]) -> list[dict[str, Any]]:
    """The sortable columns: each with the order that its head asks for, the other way round when it has it already."""
    titles = {"at": _("When"), "who": _("Who"), "kind": _("Did")}
    return [
        {
            "title": titles[name],
            "sort": "" if name not in sorts else name if sort == f"-{name}" else f"-{name}",
            "sorted": {name: "ascending", f"-{name}": "descending"}.get(sort, "none"),
        }
        for name in SORTS
    ]


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text format: with the token, or from this machine when no token is set; else 403."""
    if not _may_scrape(request):
        return HttpResponse("Send the metrics token.\n", status=403, content_type="text/plain")
    return HttpResponse("".join(_lines(status_scraped())), content_type="text/plain; version=0.0.4; charset=utf-8")


def _may_scrape(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        return constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {settings.METRICS_TOKEN}")
    # A proxy on this machine also comes from loopback, but says for whom.
    return request.META.get("REMOTE_ADDR") in {"127.0.0.1", "::1"} and "X-Forwarded-For" not in request.headers


def _lines(now: Status) -> Iterator[str]:
    yield from _family("version", "The program's version, as a label", "version", {settings.VERSION: 1})
    yield from _family("queue_messages", "Messages waiting in the broker; -1 when it does not answer", "queue", {q: -1 if n is None else n for q, n in now.queues.items()})  # fmt: skip
    yield from _family("oldest_waiting_seconds", "Age of the oldest waiting work", "kind", now.oldest_s)
    yield from _family("stuck", "Work without a sign of life that no sweep took back", "kind", now.stuck)
    yield from _family("videos", "Videos by state", "state", now.videos)
    yield from _family("samples", "Samples by state", "state", now.samples)
    yield from _family("runs", "Training runs by state", "state", now.runs)
    yield from _family("gpus_in_use", "GPUs that training runs hold, by machine", "host", now.gpus)
    yield "# HELP emotions_video_failures Failed videos by platform and cause\n# TYPE emotions_video_failures gauge\n"
    for (platform, cause), number in _failures(now).items():
        yield f'emotions_video_failures{{platform="{_label(platform)}",cause="{_label(cause)}"}} {number}\n'
    yield from _one("votes_total", "Votes cast, those that were undone too", now.votes, kind="counter")
    yield from _one(
        "leases_expired_total", "Turns that were taken back from a person who showed no life", now.leases_expired, kind="counter"
    )
    yield from _one("votes_last_minute", "Votes of the last minute", now.votes_last_minute)
    yield from _one("disk_free_bytes", "Room left for media, releases and runs", now.disk_free)
    yield from _one("disk_total_bytes", "Size of that disk", now.disk_total)
    yield from _one("clips_away", "1 while the store of the clips does not answer", int(bool(now.clips_away)))
    yield from _one("failed_tasks", "Tasks on the dead-letter page that wait for somebody", now.failed_tasks)
    yield from _one("alarms", "Alarms on the status page", len(now.alarms))
    for name, at in (
        ("beat_age_seconds", now.beat_at),
        ("backup_age_seconds", now.backup and now.backup.created_at),
        ("release_age_seconds", now.release and now.release.created_at),
    ):
        if at:
            yield from _one(name, "Seconds since the last one", round(abs(now.now - at).total_seconds()))


def _failures(now: Status) -> dict[tuple[str, str], int]:
    """Every cause that a page can give counts from 0 on: an alert sees how a figure grows only once it is there."""
    known = {(platform, str(cause)): 0 for platform in Platform.crawled() for cause in Outcome}
    return known | {(row["platform"], row["cause"]): row["count"] for row in now.failures}


def _family(name: str, about: str, label: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP emotions_{name} {about}\n# TYPE emotions_{name} gauge\n"
    for key, value in values.items():
        yield f'emotions_{name}{{{label}="{_label(key)}"}} {value}\n'


def _one(name: str, about: str, value: float, kind: str = "gauge") -> Iterator[str]:
    yield f"# HELP emotions_{name} {about}\n# TYPE emotions_{name} {kind}\nemotions_{name} {value}\n"


def _label(text: str) -> str:
    return str(text).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
