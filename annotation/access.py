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


def permitted_person(user: Any, permissions: tuple[str, ...]) -> Person | None:
    """The person behind an active user, if an auth group of theirs grants one of these permissions of this app."""
    names = [name.removeprefix("annotation.") for name in permissions if name.startswith("annotation.")]
    granted = Person.objects.filter(
        user_id=user.pk,
        user__is_active=True,
        user__groups__permissions__codename__in=names,
        user__groups__permissions__content_type__app_label="annotation",
    )
    return granted.select_related("group").first()


def assignment_for(user: Any, pk: int) -> Assignment:
    return one_of(Assignment.objects.select_related("person").filter(person__user_id=user.pk), pk)


def vote_for(user: Any, pk: int) -> Vote:
    return one_of(Vote.objects.select_related("person", "assignment").filter(person__user_id=user.pk), pk)


def attempt_for(user: Any, pk: int) -> QualificationAttempt:
    return one_of(QualificationAttempt.objects.select_related("person").filter(person__user_id=user.pk), pk)


def batch_for(user: Any, pk: int) -> Batch:
    """A batch of the leader's own group."""
    leads = Q(group__people__user_id=user.pk, group__people__role=Person.Role.LEADER)
    return one_of(Batch.objects.select_related("group").filter(leads).distinct(), pk)


def samples_of(user: Any) -> QuerySet[Sample]:
    """Samples whose story this user may read: all with the permission; a leader's own group's once they are settled.

    An open sample's timeline tells the earlier votes, which a later voter must not see.
    """
    everything = Sample.objects.select_related("group", "video")
    if user.has_perm("annotation.view_timeline"):
        return everything
    if not user.has_perm("annotation.lead_group"):
        return everything.none()
    return everything.filter(group__people__user_id=user.pk).exclude(state=Sample.State.OPEN)


def sample_for(user: Any, pk: int) -> Sample:
    return one_of(samples_of(user), pk)


def one_of(rows: QuerySet, pk: int) -> Any:
    found = rows.filter(pk=pk).first()
    if found is None:
        raise Http404("Not found.")
    return found
