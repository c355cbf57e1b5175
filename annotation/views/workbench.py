"""The pages that people label on: the members' workbench, the leader's and the expert's.

They hand the script what never changes during a visit; clips, drafts and votes go through the API.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from annotation import selectors, services
from annotation.access import batch_for, person_of
from annotation.models import Person
from annotation.rules import taxonomy
from annotation.rules.preferences import BREAK_MINUTES, DEFAULT_KEYS
from annotation.views.words import ACTIONS, EMOTION_GUIDE, EMOTION_NAMES, workbench_words

CONFIDENCES = [(n / 10, f".{n}" if 0 < n < 10 else str(n // 10)) for n in range(11)]
QUEUE_SHOWN = 100
BATCHES_SHOWN = 30
BATCH_MOST = 3000  # as the API


def taxonomy_shown() -> dict[str, Any]:
    """The adjective table in force as the script reads it: `name` is in the reader's language."""
    in_chinese = (get_language() or "").startswith("zh")
    return {
        "version": taxonomy.TABLE_VERSION,
        "emotions": [{"key": key, "name": str(EMOTION_NAMES[key]), "polarity": taxonomy.POLARITY[key]} for key in taxonomy.EMOTIONS],
        "adjectives": [
            {"key": one.key, "name": one.zh_hans if in_chinese else one.en, "en": one.en, "zh": one.zh_hans, "emotion": one.emotion}
            for one in taxonomy.ADJECTIVES
        ],
    }


def workbench_context(request: HttpRequest, person: Person) -> dict[str, Any]:
    hints = services.hints_offered() and person.role == Person.Role.ANNOTATOR
    return {
        "person": person,
        "hints": hints,
        "confidences": CONFIDENCES,
        "actions": [action for action in ACTIONS if hints or action[0] != "hint"],
        "guide": [(key, EMOTION_NAMES[key], EMOTION_GUIDE[key]) for key in taxonomy.EMOTIONS],
        "data": {
            "person": {"id": person.pk, "user": request.user.pk, "username": request.user.get_username()},
            "preferences": person.preferences,
            "keys": DEFAULT_KEYS,
            "break_minutes": BREAK_MINUTES,
            "taxonomy": taxonomy_shown(),
            "blind": settings.BLIND_EMOTION,
            "hints": hints,
            "undo_s": settings.UNDO_S,
            "progress": selectors.progress(person, now=timezone.now()),
            "urls": {"sign_in": reverse("login"), "code": reverse("mfa_authenticate")},
            "words": workbench_words(),
        },
    }


@require_safe
@login_required
@permission_required("annotation.label", raise_exception=True)
def annotate(request: HttpRequest) -> HttpResponse:
    """The members' workbench."""
    return render(request, "annotation/annotate.html", workbench_context(request, person_of(request.user)))


@require_safe
@login_required
@permission_required("annotation.decide_as_expert", raise_exception=True)
def expert(request: HttpRequest) -> HttpResponse:
    """The expert's workbench, with what nobody below could decide."""
    person = person_of(request.user)
    context = workbench_context(request, person) | {"queue": selectors.turns_above(person)[:QUEUE_SHOWN]}
    return render(request, "annotation/expert.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@permission_required("annotation.lead_group", raise_exception=True)
def leader(request: HttpRequest) -> HttpResponse:
    """The leader's workbench, queue, batches and group; a POST opens or collects a batch."""
    person = person_of(request.user)
    if request.method == "POST":
        _lead(request, person)
        return redirect("annotation:leader")
    group = person.group
    context = workbench_context(request, person) | {
        "queue": selectors.turns_above(person)[:QUEUE_SHOWN],
        "members": selectors.members_progress(group) if group else [],
        "batches": selectors.batches(group).order_by("-pk")[:BATCHES_SHOWN] if group else [],
        "batch_most": BATCH_MOST,
        "may_hint": settings.PRELABEL_HINT == "batches",
    }
    return render(request, "annotation/leader.html", context)


def _lead(request: HttpRequest, person: Person) -> None:
    try:
        if "collect" in request.POST:
            batch = services.batch_collect(batch_for(request.user, _number(request.POST["collect"])), now=timezone.now())
            messages.success(request, _("Batch %(batch)s is collected.") % {"batch": batch.pk})
        else:
            _open_batch(request, person)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    except (ValueError, services.Conflict) as error:
        messages.error(request, str(error))


def _open_batch(request: HttpRequest, person: Person) -> None:
    size = _number(request.POST.get("size", ""))
    if not 1 <= size <= BATCH_MOST:
        raise ValueError(_("A batch has from 1 to %(most)s clips.") % {"most": BATCH_MOST})
    _batch, made = services.batch_open(person, size=size, with_hints="with_hints" in request.POST)
    text = ngettext("%(n)s clip distributed to your group.", "%(n)s clips distributed to your group.", made)
    messages.success(request, text % {"n": made})


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(_("%(text)s is not a number.") % {"text": repr(text)}) from None
