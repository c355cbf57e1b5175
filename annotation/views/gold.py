"""The manager's page of gold items: clips whose emotion is beyond doubt, for the labelling test and hidden among the work."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from annotation import selectors, services
from annotation.models import Emotion
from annotation.rules.qualification import LEAST_QUALITY_ITEMS
from annotation.views.words import EMOTION_NAMES
from crawler.models import Video
from crawler.selectors import clip_url


class GoldForm(forms.Form):
    clip = forms.RegexField(r"^\s*0*(\d{1,8})(\.\w+)?\s*$", label=gettext_lazy("Clip"))
    emotion = forms.ChoiceField(choices=Emotion.choices, label=gettext_lazy("Emotion"))
    also = forms.MultipleChoiceField(choices=Emotion.choices, required=False, label=gettext_lazy("Also right"))
    source = forms.CharField(max_length=200, label=gettext_lazy("Who vouches for it"))
    in_test = forms.BooleanField(required=False)
    hidden = forms.BooleanField(required=False)

    def clean_clip(self) -> Video:
        """The video behind 12 or 00000012.mp4."""
        number = int(str(self.cleaned_data["clip"]).strip().partition(".")[0])
        video = Video.objects.filter(number=number).defer("raw").first()
        if video is None:
            raise ValidationError(_("There is no clip %(number)s.") % {"number": f"{number:08d}"})
        return video


@login_required
@permission_required("annotation.manage_people", raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
def gold(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return _page(request)
    form = GoldForm(request.POST)
    if not form.is_valid():
        problems = [f"{form.fields[name].label or name}: {' '.join(map(str, errors))}" for name, errors in form.errors.items()]
        return _page(request, problems=problems, asked=form.data, status=400)
    said = form.cleaned_data
    try:
        item = services.gold_appoint(
            said["clip"],
            emotions=[said["emotion"], *said["also"]],
            source=said["source"],
            in_test=said["in_test"],
            hidden=said["hidden"],
        )
    except ValidationError as error:
        return _page(request, problems=error.messages, asked=form.data, status=400)
    messages.success(request, _("%(clip)s is noted.") % {"clip": item.video})
    return redirect("annotation:gold")


def _page(request: HttpRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    rows = selectors.gold_overview()
    for row in rows:
        row["clip"] = clip_url(row["item"].video, user=request.user)
    candidates = list(selectors.gold_candidates())
    context = {
        "rows": rows,
        "candidates": [(sample, clip_url(sample.video, user=request.user)) for sample in candidates],
        "emotions": list(EMOTION_NAMES.items()),
        "num_in_test": sum(row["item"].in_test for row in rows),
        "num_hidden": sum(row["item"].hidden for row in rows),
        "least": LEAST_QUALITY_ITEMS,
        **more,
    }
    return render(request, "annotation/gold.html", context, status=status)
