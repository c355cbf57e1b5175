"""Releases: asking for one, seeing it made, its card, download, verification and comparison."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from markdown_it import MarkdownIt

from crawler.services import clips
from qa import export, selectors, services, tasks
from qa.models import Release
from qa.rules.variants import BALANCED_LIMITS, MOST_SEED, TEST_VARIANT_SIZE, TITLES, VARIANTS

SHOWN_DIFFERENCES = 200
SHOWN_JOBS = 20
MEDIA_NAMES = {
    "link": gettext_lazy("hard links"),
    "copy": gettext_lazy("copies"),
    "s3": gettext_lazy("left in the bucket, by their keys"),
    "none": gettext_lazy("left out"),
}


class ReleaseForm(forms.Form):
    """What a release is made of; the numbers of the paper stand in the fields."""

    variants = forms.MultipleChoiceField(
        label=gettext_lazy("Variants"), choices=[(key, TITLES[key]) for key in VARIANTS], widget=forms.CheckboxSelectMultiple
    )
    seed = forms.IntegerField(label=gettext_lazy("Seed"), min_value=0, max_value=MOST_SEED, initial=0)
    excitation = forms.IntegerField(
        label=gettext_lazy("Excitation in eMotions_balanced"), min_value=1, initial=BALANCED_LIMITS["Excitation"]
    )
    neutral = forms.IntegerField(label=gettext_lazy("Neutral in eMotions_balanced"), min_value=1, initial=BALANCED_LIMITS["Neutral"])
    test_size = forms.IntegerField(label=gettext_lazy("Videos in eMotions_test"), min_value=1, initial=TEST_VARIANT_SIZE)
    clips = forms.ChoiceField(
        label=gettext_lazy("Clips"), choices=lambda: [(key, name) for key, name in MEDIA_NAMES.items() if key != "s3" or clips().key("_")]
    )
    formats = forms.MultipleChoiceField(
        label=gettext_lazy("Also as"), choices=[(key, key) for key in export.FORMATS], required=False, widget=forms.CheckboxSelectMultiple
    )
    allow_short = forms.BooleanField(label=gettext_lazy("Take what there is where there are too few"), required=False)

    def asked(self) -> dict[str, Any]:
        """As releases_ask takes it."""
        chosen = dict(self.cleaned_data)
        chosen["media"] = chosen.pop("clips")
        limits = {"Excitation": chosen.pop("excitation"), "Neutral": chosen.pop("neutral")}
        return chosen | {"sizes": {"balanced": {"limits": limits}, "test": {"size": chosen.pop("test_size")}}}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@permission_required("qa.make_release", raise_exception=True)
def release_new(request: HttpRequest) -> HttpResponse:
    """The form, and below it how far each release is that was asked for."""
    form = ReleaseForm(request.POST if request.method == "POST" else None, initial={"variants": list(VARIANTS)}, label_suffix="")
    if request.method == "POST" and form.is_valid():
        asked = form.asked()
        try:
            for job in services.releases_ask(asked.pop("variants"), user=request.user, **asked):
                # Robust: a broker that is away loses nothing, the sweep sends the job again.
                transaction.on_commit(tasks.make_release.s(job.pk).apply_async, robust=True)
            return redirect("qa:release_new")
        except ValidationError as error:
            form.add_error(None, error)
    context = {"form": form, "jobs": selectors.release_jobs()[:SHOWN_JOBS]}
    return render(request, "qa/release_new.html", context, status=400 if form.errors else 200)


@require_safe
@login_required
@permission_required("qa.view_dataset", raise_exception=True)
def release(request: HttpRequest, name: str) -> HttpResponse:
    """One release: its counts, its card, whether it still holds, and how it differs from another."""
    row = get_object_or_404(Release, name=name)
    readme = row.folder / "README.md"
    splits = [(split, row.counts[split]) for split in export.SPLITS if split in row.counts]
    names = set(splits[0][1]) if splits else set()
    context = {
        "release": row,
        "title": TITLES.get(row.variant, row.name),
        "drift": selectors.release_drift(row),
        "card": card_shown(readme.read_text(encoding="utf-8")) if readme.is_file() else "",
        "splits": splits,
        "rows": [(emotion, [counts[emotion] for _split, counts in splits]) for emotion in sorted(names)],
        "others": [other for other in selectors.releases() if other.pk != row.pk],
    }
    return render(request, "qa/release.html", context)


def card_shown(markdown: str) -> SafeString:
    """The card as HTML: without the block for machines at its head, headings two steps down, tables like those of the site. HTML in it is shown, not obeyed."""
    text = markdown.split("\n---\n", 1)[-1] if markdown.startswith("---\n") else markdown
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
        elif token.type == "table_open":
            token.attrSet("class", "data")
        elif token.attrs.pop("style", ""):  # the pages' policy allows no style; only numbers are aligned
            token.attrSet("class", "num")
    return mark_safe(parser.renderer.render(tokens, parser.options, {}))  # noqa: S308  the parser escapes all HTML


@require_POST
@login_required
@permission_required("qa.view_dataset", raise_exception=True)
def release_verify(request: HttpRequest, name: str) -> HttpResponse:
    row = get_object_or_404(Release, name=name)
    tasks.verify_release.delay_on_commit(row.pk)
    messages.info(request, _("Every file is being compared; the page shows the outcome when that is done."))
    return redirect("qa:release", name=name)


@require_safe
@login_required
@permission_required("qa.view_dataset", raise_exception=True)
def release_diff(request: HttpRequest, name: str) -> HttpResponse:
    """How another release (?with=name) differs from this one."""
    row = get_object_or_404(Release, name=name)
    other = get_object_or_404(Release, name=request.GET.get("with", ""))
    context: dict[str, Any] = {"first": row, "second": other, "limit": SHOWN_DIFFERENCES}
    try:
        context["difference"] = services.releases_diff(row.folder, other.folder)
    except ValidationError as error:
        context["problem"] = " ".join(error.messages)
    return render(request, "qa/diff.html", context)


@require_safe
@login_required
@permission_required("qa.view_dataset", raise_exception=True)
def release_download(request: HttpRequest, name: str) -> HttpResponseBase:
    """The whole folder as one tar, streamed. One that holds a video that was taken down since is not handed out."""
    row = get_object_or_404(Release, name=name)
    gone = selectors.release_drift(row).gone if row.variant != "imported" else 0
    try:
        if gone:
            raise export.ReleaseError(_("%(gone)d of its videos were taken down or dropped since: make a new release.") % {"gone": gone})
        archive = export.Archive(row.folder, name=row.name)
    except (export.ReleaseError, FileNotFoundError) as error:
        messages.error(request, str(error))
        return redirect("qa:release", name=name)
    response = StreamingHttpResponse(archive, content_type="application/x-tar")
    response["Content-Length"] = str(len(archive))
    response["Content-Disposition"] = f'attachment; filename="{row.name}.tar"'
    return response
