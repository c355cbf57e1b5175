"""One's own page: counts and pace without ranking, history, keys, wellbeing."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from annotation import selectors, services
from annotation.access import person_of
from annotation.models import Person
from annotation.rules.preferences import BREAK_MINUTES, DEFAULT_KEYS, MOST_BREAK_MINUTES, NoKey, TwoActions, preferences_checked
from annotation.services.people import opt_outs_known
from annotation.views.words import ACTIONS, EMOTION_NAMES, WARNING_NAMES
from crawler.selectors import KeyedPages

VOTES_PER_PAGE = 25
OUTCOME_DELAY = timedelta(days=7)  # an outcome told earlier would teach what the others vote
FEWEST_OUTCOMES = 20


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@permission_required("annotation.view_own_work", raise_exception=True)
def me(request: HttpRequest) -> HttpResponse:
    person = person_of(request.user)
    if request.method == "POST":
        return _save(request, person)
    now = timezone.now()
    agreed, of = selectors.agreement_with_outcome(person, before=now - OUTCOME_DELAY)
    days = selectors.pace(person, now=now)
    votes = person.votes.select_related("sample__video").defer("sample__video__raw").order_by("-created_at", "-pk")
    context = {
        "person": person,
        "progress": selectors.progress(person, now=now),
        "days": days,
        "pace_chart": {"labels": [day["day"][5:] for day in days], "values": [day["votes"] for day in days], "yLabel": _("votes")},
        "agreement": agreed / of if of >= FEWEST_OUTCOMES else None,
        "outcomes": of,
        "fewest_outcomes": FEWEST_OUTCOMES,
        "delay_days": OUTCOME_DELAY.days,
        "history": KeyedPages(votes, VOTES_PER_PAGE).get_page(request.GET.get("page")),
        "keys": [(action, name, person.preferences.get("keys", {}).get(action, DEFAULT_KEYS[action])) for action, name in ACTIONS],
        "break_minutes": person.preferences.get("break_minutes", BREAK_MINUTES),
        "most_break_minutes": MOST_BREAK_MINUTES,
        "blur": person.preferences.get("blur", True),
        "opt_outs": [(flag, {**EMOTION_NAMES, **WARNING_NAMES}.get(flag, flag), flag in person.opted_out) for flag in opt_outs_known()],
        "default_keys": DEFAULT_KEYS,
        "blind": settings.BLIND_EMOTION,
    }
    return render(request, "annotation/me.html", context)


def _save(request: HttpRequest, person: Person) -> HttpResponse:
    try:
        if "keys" in request.POST:
            own = {action: request.POST.get(f"key-{action}", "") for action in DEFAULT_KEYS}
            services.preferences_save(person, preferences=preferences_checked({"keys": own}))
            anchor = "#keys"
        else:
            _save_wellbeing(request, person)
            anchor = "#wellbeing"
    except ValueError as error:
        messages.error(request, problem_told(error))
        return redirect("annotation:me")
    messages.success(request, _("Saved."))
    return redirect(f"{request.path}{anchor}")


def problem_told(error: ValueError) -> str:
    """What is wrong with the settings, in the reader's language."""
    names = dict(ACTIONS)
    if isinstance(error, TwoActions):
        return _("%(key)s is set for both “%(first)s” and “%(second)s”.") % {
            "key": error.key,
            "first": names[error.first],
            "second": names[error.second],
        }
    if isinstance(error, NoKey):
        return _("%(key)s cannot be a key; take a letter, a sign or an arrow (digits are the confidence).") % {"key": repr(error.key)}
    return str(error)


def _save_wellbeing(request: HttpRequest, person: Person) -> None:
    try:
        minutes = int(request.POST.get("break_minutes", ""))
    except ValueError:
        raise ValueError(_("Say after how many minutes, as a whole number.")) from None
    if not 0 <= minutes <= MOST_BREAK_MINUTES:
        raise ValueError(_("Breaks come after 0 (never) to %(most)d minutes.") % {"most": MOST_BREAK_MINUTES})
    opted_out = [flag for flag in request.POST.getlist("opted_out") if flag in opt_outs_known()]
    wanted = preferences_checked({"break_minutes": minutes, "blur": "blur" in request.POST})
    services.preferences_save(person, preferences=wanted, opted_out=opted_out)
