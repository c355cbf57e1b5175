"""People and groups, for the manager."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import access, selectors, services
from annotation.api.base import CONFLICT, REFUSED, Pages, Route, checked
from annotation.models import Person
from annotation.services.groups import score


class ManagerRoute(Route):
    permissions = ("annotation.manage_people",)


class PersonSerializer(serializers.Serializer):
    person = serializers.IntegerField(source="pk")
    username = serializers.CharField(source="user.username")
    full_name = serializers.CharField()
    is_simulated = serializers.BooleanField()
    gender = serializers.CharField()
    role = serializers.CharField()
    group = serializers.SerializerMethodField()
    p = serializers.SerializerMethodField(help_text="allocation score of Eq. 1")
    qualified_at = serializers.DateTimeField(allow_null=True)
    paused_reason = serializers.CharField(allow_blank=True)
    num_votes = serializers.IntegerField(help_text=f"that stand, of the last {selectors.OVERVIEW_DAYS} days")
    last_vote_at = serializers.DateTimeField(allow_null=True)

    def get_group(self, person: Person) -> str:
        return person.group.letter if person.group else ""

    def get_p(self, person: Person) -> float:
        return round(score(person), 2)


class PeoplePage(serializers.Serializer):
    count = serializers.IntegerField()
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = PersonSerializer(many=True)


class PeopleView(ManagerRoute):
    @extend_schema(operation_id="people_list", responses={200: PeoplePage, **REFUSED}, summary="Everyone, with p and counts.")
    def get(self, request: Request) -> Response:
        pages = Pages()
        rows = pages.paginate_queryset(selectors.people_overview(), request, view=self)
        return pages.get_paginated_response(PersonSerializer(rows, many=True).data)


class PersonView(ManagerRoute):
    @extend_schema(operation_id="people_read", responses={200: PersonSerializer, **REFUSED}, summary="One person.")
    def get(self, request: Request, pk: int) -> Response:
        return Response(person_told(pk))


def person_told(pk: int) -> dict[str, object]:
    return PersonSerializer(access.one_of(selectors.people_overview(), pk)).data


class PauseRequest(serializers.Serializer):
    reason = serializers.CharField(max_length=200)
    reassign = serializers.BooleanField(required=False, default=False, help_text="give the open turns to others now")


class PauseView(ManagerRoute):
    @extend_schema(
        operation_id="people_pause", request=PauseRequest, responses={200: PersonSerializer, **REFUSED}, summary="Gives no more work."
    )
    def post(self, request: Request, pk: int) -> Response:
        person = access.one_of(Person.objects.all(), pk)
        services.person_pause(person, by=cast(User, request.user), **checked(PauseRequest, request))
        return Response(person_told(pk))


class ResumeView(ManagerRoute):
    @extend_schema(operation_id="people_resume", request=None, responses={200: PersonSerializer, **REFUSED}, summary="Gives work again.")
    def post(self, request: Request, pk: int) -> Response:
        services.person_resume(access.one_of(Person.objects.all(), pk), by=cast(User, request.user))
        return Response(person_told(pk))


class ImportRequest(serializers.Serializer):
    csv = serializers.CharField(max_length=2_000_000, trim_whitespace=False, help_text="the text of a people.csv")


class ImportSerializer(serializers.Serializer):
    created = serializers.IntegerField()
    updated = serializers.IntegerField()


class ImportView(ManagerRoute):
    @extend_schema(
        operation_id="people_import",
        request=ImportRequest,
        responses={200: ImportSerializer, **REFUSED},
        summary="Makes or updates people, all or none; a refusal lists every bad line in `lines`.",
    )
    def post(self, request: Request) -> Response:
        return Response(services.people_import(checked(ImportRequest, request)["csv"]))


class ProposalRow(serializers.Serializer):
    group = serializers.CharField()
    members = serializers.ListField(child=serializers.CharField())
    leader = serializers.CharField()
    p = serializers.FloatField(help_text="mean allocation score of the four")


class ProposalSerializer(serializers.Serializer):
    groups = ProposalRow(many=True)
    reserve = serializers.ListField(child=serializers.CharField())
    spread = serializers.FloatField(help_text="largest minus smallest mean p")
    best_possible = serializers.FloatField(help_text="proven lower bound of the spread with these people")
    applied = serializers.BooleanField()


class AssignRequest(serializers.Serializer):
    dry_run = serializers.BooleanField(required=False, default=True)
    num_groups = serializers.IntegerField(required=False, min_value=1, max_value=26)


class GroupsAssignView(ManagerRoute):
    @extend_schema(
        operation_id="groups_assign",
        request=AssignRequest,
        responses={200: ProposalSerializer, **REFUSED},
        summary="Solves for the most even groups (Eq. 1); applies them when dry_run is false.",
    )
    def post(self, request: Request) -> Response:
        asked = checked(AssignRequest, request)
        proposal = services.groups_assign(by=cast(User, request.user), **asked)
        told = {
            "groups": proposal.as_rows(),
            "reserve": [person.key for person in proposal.allocation.reserve],
            "spread": round(proposal.allocation.spread, 4),
            "best_possible": round(proposal.allocation.best_possible, 4),
            "applied": not asked["dry_run"],
        }
        return Response(told)


class SwapRequest(serializers.Serializer):
    high = serializers.IntegerField(help_text="person")
    low = serializers.IntegerField(help_text="person of another group, of the same gender")
    reason = serializers.CharField(max_length=200)


class SwapView(ManagerRoute):
    @extend_schema(
        operation_id="people_swap",
        request=SwapRequest,
        responses={200: PersonSerializer(many=True), **REFUSED, **CONFLICT},
        summary="Exchanges the groups of two members.",
    )
    def post(self, request: Request) -> Response:
        asked = checked(SwapRequest, request)
        high, low = (access.one_of(Person.objects.all(), asked[key]) for key in ("high", "low"))
        services.member_swap(high, low, reason=asked["reason"], by=cast(User, request.user))
        return Response([person_told(high.pk), person_told(low.pk)])


class GroupSerializer(serializers.Serializer):
    group = serializers.CharField(source="letter")
    num_samples = serializers.IntegerField()
    num_open = serializers.IntegerField()
    num_decided = serializers.IntegerField()


class GroupsView(Route):
    permissions = ("annotation.manage_people", "annotation.view_timeline")

    @extend_schema(operation_id="groups_list", responses={200: GroupSerializer(many=True), **REFUSED}, summary="Groups and their progress.")
    def get(self, request: Request) -> Response:
        return Response(GroupSerializer(selectors.groups_progress(), many=True).data)
