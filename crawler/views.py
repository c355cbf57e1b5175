"""The collection page, the review page, and the clips themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST, require_safe

from crawler import selectors, services, tasks
from crawler.models import Check, Platform, Stage, Term, Video
from crawler.storage import Away, clips

CHUNK = 256 * 1024
REASONS = (
    ("duplicate", gettext_lazy("the same as another clip")),
    ("unsafe", gettext_lazy("sexual, violent or hateful")),
    ("transition", gettext_lazy("the emotion changes or is unclear")),
    ("quality", gettext_lazy("too poor to see or hear")),
    ("advertisement", gettext_lazy("an advertisement")),
    ("private", gettext_lazy("shows a private person")),
)


# --- collect ----------------------------------------------------------------------------------------------------


class Moment(forms.DateTimeInput):
    """A date and a time as the browser lets them be picked."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


class StageForm(forms.Form):
    """What a new stage is told; the settings that are left out here are for `manage.py crawl --set`."""

    RARE = ("terms", "delay_s", "requests_per_day", "items_per_list", "robots_exception", "unplugged")

    name = forms.SlugField(max_length=40, label=gettext_lazy("Name"))
    platforms = forms.MultipleChoiceField(
        choices=[(name, Platform(name).label) for name in Platform.crawled()],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=gettext_lazy("Platforms (none: all)"),
    )
    video_budget = forms.IntegerField(min_value=1, max_value=1_000_000, initial=200, label=gettext_lazy("Videos per platform at most"))
    terms_per_platform = forms.IntegerField(min_value=0, max_value=200, initial=5, label=gettext_lazy("Words per platform"))
    seed = forms.IntegerField(min_value=0, initial=0, label=gettext_lazy("Seed"))
    starts_at = forms.DateTimeField(required=False, widget=Moment, label=gettext_lazy("Begin (date and time; empty: when started by hand)"))
    ends_at = forms.DateTimeField(required=False, widget=Moment, label=gettext_lazy("End (date and time; empty: when all is read)"))
    user_agent = forms.ChoiceField(choices=[("honest", "honest"), ("pool", "pool")], label=gettext_lazy("User agent"))
    links = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 3}), label=gettext_lazy("Links to posts, people and tags, one to a line")
    )
    terms = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        label=gettext_lazy("Words to ask for first, one to a line; platform: word"),
    )
    delay_s = forms.FloatField(
        required=False,
        min_value=0,
        max_value=3600,
        label=gettext_lazy("Seconds between two requests to a host (empty: as the site is set)"),
    )
    requests_per_day = forms.IntegerField(required=False, min_value=1, label=gettext_lazy("Requests a day to a host at most"))
    items_per_list = forms.IntegerField(required=False, min_value=1, label=gettext_lazy("Posts of one list at most"))
    robots_exception = forms.CharField(
        required=False, max_length=500, label=gettext_lazy("Why robots.txt is not obeyed (empty: it is); recorded with the stage")
    )
    unplugged = forms.MultipleChoiceField(
        required=False,
        choices=[
            ("trending", gettext_lazy("the trending boards")),
            ("steer", gettext_lazy("keywords of what was kept")),
            ("cookies", gettext_lazy("the site's cookies")),
        ],
        widget=forms.CheckboxSelectMultiple,
        label=gettext_lazy("Do without"),
    )

    @property
    def common(self) -> list[forms.BoundField]:
        return [field for field in self if field.name not in self.RARE]

    @property
    def rare(self) -> list[forms.BoundField]:
        return [self[name] for name in self.RARE]

    def clean_links(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["links"].splitlines() if line.strip()]

    def clean_terms(self) -> dict[str, list[str]]:
        """Words by platform; a line that names none is asked for on all that the stage has."""
        found: dict[str, list[str]] = {}
        everywhere = self.cleaned_data.get("platforms") or Platform.crawled()
        for line in filter(None, map(str.strip, self.cleaned_data["terms"].splitlines())):
            named = re.match(rf"({'|'.join(Platform.crawled())})\s*[:：]\s*(.+)", line, re.IGNORECASE)
            for name in [named[1].lower()] if named else everywhere:
                found.setdefault(name, []).append(named[2] if named else line)
        return found

    def told(self) -> dict[str, Any]:
        """What services.stage_create is called with."""
        told = {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}
        without = dict.fromkeys(told.pop("unplugged"), False)
        return {**told, **without}

    def clean(self) -> dict[str, Any]:
        dates = self.cleaned_data
        if dates.get("starts_at") and dates.get("ends_at") and dates["ends_at"] <= dates["starts_at"]:
            self.add_error("ends_at", _("The end lies before the beginning."))
        return dates


