"""The manager's page of webhooks: who is told of what, how the last messages fared, and one more try."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from annotation import selectors, services
from annotation.models import Delivery, Webhook
from annotation.rules.webhooks import EVENTS

DELIVERIES_PER_PAGE = 50
EVENT_NAMES = {
    "label.decided": gettext_lazy("a label was decided"),
    "label.reopened": gettext_lazy("a label was opened again"),
    "release.made": gettext_lazy("a release was made"),
    "report.made": gettext_lazy("a quality report was made"),
    "test": gettext_lazy("a test"),
}


class AddForm(forms.Form):
    url = forms.URLField(label=gettext_lazy("Address"), max_length=500, assume_scheme="https")
    events = forms.MultipleChoiceField(label=gettext_lazy("Events"), choices=[(event, event) for event in EVENTS])


class WebhookForm(forms.Form):
    webhook = forms.ModelChoiceField(Webhook.objects.all())


class DeliveryForm(forms.Form):
    delivery = forms.ModelChoiceField(Delivery.objects.all())


@login_required
@permission_required("annotation.manage_webhooks", raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("secret")
def webhooks(request: HttpRequest) -> HttpResponse:
    """The page; a POST names its `action`. A new secret is in the answer to its POST and nowhere else."""
    if request.method != "POST":
        return _page(request)
    action = ACTIONS.get(request.POST.get("action", ""))
    if action is None:
        return _page(request, problems=[_("There is no such action.")], status=400)
    form_class, act = action
    form = form_class(request.POST)
    if not form.is_valid():
        problems = [f"{form.fields[name].label or name}: {' '.join(map(str, errors))}" for name, errors in form.errors.items()]
        return _page(request, problems=problems, form=form, status=400)
    try:
        outcome = act(request, form.cleaned_data)
    except ValidationError as error:
        return _page(request, problems=error.messages, form=form, status=400)
    if isinstance(outcome, dict):
        return _page(request, **outcome)
    messages.success(request, outcome)
    return redirect("annotation:webhooks")


def _page(request: HttpRequest, *, status: int = 200, form: forms.Form | None = None, **more: Any) -> HttpResponse:
    asked = request.POST if isinstance(form, AddForm) else None
    context = {
        "webhooks": selectors.webhooks_overview(),
        "deliveries": Paginator(selectors.deliveries(), DELIVERIES_PER_PAGE).get_page(request.GET.get("page")),
        "events": [(event, EVENT_NAMES[event], asked is None or event in asked.getlist("events")) for event in EVENTS],
        "url": asked.get("url", "") if asked else "",
        **more,
    }
    answer = render(request, "annotation/webhooks.html", context, status=status)
    answer["Cache-Control"] = "no-store"
    return answer


# --- what the buttons do -------------------------------------------------------------------------------------------


def _add(request: HttpRequest, asked: dict[str, Any]) -> dict[str, Any]:
    webhook, secret = services.webhook_add(url=asked["url"], events=asked["events"], by=cast(User, request.user))
    return {"secret": secret, "secret_of": webhook}


def _renew(request: HttpRequest, asked: dict[str, Any]) -> dict[str, Any]:
    return {"secret": services.webhook_renew(asked["webhook"]), "secret_of": asked["webhook"]}


def _switch(request: HttpRequest, asked: dict[str, Any]) -> str:
    webhook = asked["webhook"]
    services.webhook_switch(webhook, active=not webhook.active)
    return _("%(url)s is told again.") % {"url": webhook} if webhook.active else _("%(url)s is stopped.") % {"url": webhook}


def _remove(request: HttpRequest, asked: dict[str, Any]) -> str:
    services.webhook_remove(asked["webhook"])
    return _("%(url)s and its messages are removed.") % {"url": asked["webhook"]}


def _test(request: HttpRequest, asked: dict[str, Any]) -> str:
    services.webhook_test(asked["webhook"])
    return _("A test message is on its way to %(url)s.") % {"url": asked["webhook"]}


def _repeat(request: HttpRequest, asked: dict[str, Any]) -> str:
    services.delivery_repeat(asked["delivery"], now=timezone.now())
    return _("The message is sent again.")


ACTIONS: dict[str, tuple[type[forms.Form], Callable[[HttpRequest, dict[str, Any]], str | dict[str, Any]]]] = {
    "add": (AddForm, _add),
    "renew": (WebhookForm, _renew),
    "switch": (WebhookForm, _switch),
    "remove": (WebhookForm, _remove),
    "test": (WebhookForm, _test),
    "repeat": (DeliveryForm, _repeat),
}
