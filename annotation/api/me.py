"""A person's own side: progress, history, settings. Own numbers only; no ranking anywhere."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import selectors, services
from annotation.api.base import REFUSED, Pages, Route, checked
from annotation.api.turns import ProgressSerializer, VoteSerializer, vote_told
from annotation.rules import taxonomy
from annotation.rules.preferences import preferences_checked
from annotation.services.people import opt_outs_known


class DaySerializer(serializers.Serializer):
    day = serializers.DateField()
    votes = serializers.IntegerField()
    active_minutes = serializers.FloatField()


class MyProgressSerializer(ProgressSerializer):
    done_total = serializers.IntegerField()
    days = DaySerializer(many=True)
    role = serializers.CharField()
    group = serializers.CharField(allow_blank=True)
    qualified = serializers.BooleanField()
    paused_reason = serializers.CharField(allow_blank=True)
    undo_s = serializers.IntegerField()


class OwnRoute(Route):
    permissions = ("annotation.view_own_work",)


class MyProgressView(OwnRoute):
    @extend_schema(operation_id="me_progress", responses={200: MyProgressSerializer, **REFUSED}, summary="Own counts and pace.")
    def get(self, request: Request) -> Response:
        person, now = self.person, timezone.now()
        told = selectors.progress(person, now=now) | {
            "done_total": person.votes.filter(undone_at__isnull=True).count(),
            "days": selectors.pace(person, now=now),
            "role": person.role,
            "group": person.group.letter if person.group else "",
            "qualified": person.qualified_at is not None,
            "paused_reason": services.reason_told(person.paused_reason),
            "undo_s": settings.UNDO_S,
        }
        return Response(told)


class MyVoteSerializer(VoteSerializer):
    undone_at = serializers.DateTimeField(allow_null=True)
    can_undo = serializers.BooleanField()


class MyVotesPage(serializers.Serializer):
    count = serializers.IntegerField()
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = MyVoteSerializer(many=True)


class MyVotesView(OwnRoute):
    @extend_schema(operation_id="me_votes", responses={200: MyVotesPage, **REFUSED}, summary="Own votes, latest first.")
    def get(self, request: Request) -> Response:
        pages = Pages()
        votes = pages.paginate_queryset(self.person.votes.order_by("-pk"), request, view=self) or []
        now = timezone.now()
        rows: list[dict[str, Any]] = []
        for vote in votes:
            told = vote_told(vote)
            can_undo = vote.undone_at is None and now <= told["undo_until"]
            rows.append({**told, "undone_at": vote.undone_at, "can_undo": can_undo})
        return pages.get_paginated_response(rows)


class PreferencesSerializer(serializers.Serializer):
    preferences = serializers.DictField(required=False, help_text="keys, break_minutes, blur; anything else is refused")
    opted_out = serializers.ListField(
        child=serializers.ChoiceField(opt_outs_known()), required=False, help_text="content flags and emotions not to be shown"
    )

    def validate_preferences(self, value: dict[str, Any]) -> dict[str, Any]:
        try:
            return preferences_checked(value)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None


class PreferencesView(OwnRoute):
    @extend_schema(operation_id="me_preferences_get", responses={200: PreferencesSerializer, **REFUSED}, summary="Own settings.")
    def get(self, request: Request) -> Response:
        return Response({"preferences": self.person.preferences, "opted_out": self.person.opted_out})

    @extend_schema(
        operation_id="me_preferences_put",
        request=PreferencesSerializer,
        responses={200: PreferencesSerializer, **REFUSED},
        summary="Changes own settings.",
    )
    def put(self, request: Request) -> Response:
        services.preferences_save(self.person, **checked(PreferencesSerializer, request))
        return self.get(request)


class AdjectiveSerializer(serializers.Serializer):
    key = serializers.CharField()
    en = serializers.CharField()
    zh_hans = serializers.CharField()
    emotion = serializers.CharField()


class AdjectivesSerializer(serializers.Serializer):
    version = serializers.IntegerField()
    blind = serializers.BooleanField()
    emotions = serializers.ListField(child=serializers.CharField())
    adjectives = AdjectiveSerializer(many=True)


class AdjectivesView(Route):
    @extend_schema(operation_id="adjectives", responses={200: AdjectivesSerializer, **REFUSED}, summary="The adjective table in force.")
    def get(self, request: Request) -> Response:
        rows = [{"key": a.key, "en": a.en, "zh_hans": a.zh_hans, "emotion": a.emotion} for a in taxonomy.ADJECTIVES]
        told = {"version": taxonomy.TABLE_VERSION, "blind": settings.BLIND_EMOTION, "emotions": taxonomy.EMOTIONS, "adjectives": rows}
        return Response(told)
