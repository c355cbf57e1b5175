"""The pages that people label on: the members' workbench, the leader's and the expert's queue, and one's own page.

They hand the script what never changes during a visit; clips, drafts and votes go through the API.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from annotation.access import person_of
from annotation.models import Person
from annotation.rules import taxonomy
from annotation.rules.preferences import BREAK_MINUTES, DEFAULT_KEYS
from annotation.views.words import ACTIONS, EMOTION_GUIDE, EMOTION_NAMES, workbench_words

CONFIDENCES = [(n / 10, f"{n / 10:.1f}".removeprefix("0") if 0 < n < 10 else str(n // 10)) for n in range(11)]


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
    return {
        "person": person,
        "blind": settings.BLIND_EMOTION,
        "confidences": CONFIDENCES,
        "actions": ACTIONS,
        "guide": [(key, EMOTION_NAMES[key], EMOTION_GUIDE[key]) for key in taxonomy.EMOTIONS],
        "data": {
            "person": {"id": person.pk, "username": request.user.get_username()},
            "preferences": person.preferences,
            "keys": DEFAULT_KEYS,
            "break_minutes": BREAK_MINUTES,
            "taxonomy": taxonomy_shown(),
            "blind": settings.BLIND_EMOTION,
            "undo_s": settings.UNDO_S,
            "urls": {"sign_in": reverse("login")},
            "words": workbench_words(),
        },
    }


@require_safe
@login_required
@permission_required("annotation.label", raise_exception=True)
def annotate(request: HttpRequest) -> HttpResponse:
    """The members' workbench."""
    return render(request, "annotation/annotate.html", workbench_context(request, person_of(request.user)))
