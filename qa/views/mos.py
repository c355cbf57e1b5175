"""Rating the quality of labels, blind to which dataset a clip is from (Sec. III-E)."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import ValidationError
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from annotation.models import Person
from qa import selectors, services
from qa.models import MosItem, MosStudy

SCALE = {1: _("bad"), 2: _("poor"), 3: _("fair"), 4: _("good"), 5: _("excellent")}


@require_safe
@login_required
@permission_required("annotation.decide_as_expert", raise_exception=True)
def mos(request: HttpRequest) -> HttpResponse:
    """The studies, and how far one is in each."""
    person = _person(request)
    studies = [(study, *selectors.mos_progress(study, person)) for study in MosStudy.objects.order_by("-pk")]
    return render(request, "qa/mos.html", {"studies": studies})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@permission_required("annotation.decide_as_expert", raise_exception=True)
def mos_study(request: HttpRequest, name: str) -> HttpResponse:
    """The next clip of the mix; a rating posted here is kept and the next one shown."""
    study, person = get_object_or_404(MosStudy, name=name), _person(request)
    if request.method == "POST":
        item = get_object_or_404(selectors.mos_items(study), pk=_number(request.POST.get("item")))
        try:
            services.mos_rate(item, person, score=_number(request.POST.get("score")))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        return redirect("qa:mos_study", name=name)
    done, total = selectors.mos_progress(study, person)
    context = {"study": study, "item": selectors.mos_next(study, person), "done": done, "total": total, "scale": list(SCALE.items())}
    return render(request, "qa/mos_study.html", context)


@require_safe
@login_required
@permission_required("annotation.decide_as_expert", raise_exception=True)
def mos_clip(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The clip of an item, unless it was taken down since; only files inside the release's folder."""
    item = get_object_or_404(MosItem.objects.select_related("study", "release"), pk=pk)
    get_object_or_404(selectors.mos_items(item.study), pk=pk)
    path = item.release.folder / item.file
    if not path.resolve().is_relative_to(item.release.folder.resolve()) or not path.is_file():
        raise Http404
    response = FileResponse(path.open("rb"), content_type="video/webm" if path.suffix == ".webm" else "video/mp4")
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Disposition"] = "inline"
    return response


def _person(request: HttpRequest) -> Person:
    person = Person.objects.filter(user=request.user.pk).first()
    if person is None:
        raise Http404
    return person


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0
