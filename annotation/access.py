"""The only doors to another person's rows: one that is absent and one that is not yours give the same answer, Http404."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from django.http import Http404

from annotation.models import Assignment, Batch, Person, QualificationAttempt, Sample, Vote


def person_of(user: Any) -> Person:
    """The person behind a signed-in user. Raises Http404 for a user who is nobody's (an operator's account)."""
    try:
        return Person.objects.select_related("group", "user").get(user_id=user.pk)
    except Person.DoesNotExist:
        raise Http404("no person belongs to this account") from None


# As text: this is asked with every call of the workbench, and building it anew cost a fifth of the call.
PERMITTED = """
SELECT person.* FROM annotation_person person WHERE person.user_id = %s AND EXISTS (
  SELECT 1 FROM auth_user_groups role
  JOIN auth_group_permissions granted ON granted.group_id = role.group_id
  JOIN auth_permission permission ON permission.id = granted.permission_id
  JOIN django_content_type type ON type.id = permission.content_type_id
  WHERE role.user_id = person.user_id AND type.app_label = 'annotation' AND permission.codename IN ({names}))
"""


def permitted_person(user: Any, permissions: tuple[str, ...]) -> Person | None:
    """The person behind an active user, if an auth group of theirs grants one of these permissions of this app."""
    names = [name.removeprefix("annotation.") for name in permissions if name.startswith("annotation.")]
    if not names or not user.is_active:
        return None
    query = PERMITTED.format(names=", ".join(["%s"] * len(names)))
    return next(iter(Person.objects.raw(query, [user.pk, *names])), None)


def assignment_for(person: Person, pk: int) -> Assignment:
    found = one_of(Assignment.objects.filter(person_id=person.pk), pk)
    found.person = person
    return found


def vote_for(person: Person, pk: int) -> Vote:
    return one_of(Vote.objects.select_related("person", "assignment").filter(person_id=person.pk), pk)


def attempt_for(user: Any, pk: int) -> QualificationAttempt:
    return one_of(QualificationAttempt.objects.select_related("person").filter(person__user_id=user.pk), pk)


def batch_for(user: Any, pk: int) -> Batch:
    """A batch of the leader's own group."""
    leads = Q(group__people__user_id=user.pk, group__people__role=Person.Role.LEADER)
    return one_of(Batch.objects.select_related("group").filter(leads).distinct(), pk)


def samples_of(user: Any) -> QuerySet[Sample]:
    """Samples whose story this user may read: all with the permission; a leader's own group's once they are settled.

    The timeline of any other sample tells the earlier votes, which a later voter must not see: one that was flagged out may come back.
    """
    everything = Sample.objects.select_related("group", "video")
    if user.has_perm("annotation.view_timeline"):
        return everything
    if not user.has_perm("annotation.lead_group"):
        return everything.none()
    return everything.filter(group__people__user_id=user.pk, state=Sample.State.DECIDED)


def sample_for(user: Any, pk: int) -> Sample:
    return one_of(samples_of(user), pk)


def one_of(rows: QuerySet, pk: int) -> Any:
    try:
        return rows.get(pk=pk)
    except rows.model.DoesNotExist:
        raise Http404("Not found.") from None
