"""The manager's page: who works here, in which groups and how even they are, and what changes that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from annotation import selectors, services
from annotation.models import Group, Person
from annotation.rules.qualification import PASS_MARK
from annotation.services.groups import score

CSV_BYTES = 2_000_000
LINK_DAYS = settings.PASSWORD_RESET_TIMEOUT // 86_400


class CsvForm(forms.Form):
    file = forms.FileField(label=gettext_lazy("people.csv"))

    def clean_file(self) -> str:
        file = self.cleaned_data["file"]
        if file.size > CSV_BYTES:
            raise ValidationError(_("The file is larger than 2 MB."))
        try:
            return file.read().decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ValidationError(_("The file is not UTF-8.")) from None


class ReasonForm(forms.Form):
    person = forms.ModelChoiceField(Person.objects.all())
    reason = forms.CharField(max_length=200)
    reassign = forms.BooleanField(required=False)


class PersonForm(forms.Form):
    person = forms.ModelChoiceField(Person.objects.all())


class InviteForm(forms.Form):
    person = forms.ModelChoiceField(Person.objects.select_related("user"), required=False)


class MoveForm(forms.Form):
    person = forms.ModelChoiceField(Person.objects.all())
    letter = forms.RegexField("^[A-Z]{0,2}$", required=False)
    reason = forms.CharField(max_length=200)


class SwapForm(forms.Form):
    high = forms.ModelChoiceField(Person.objects.all())
    low = forms.ModelChoiceField(Person.objects.all())
    reason = forms.CharField(max_length=200)


class SessionForm(forms.Form):
    title = forms.CharField(max_length=150)
    guide_version = forms.CharField(max_length=20)
    held_at = forms.DateTimeField(widget=forms.DateTimeInput)
    minutes = forms.IntegerField(min_value=1, max_value=600)
    attended = forms.ModelMultipleChoiceField(Person.objects.all())


class ScoresForm(forms.Form):
    person = forms.ModelChoiceField(Person.objects.all())
    sentiment = forms.FloatField(min_value=0, max_value=100)
    quality = forms.FloatField(min_value=0, max_value=100)
    source = forms.CharField(max_length=150)


@login_required
@permission_required("annotation.manage_people", raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
def people(request: HttpRequest) -> HttpResponse:
    """The page; a POST names its `action` and comes back here, or shows what was wrong."""
    if request.method != "POST":
        return render(request, "annotation/people.html", _context())
    action = ACTIONS.get(request.POST.get("action", ""))
    if action is None:
        return render(request, "annotation/people.html", _context(problems=[_("There is no such action.")]), status=400)
    form_class, act = action
    form = form_class(request.POST, request.FILES)
    if not form.is_valid():
        return _refused(
            request, [f"{form.fields[name].label or name}: {' '.join(map(str, errors))}" for name, errors in form.errors.items()]
        )
    try:
        outcome = act(request, form.cleaned_data)
    except services.BadLines as error:
        return _refused(request, error.lines)
    except ValidationError as error:
        return _refused(request, error.messages)
    except services.Conflict as error:
        return _refused(request, [str(error)], status=409)
    if isinstance(outcome, HttpResponse):
        return outcome
    messages.success(request, outcome)
    return redirect("annotation:people")


def _refused(request: HttpRequest, problems: list[str], *, status: int = 400) -> HttpResponse:
    return render(request, "annotation/people.html", _context(problems=problems), status=status)


def _context(**more: Any) -> dict[str, Any]:
    """Everything on the page, in a constant number of queries."""
    best, trained = selectors.scores_best(), selectors.attendance()
    rows = []
    for person in selectors.people_overview():
        scores = best.get(person.pk, {})
        rows.append(
            {
                "person": person,
                "p": score(person),
                "sentiment": scores.get("sentiment"),
                "quality": scores.get("quality"),
                **trained.get(person.pk, {"sessions": 0, "guide": ""}),
            }
        )
    groups = _groups(rows)
    means = [group["p"] for group in groups]
    return {
        "rows": rows,
        "groups": groups,
        "oddities": services.groups_oddities(),
        "spread": max(means) - min(means) if len(means) > 1 else None,
        "changes": selectors.staff_changes(),
        "sessions": selectors.sessions_held(),
        "members": [row["person"] for row in rows if row["person"].role == Person.Role.ANNOTATOR and row["person"].group_id],
        "pass_mark": PASS_MARK,
        "any_without_password": any(not row["person"].user.has_usable_password() for row in rows),
        **more,
    }


def _groups(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per group its leader, its members and the mean p of all of them."""
    groups = []
    for group in Group.objects.all():
        here = [row for row in rows if row["person"].group_id == group.pk]
        if not here:
            continue
        groups.append(
            {
                "letter": group.letter,
                "leaders": [row for row in here if row["person"].role == Person.Role.LEADER],
                "members": [row for row in here if row["person"].role == Person.Role.ANNOTATOR],
                "p": sum(row["p"] for row in here) / len(here),
            }
        )
    return groups