@login_required
@permission_required("crawler.view_collection", raise_exception=True)
@require_GET
def collect(request: HttpRequest) -> HttpResponse:
    return render(request, "crawler/collect.html", collection(StageForm()))


def collection(form: StageForm) -> dict[str, Any]:
    return {
        "form": form,
        "stages": [
            (stage, services.settings_chosen(stage), selectors.stage_progress(stage) if stage.state == Stage.State.RUNNING else None)
            for stage in selectors.stages_all()
        ],
        "funnel": selectors.funnel(),
        "terms": selectors.terms_heaviest(),
        "terms_blocked": selectors.terms_blocked(),
        "visits_failed": selectors.visits_failed(),
        "rules": selectors.rule_matches(),
        "hosts": selectors.hosts(),
        "platform_names": dict(Platform.choices),
    }


@permission_required("crawler.run_stage", raise_exception=True)
@require_POST
def stage_new(request: HttpRequest) -> HttpResponse:
    form = StageForm(request.POST)
    if not form.is_valid():
        return render(request, "crawler/collect.html", collection(form), status=400)
    try:
        stage = services.stage_create(**form.told())
    except ValidationError as error:
        form.add_error(None, error)
        return render(request, "crawler/collect.html", collection(form), status=400)
    messages.success(request, _("Stage %(name)s is planned.") % {"name": stage.name})
    return redirect("crawler:collect")


@permission_required("crawler.run_stage", raise_exception=True)
@require_POST
def stage_start(request: HttpRequest, pk: int) -> HttpResponse:
    stage = get_object_or_404(Stage, pk=pk)
    if stage.state in (Stage.State.DONE, Stage.State.FAILED):
        services.stage_reopen(stage.pk)
        stage.refresh_from_db()
    if stage.state == Stage.State.DONE:
        told = _("Stage %(name)s is done and nothing of it was out of reach. To look for more, plan a new stage.") % {"name": stage.name}
        messages.warning(request, told)
        return redirect("crawler:collect")
    tasks.crawl_stage.delay_on_commit(stage.pk)
    messages.success(request, _("Stage %(name)s goes on as soon as a worker is free.") % {"name": stage.name})
    return redirect("crawler:collect")


@permission_required("crawler.run_stage", raise_exception=True)
@require_POST
def stage_stop(request: HttpRequest, pk: int) -> HttpResponse:
    stage = services.stage_stop(get_object_or_404(Stage, pk=pk).pk)
    messages.success(request, _("Stage %(name)s stops after the step at hand.") % {"name": stage.name})
    return redirect("crawler:collect")


@permission_required("crawler.run_stage", raise_exception=True)
@require_POST
def term_block(request: HttpRequest, pk: int) -> HttpResponse:
    term = get_object_or_404(Term, pk=pk)
    services.term_block(term.pk, not term.blocked)
    return redirect("crawler:collect")


# --- review -----------------------------------------------------------------------------------------------------


@login_required
@permission_required("crawler.review_video", raise_exception=True)
@require_GET
def review(request: HttpRequest) -> HttpResponse:
    """The next doubtful clip with its evidence: after the one that was put off (?after=), or one that is asked for (?video=)."""
    waiting = selectors.videos_in_review(request.user)
    after = _number(request.GET.get("after", ""))
    video = waiting.filter(pk=_number(request.GET.get("video", ""))).first() or selectors.video_after(waiting, after)
    left = selectors.reviews_left(request.user)
    context: dict[str, Any] = {
        "waiting": waiting.count(),
        "after": after,
        "left": left,
        "reasons": REASONS,
        "last": selectors.decision_last(request.user),
        "decisions": selectors.decisions_latest(),
    }
    if video and left:
        other = selectors.resembled(video)
        context |= {
            "video": video,
            "doubts": selectors.doubts(video),
            "checks": sorted(video.checks.order_by("pk"), key=lambda check: check.verdict != Check.Verdict.REVIEW),
            "passed": list(video.checks.filter(verdict=Check.Verdict.PASS).order_by("pk").values_list("name", flat=True)),
            "clip": selectors.clip_url(video, user=request.user),
            "other": other,
            "other_clip": selectors.clip_url(other, user=request.user) if other and other.file else "",
            "strip": selectors.strip_of(video),
            "sound": selectors.sound_of(video),
            "reviewers": settings.REVIEWERS,
            "num_decided": len(selectors.standing(video)),
            "blurred": selectors.is_veiled(video) or bool(other and selectors.is_veiled(other)),
        }
    return render(request, "crawler/review.html", context)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0


