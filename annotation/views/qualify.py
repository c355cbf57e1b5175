"""The labelling test (Sec. III-B): where a person stands, and the frame in which the script shows one item after another."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from annotation import selectors
from annotation.access import person_of
from annotation.rules.qualification import LEAST_QUALITY_ITEMS, PASS_MARK
from annotation.views.words import EMOTION_NAMES

PARTS = {  # part → its name, what is asked
    "sentiment": (gettext_lazy("Sentiment quotient"), gettext_lazy("What would most people in this scene feel?")),
    "quality": (gettext_lazy("Annotation quality"), gettext_lazy("What does this clip make a viewer feel?")),
}


@require_safe
@login_required
@permission_required("annotation.label", raise_exception=True)
def qualify(request: HttpRequest) -> HttpResponse:
    """Both parts of the test; answers and score go through the API, and the page tells what came of it."""
    person = person_of(request.user)
    context = {
        "person": person,
        "parts": [{**part, "name": PARTS[part["part"]][0]} for part in selectors.qualification_parts(person)],
        "pass_mark": PASS_MARK,
        "attempts": settings.QUALIFICATION_ATTEMPTS,
        "least_gold": LEAST_QUALITY_ITEMS,
        "emotions": [(key, key[0], name) for key, name in EMOTION_NAMES.items()],
        "sign_in": f"{reverse('login')}?next={reverse('annotation:qualify')}",
        "data": {"scene": "zh_hans" if (get_language() or "").startswith("zh") else "en", "words": words()},
    }
    return render(request, "annotation/qualify.html", context)


def words() -> dict[str, Any]:
    """Every text that the test's script writes; %(name)s is filled in there."""
    return {
        "questions": {part: str(question) for part, (_name, question) in PARTS.items()},
        "names": {part: str(name) for part, (name, _question) in PARTS.items()},
        "place": _("%(place)s of %(all)s"),
        "noConnection": _("No connection. Try again in a moment; nothing is lost."),
        "signedOut": _("Your session has ended. Your answers are kept in this browser: sign in again, then go on with the test."),
        "brokenClip": _("This clip does not play. Load the page again; if that does not help, tell your manager."),
    }
