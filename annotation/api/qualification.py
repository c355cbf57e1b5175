"""The labelling test, taken by the person it is about."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import access, services
from annotation.api.base import CONFLICT, REFUSED, Route, checked
from annotation.api.turns import media_url
from annotation.models import GoldItem, QualificationAttempt
from annotation.rules import sentiment
from annotation.rules.qualification import PASS_MARK


class PartRequest(serializers.Serializer):
    part = serializers.ChoiceField(QualificationAttempt.Part.choices)


class ItemSerializer(serializers.Serializer):
    item = serializers.CharField()
    en = serializers.CharField(required=False)
    zh_hans = serializers.CharField(required=False)
    media_url = serializers.CharField(required=False)


class AttemptSerializer(serializers.Serializer):
    attempt = serializers.IntegerField()
    part = serializers.CharField()
    number = serializers.IntegerField()
    pass_mark = serializers.FloatField()
    items = ItemSerializer(many=True)


class AnswersRequest(serializers.Serializer):
    answers = serializers.DictField(child=serializers.CharField(max_length=30), help_text="item → adjective or emotion")


class ResultSerializer(serializers.Serializer):
    attempt = serializers.IntegerField()
    score = serializers.FloatField()
    passed = serializers.BooleanField()
    hints = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField()), help_text="at most three pairs: it was, you answered"
    )
    qualified = serializers.BooleanField()


class StartView(Route):
    permissions = ("annotation.label",)

    @extend_schema(
        operation_id="qualification_start",
        request=PartRequest,
        responses={200: AttemptSerializer, **REFUSED, **CONFLICT},
        summary="Begins a part of the labelling test, or goes on with the one begun.",
    )
    def post(self, request: Request) -> Response:
        part = checked(PartRequest, request)["part"]
        attempt = services.qualification_start(self.person, part=part, rng=np.random.default_rng())
        told = {"attempt": attempt.pk, "part": attempt.part, "number": attempt.number, "pass_mark": PASS_MARK}
        return Response({**told, "items": self.items(attempt)})

    def items(self, attempt: QualificationAttempt) -> list[dict[str, Any]]:
        if attempt.part == QualificationAttempt.Part.SENTIMENT:
            scenes = [sentiment.BY_KEY[key] for key in attempt.items]
            return [{"item": scene.key, "en": scene.en, "zh_hans": scene.zh_hans} for scene in scenes]
        gold = {str(item.pk): item for item in GoldItem.objects.select_related("video").filter(pk__in=attempt.items)}
        return [{"item": key, "media_url": media_url(gold[key].video, self.request.user)} for key in attempt.items]


class FinishView(Route):
    permissions = ("annotation.label",)

    @extend_schema(
        operation_id="qualification_finish",
        request=AnswersRequest,
        responses={200: ResultSerializer, **REFUSED, **CONFLICT},
        summary="Hands in all answers. The score is told, and confusions seen at least three times; never which item was wrong.",
    )
    def post(self, request: Request, pk: int) -> Response:
        answers = checked(AnswersRequest, request)["answers"]
        attempt = services.qualification_finish(access.attempt_for(request.user, pk), answers=answers, now=timezone.now())
        score = attempt.score or 0.0
        told = {"attempt": pk, "score": score, "passed": score >= PASS_MARK, "hints": attempt.hints}
        return Response({**told, "qualified": attempt.person.qualified_at is not None})
