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
    item = serializers.CharField(help_text="its place in the attempt; its own name would tell the answer")
    en = serializers.CharField(required=False)
    zh_hans = serializers.CharField(required=False)
    media_url = serializers.CharField(required=False, help_text="empty if the clip is gone")


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
            return [{"item": str(place), "en": scene.en, "zh_hans": scene.zh_hans} for place, scene in enumerate(scenes, start=1)]
        gold = {str(item.pk): item for item in GoldItem.objects.select_related("video").filter(pk__in=attempt.items)}
        urls = [media_url(gold[key].video, self.request.user) if key in gold else "" for key in attempt.items]
        return [{"item": str(place), "media_url": url} for place, url in enumerate(urls, start=1)]


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
        attempt = access.attempt_for(request.user, pk)
        names = {str(place): key for place, key in enumerate(attempt.items, start=1)}
        named = {names.get(item, f"no item {item}"): answer for item, answer in answers.items()}
        attempt = services.qualification_finish(attempt, answers=named, now=timezone.now())
        score = attempt.score or 0.0
        told = {"attempt": pk, "score": score, "passed": score >= PASS_MARK, "hints": attempt.hints}
        return Response({**told, "qualified": attempt.person.qualified_at is not None})