@permission_required("crawler.review_video", raise_exception=True)
@require_POST
def decide(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    """Keeps, drops or undoes; a decision that comes too late is said, not raised."""
    get_object_or_404(Video, pk=pk)
    reason = request.POST.get("reason", "")
    actions = {
        "keep": lambda: services.video_keep(pk, user=request.user, reason=reason),
        "drop": lambda: services.video_drop(pk, user=request.user, reason=reason),
        "undo": lambda: services.decision_undo(pk, user=request.user),
    }
    try:
        video = actions[action]()
    except (ValidationError, PermissionDenied) as error:
        messages.error(request, " ".join(getattr(error, "messages", None) or [str(error)]))
    else:
        said = {"keep": _("Kept as %(name)s."), "drop": _("Dropped: %(name)s."), "undo": _("%(name)s waits again.")}[action]
        if action != "undo" and (video.state == Video.State.REVIEW or video.doubted_at):
            said = _("Noted: %(name)s waits for a second reviewer.")
        messages.success(request, said % {"name": video})
    # An undone decision is taken anew at once; what was put off stays so until the queue begins again.
    place = {"video": pk} if action == "undo" else {"after": _number(request.POST.get("after", ""))}
    return redirect(f"{reverse('crawler:review')}?{urlencode(place)}")


# --- clips ------------------------------------------------------------------------------------------------------


@login_required
@require_safe
def clip(request: HttpRequest, token: str) -> HttpResponseBase:
    """The clip that the token stands for, whole or in part, to the person it was made for and nobody else."""
    video = selectors.clip_of(token, user=request.user)
    if video is None:
        raise Http404
    name = video.public_name or "clip.mp4"
    try:
        address = clips().address(video.file, shown_as=name)
    except Away as error:
        return HttpResponse(str(error), status=503, content_type="text/plain", headers={"Retry-After": "10"})
    if address:
        return HttpResponseRedirect(address, headers={"Cache-Control": "no-store"})
    if not video.path.is_file():
        raise Http404
    response = accelerated(video) or ranged(request, video.path)
    response.headers["Content-Type"] = "video/webm" if video.file.endswith(".webm") else "video/mp4"
    response.headers["Content-Disposition"] = f'inline; filename="{name}"'
    response.headers["Cache-Control"] = "private, max-age=3600"
    response.headers["Accept-Ranges"] = "bytes"
    return response


def accelerated(video: Video) -> HttpResponse | None:
    """An empty answer that tells nginx which file to send, where it is set up to."""
    if not settings.MEDIA_ACCEL_LOCATION:
        return None
    return HttpResponse(headers={"X-Accel-Redirect": f"{settings.MEDIA_ACCEL_LOCATION.rstrip('/')}/{video.file}"})


def ranged(request: HttpRequest, path: Path) -> HttpResponseBase:
    """The whole file, one stretch of it (206), or 416 when the stretch lies outside. Several stretches at once are not served."""
    size = path.stat().st_size
    wanted = request.headers.get("Range", "")
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted.strip()) if wanted else None
    if match is None or not (match[1] or match[2]):
        return FileResponse(path.open("rb"))
    start, end = (int(match[1]), min(int(match[2] or size - 1), size - 1)) if match[1] else (max(0, size - int(match[2])), size - 1)
    if start > end or start >= size:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    headers = {"Content-Range": f"bytes {start}-{end}/{size}", "Content-Length": str(end - start + 1)}
    return StreamingHttpResponse(stretch(path, start, end - start + 1), status=206, headers=headers)


def stretch(path: Path, start: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while length > 0 and (chunk := file.read(min(CHUNK, length))):
            length -= len(chunk)
            yield chunk
