"""A sample's whole story for those who may read it, and what a manager can do about it: open its label again, take it back in, put doubts aside."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from annotation import access, selectors, services
from annotation.models import Sample
from crawler.selectors import clip_url

EVENT_NAMES = {
    "distributed": gettext_lazy("handed out"),
    "voted": gettext_lazy("voted"),
    "undone": gettext_lazy("took the vote back"),
    "asked": gettext_lazy("asked"),
    "waiting": gettext_lazy("waits"),
    "decided": gettext_lazy("decided"),
    "skipped": gettext_lazy("skipped"),
    "reassigned": gettext_lazy("given to someone else"),
    "flagged": gettext_lazy("flagged"),
    "excluded": gettext_lazy("taken out of labelling"),
    "settled": gettext_lazy("doubts put aside"),
    "restored": gettext_lazy("taken back into labelling"),
    "reopened": gettext_lazy("opened again"),
}
STATE_NAMES = {"open": gettext_lazy("open"), "decided": gettext_lazy("decided"), "excluded": gettext_lazy("flagged out")}


class ReasonForm(forms.Form):
    sample = forms.IntegerField()
    reason = forms.CharField(max_length=200, label=gettext_lazy("Reason"))


@login_required
@permission_required("annotation.view_timeline", raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
def samples(request: HttpRequest) -> HttpResponse:
    """Without ?clip=12 what may need someone; with it that clip's sample. A POST opens it again or takes it back in."""
    if request.method == "POST":
        return _act(request)
    asked = request.GET.get("clip", "").strip()
    sample = _named(asked)
    context: dict[str, Any] = {"asked": asked, "sample": sample, "missing": bool(asked) and sample is None, "states": STATE_NAMES}
    if sample is not None:
        context["events"] = [(event, EVENT_NAMES.get(event.kind, event.kind)) for event in selectors.timeline(sample)]
        context["clip"] = clip_url(sample.video, user=request.user)
        context["state"] = STATE_NAMES[sample.state]
        context["doubts"] = sample.state != Sample.State.EXCLUDED and sample.flags.count()
    else:
        context["flags"] = [(flag, STATE_NAMES[flag.sample.state]) for flag in selectors.flags_standing()]
        context["rows"] = [(row, STATE_NAMES[row.state]) for row in selectors.samples_to_look_at()]
    return render(request, "annotation/samples.html", context, status=404 if context["missing"] else 200)


def _named(asked: str) -> Sample | None:
    """The sample of clip 12, 00000012 or 00000012.mp4."""
    number = asked.partition(".")[0]
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        return None
    return Sample.objects.select_related("video", "group").defer("video__raw").filter(video__number=int(number)).first()


def _act(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm("annotation.manage_people"):
        raise PermissionDenied
    action = ACTIONS.get(request.POST.get("action", ""))
    form = ReasonForm(request.POST)
    if action is None or not form.is_valid():
        messages.error(request, _("Give a reason; it stays on the sample's timeline."))
        return redirect(request.get_full_path())
    sample = access.one_of(Sample.objects.select_related("video"), form.cleaned_data["sample"])
    try:
        action[0](sample, by=access.person_of(request.user), reason=form.cleaned_data["reason"], now=timezone.now())
    except (ValidationError, services.Conflict) as error:
        messages.error(request, " ".join(getattr(error, "messages", None) or [str(error)]))
    else:
        messages.success(request, action[1] % {"clip": sample.video})
    return redirect(f"{reverse('annotation:samples')}?clip={sample.video.number}")


ACTIONS = {
    "reopen": (services.sample_reopen, gettext_lazy("The label of %(clip)s is open again; the expert decides anew.")),
    "settle": (services.flags_settle, gettext_lazy("The doubts about %(clip)s are put aside.")),
    "restore": (services.sample_restore, gettext_lazy("%(clip)s is labelled again.")),
}