# --- what the buttons do -------------------------------------------------------------------------------------------


def _import(request: HttpRequest, asked: dict[str, Any]) -> str:
    counts = services.people_import(asked["file"])
    return _("%(created)d people made, %(updated)d updated.") % counts


def _propose(request: HttpRequest, asked: dict[str, Any]) -> HttpResponse:
    proposal = services.groups_propose()
    return render(request, "annotation/people.html", _context(proposal=proposal, proposal_rows=proposal.as_rows()))


def _assign(request: HttpRequest, asked: dict[str, Any]) -> str:
    proposal = services.groups_assign(by=cast(User, request.user))
    return _("Groups assigned; the means of p lie %(spread).2f apart.") % {"spread": proposal.allocation.spread}


def _invite(request: HttpRequest, asked: dict[str, Any]) -> HttpResponse:
    """Shows the links on the page itself instead of leading to it: they are in no session and no log."""
    people, links, problems = [asked["person"]] if asked["person"] else services.people_without_password(), [], []
    for person in people:
        try:
            links.append((person, request.build_absolute_uri(services.person_invite(person, by=cast(User, request.user)))))
        except ValidationError as error:
            problems += error.messages
    if not links:
        raise ValidationError(problems or [_("Everybody has a password already.")])
    response = render(request, "annotation/people.html", _context(links=links, without_link=problems, days=LINK_DAYS))
    response["Cache-Control"] = "no-store"
    return response


def _pause(request: HttpRequest, asked: dict[str, Any]) -> str:
    person = asked["person"]
    moved = services.person_pause(person, reason=asked["reason"], by=cast(User, request.user), reassign=asked["reassign"])
    told = _("%(name)s is paused.") % {"name": person}
    went = (
        ngettext("%d clip went to others.", "%d clips went to others.", moved) % moved
    )  # outside the f-string: xgettext reads no f-strings
    return f"{told} {went}" if moved else told


def _resume(request: HttpRequest, asked: dict[str, Any]) -> str:
    services.person_resume(asked["person"], by=cast(User, request.user))
    return _("%(name)s gets work again.") % {"name": asked["person"]}


def _move(request: HttpRequest, asked: dict[str, Any]) -> str:
    odd = services.person_override(asked["person"], letter=asked["letter"], reason=asked["reason"], by=cast(User, request.user))
    told = _("%(name)s was moved.") % {"name": asked["person"]}
    return f"{told} {'; '.join(odd)}" if odd else told


def _swap(request: HttpRequest, asked: dict[str, Any]) -> str:
    services.member_swap(asked["high"], asked["low"], reason=asked["reason"], by=cast(User, request.user))
    return _("%(high)s and %(low)s have changed places.") % {"high": asked["high"], "low": asked["low"]}


def _session(request: HttpRequest, asked: dict[str, Any]) -> str:
    minutes = {person.pk: asked["minutes"] for person in asked["attended"]}
    services.session_record(
        title=asked["title"],
        guide_version=asked["guide_version"],
        held_at=asked["held_at"],
        held_by=str(getattr(request.user, "person", request.user)),
        minutes=minutes,
    )
    return ngettext("Session noted with %d person.", "Session noted with %d people.", len(minutes)) % len(minutes)


def _scores(request: HttpRequest, asked: dict[str, Any]) -> str:
    person = asked["person"]
    if person.user_id == request.user.pk:
        raise PermissionDenied(_("Nobody vouches for their own test."))
    qualified = services.qualification_record(
        person,
        sentiment=asked["sentiment"],
        quality=asked["quality"],
        source=asked["source"],
        now=timezone.now(),
        by=cast(User, request.user),
    )
    if qualified:
        return _("%(name)s is qualified.") % {"name": person}
    return _("Noted; %(name)s needs %(mark)d in both parts.") % {"name": person, "mark": PASS_MARK}


ACTIONS: dict[str, tuple[type[forms.Form], Callable[[HttpRequest, dict[str, Any]], str | HttpResponse]]] = {
    "import": (CsvForm, _import),
    "propose": (forms.Form, _propose),
    "assign": (forms.Form, _assign),
    "invite": (InviteForm, _invite),
    "pause": (ReasonForm, _pause),
    "resume": (PersonForm, _resume),
    "move": (MoveForm, _move),
    "swap": (SwapForm, _swap),
    "session": (SessionForm, _session),
    "scores": (ScoresForm, _scores),
}
