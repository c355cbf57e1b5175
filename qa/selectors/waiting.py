"""What waits for a person and for the house, for the front page: a handful of counts."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX

from annotation.models import Assignment, GoldItem, Person
from annotation.rules.qualification import LEAST_QUALITY_ITEMS
from crawler.models import Stage, Video
from crawler.selectors import reviews_waiting
from qa.models import AdjustmentStep, MosStudy, Release
from qa.selectors.crosscheck import LIVE
from qa.selectors.mos import mos_next


def waiting_for(person: Person | None) -> dict[str, int]:
    """Counts by name; what is one's own is 0 for a user without a place among the people."""
    studies = MosStudy.objects.all() if person and person.role == Person.Role.EXPERT else ()
    return {
        "turns": Assignment.objects.filter(person=person, state__in=LIVE).count() if person else 0,
        "tests": int(person is not None and person.role == Person.Role.ANNOTATOR and person.qualified_at is None),
        "studies": sum(mos_next(study, person) is not None for study in studies) if person else 0,
        "reviews": reviews_waiting(),
        "stages": Stage.objects.filter(state__in=[Stage.State.PLANNED, Stage.State.RUNNING]).count(),
        "proposals": AdjustmentStep.objects.filter(state=AdjustmentStep.State.PROPOSED).count(),
        "unplaced": Person.objects.filter(role=Person.Role.ANNOTATOR, group__isnull=True, user__is_active=True).count(),
        "releases": Release.objects.count(),
        **_beginnings(),
    }


def _beginnings() -> dict[str, int]:
    """What a team that begins still lacks; all 0 once it works."""
    staff = Person.objects.filter(user__is_active=True)
    unqualified = staff.filter(role=Person.Role.ANNOTATOR, qualified_at__isnull=True).exists()
    # Where a sign-in server of the house is asked, nobody needs a password here.
    shut_out = 0 if settings.OIDC_ISSUER else staff.filter(user__password__startswith=UNUSABLE_PASSWORD_PREFIX).count()
    return {
        "no_people": int(not Person.objects.exists()),
        "no_videos": int(not Video.objects.exists()),
        "shut_out": shut_out,
        "gold_lacking": max(0, LEAST_QUALITY_ITEMS - GoldItem.objects.filter(in_test=True).count()) if unqualified else 0,
    }
