"""The pages about training: all runs, one run, several side by side."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from annotation.services import hints_offered
from qa.models import Release
from qa.selectors import releases_standing
from training import selectors, services
from training.access import may_change, may_control, run_for, schedule_for
from training.models import Run

COMPARED_AT_MOST = 6
EMBEDDINGS = "figures/tsne.png"
may_start = permission_required("training.start_run", raise_exception=True)


def may_see(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Sends who is not signed in to the sign-in page, and refuses who may not see runs."""
    return login_required(permission_required("training.view_runs", raise_exception=True)(view))


class OverridesField(forms.CharField):
    """Lines of field=value as a dict."""

    def to_python(self, value: Any) -> dict[str, str]:  # type: ignore[override]  # a field of several values
        changes = {}
        for line in (super().to_python(value) or "").splitlines():
            name, equals, text = (part.strip() for part in line.partition("="))
            if not line.strip():
                continue
            if not equals or not name:
                raise ValidationError(_("“%(line)s” is not field=value."), params={"line": line})
            changes[name] = text
        return changes


class RecipeForm(forms.Form):
    recipe = forms.ChoiceField(label=gettext_lazy("Recipe"))
    seed = forms.IntegerField(label=gettext_lazy("Seed"), initial=1, min_value=0, max_value=2**31 - 1)
    overrides = OverridesField(
        label=gettext_lazy("Changed fields"),
        required=False,
        help_text=gettext_lazy("One per line, such as epochs=3"),
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["recipe"].choices = [(name, name) for name in selectors.recipes()]  # type: ignore[attr-defined]  # the stubs know no field's choices


class RunForm(RecipeForm):
    release = forms.ModelChoiceField(Release.objects.none(), label=gettext_lazy("Release"), empty_label=None)
    gpus = forms.IntegerField(label=gettext_lazy("GPUs at most"), initial=1, min_value=0, max_value=64)
    field_order = ("recipe", "release", "seed", "gpus", "overrides")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["release"].queryset = releases_standing()  # type: ignore[attr-defined]  # the stubs know no field's choices


class ScheduleForm(RecipeForm):
    name = forms.SlugField(label=gettext_lazy("Name"), max_length=60)
    variant = forms.ChoiceField(label=gettext_lazy("Variant"))
    cron = forms.CharField(
        label=gettext_lazy("When"),
        initial="0 3 * * 0",
        help_text=gettext_lazy("Minute, hour, day of the month, month, day of the week: 0 3 * * 0 is each Sunday at 3."),
    )
    field_order = ("name", "recipe", "variant", "cron", "seed", "overrides")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = {"all", "balanced", *Release.objects.values_list("variant", flat=True)}
        self.fields["variant"].choices = [(name, name) for name in sorted(names)]  # type: ignore[attr-defined]  # the stubs know no field's choices


def _page(request: HttpRequest, *, run_form: RunForm, schedule_form: ScheduleForm, status: int = 200) -> HttpResponse:
    page = Paginator(selectors.runs_newest(), 50).get_page(request.GET.get("page"))
    context = {
        "runs": page,
        "run_form": run_form,
        "schedule_form": schedule_form,
        "schedules": [(schedule, may_change(request.user, schedule)) for schedule in selectors.schedules()],
        "gpus": selectors.gpu_states(),
        "has_releases": releases_standing().exists(),
    }
    return render(request, "training/runs.html", context, status=status)


@require_safe
@may_see
def runs(request: HttpRequest) -> HttpResponse:
    return _page(request, run_form=RunForm(prefix="run"), schedule_form=ScheduleForm(prefix="schedule"))


@require_POST
@may_start
def run_start(request: HttpRequest) -> HttpResponse:
    form = RunForm(request.POST, prefix="run")
    if form.is_valid():
        try:
            run = services.run_start(user=request.user, **form.cleaned_data)
            return redirect("training:run", run.pk)
        except ValidationError as error:
            form.add_error(None, error)
    return _page(request, run_form=form, schedule_form=ScheduleForm(prefix="schedule"), status=422)


@require_POST
@may_start
def schedule_save(request: HttpRequest) -> HttpResponse:
    form = ScheduleForm(request.POST, prefix="schedule")
    if form.is_valid():
        try:
            services.schedule_save(user=request.user, **form.cleaned_data)
            return redirect("training:runs")
        except ValidationError as error:
            form.add_error(None, error)
    return _page(request, run_form=RunForm(prefix="run"), schedule_form=form, status=422)


@require_POST
@may_start
def schedule_delete(request: HttpRequest, pk: int) -> HttpResponse:
    services.schedule_delete(schedule_for(request.user, pk))
    return redirect("training:runs")


@require_safe
@may_see
def run(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(selectors.runs_newest(), pk=pk)
    mine = may_control(request.user, run)
    context = {
        "run": run,
        "may_control": mine and request.user.has_perm("training.start_run"),
        "far": selectors.run_far(run),
        "log": selectors.run_log(run, max_bytes=16_384) if mine else None,
        "confusion": selectors.run_confusion(run),
        "scores": selectors.run_scores(run),
        "beside": selectors.run_beside(run),
        "recalls": selectors.run_recalls(run),
        "embeddings": selectors.run_file(run, EMBEDDINGS) and EMBEDDINGS,
        "files": selectors.run_files(run) if mine else [],
        "orders_queue": settings.PRELABEL_ORDER,
        "offers_hints": hints_offered(),
        "num_prelabels": selectors.run_prelabels(run),
    }
    return render(request, "training/run.html", context)


@require_safe
@may_see
def run_file(request: HttpRequest, pk: int, name: str) -> FileResponse:
    """One file of the run's folder: figures for all who see the run, the rest for who may read it from the inside."""
    run = get_object_or_404(Run, pk=pk)
    is_figure = name.startswith("figures/")
    path = selectors.run_file(run, name) if is_figure or may_control(request.user, run) else None
    if path is None:
        raise Http404("No such file.")
    return FileResponse(path.open("rb"), as_attachment=not is_figure, filename=f"run-{run.pk}-{path.name}")


@require_POST
@may_start
def run_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    return _change(request, pk, services.run_cancel)


@require_POST
@may_start
def run_retry(request: HttpRequest, pk: int) -> HttpResponse:
    return _change(request, pk, services.run_retry)


@require_POST
@may_start
def prelabels_ask(request: HttpRequest, pk: int) -> HttpResponse:
    return _change(request, pk, services.prelabels_ask)


@require_POST
@may_start
def windows_ask(request: HttpRequest, pk: int) -> HttpResponse:
    return _change(request, pk, services.windows_ask)


def _change(request: HttpRequest, pk: int, service: Any) -> HttpResponse:
    try:
        service(run_for(request.user, pk), user=request.user)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect("training:run", pk)


@require_safe
@may_see
def compare(request: HttpRequest) -> HttpResponse:
    """Up to six runs side by side: ?run=3&run=5."""
    ids = [int(text) for text in request.GET.getlist("run") if text.isdigit() and len(text) < 19]
    chosen = list(Run.objects.select_related("release").filter(pk__in=ids).order_by("pk")[:COMPARED_AT_MOST])
    context = {
        "runs": [(run, selectors.run_scores(run), selectors.run_confusion(run)) for run in chosen],
        "charts": selectors.runs_compared(chosen),
        "recalls": selectors.recalls_compared(chosen),
    }
    return render(request, "training/compare.html", context)
