"""The workbench's routes: next, draft, submit, skip, flag, heartbeat, hint, undo."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import access, selectors, services
from annotation.api.base import CONFLICT, REFUSED, ReasonSerializer, WorkerRoute, checked
from annotation.models import LABEL, Assignment, Flag, Rung, Vote
from annotation.rules.taxonomy import TABLE_VERSION
from crawler.models import Video
from crawler.selectors import clip_url


class NextRequest(serializers.Serializer):
    lease_token = serializers.UUIDField(required=False, help_text="of this browser tab; the tab that asked last holds the leases")
    rung = serializers.ChoiceField(Rung.choices, required=False)


class UpcomingSerializer(serializers.Serializer):
    assignment = serializers.IntegerField()
    media_url = serializers.CharField()
    rung = serializers.ChoiceField(Rung.choices)
    content_warning = serializers.ListField(child=serializers.CharField(), help_text="shown before the clip, which is blurred")


class ProgressSerializer(serializers.Serializer):
    done_today = serializers.IntegerField()
    waiting = serializers.IntegerField(help_text=f"turns in the own queue; {selectors.WAITING_CAP} means that many or more")


class HintSerializer(serializers.Serializer):
    run = serializers.CharField(help_text="the finished run that expects it")
    emotion = serializers.CharField()
    probability = serializers.FloatField(help_text="of that emotion")
    uncertainty = serializers.FloatField(help_text="0: one emotion is certain, 1: all six are alike")
    seen_at = serializers.DateTimeField(help_text="when the person first asked; the vote remembers it")


class TurnSerializer(serializers.Serializer):
    assignment = serializers.IntegerField()
    sample = serializers.IntegerField()
    media_url = serializers.CharField()
    duration_s = serializers.FloatField(allow_null=True)
    adjectives_version = serializers.IntegerField()
    lease_token = serializers.UUIDField()
    lease_expires_at = serializers.DateTimeField()
    upcoming = UpcomingSerializer(many=True)
    round = serializers.CharField(help_text="label, or the cross-check that this is part of")
    rung = serializers.ChoiceField(Rung.choices)
    draft = serializers.DictField()
    draft_saved_at = serializers.DateTimeField(allow_null=True)
    active_ms = serializers.IntegerField(help_text="time already spent on it, wherever that was")
    progress = ProgressSerializer()
    blind = serializers.BooleanField(help_text="the emotion that an adjective stands for stays hidden")
    content_warning = serializers.ListField(child=serializers.CharField())
    hint = HintSerializer(allow_null=True, help_text="what the person has asked to see already; null until then")
    spread = serializers.DictField(
        child=serializers.IntegerField(), allow_null=True, help_text="earlier votes without names, where allowed"
    )


class DraftRequest(serializers.Serializer):
    adjective = serializers.CharField(required=False, allow_blank=True, max_length=30)
    confidence = serializers.FloatField(required=False, allow_null=True, min_value=0, max_value=1)
    note = serializers.CharField(required=False, allow_blank=True, max_length=1000)
    lease_token = serializers.UUIDField(required=False)


class DraftSerializer(serializers.Serializer):
    assignment = serializers.IntegerField()
    saved_at = serializers.DateTimeField()


class SubmitRequest(serializers.Serializer):
    client_id = serializers.UUIDField(help_text="made once per submission; sending it again gives the same vote")
    adjective = serializers.CharField(max_length=30)
    confidence = serializers.FloatField(min_value=0, max_value=1)
    lease_token = serializers.UUIDField(required=False)
    active_ms = serializers.IntegerField(required=False, min_value=0, max_value=24 * 3600 * 1000)


class VoteSerializer(serializers.Serializer):
    vote = serializers.IntegerField()
    assignment = serializers.IntegerField()
    sample = serializers.IntegerField()
    adjective = serializers.CharField()
    adjective_table = serializers.IntegerField()
    emotion = serializers.CharField(help_text="empty while the site is blind")
    confidence = serializers.FloatField(allow_null=True)
    created_at = serializers.DateTimeField()
    undo_until = serializers.DateTimeField()


class FlagRequest(serializers.Serializer):
    flag = serializers.ChoiceField(Flag.Kind.choices)
    note = serializers.CharField(required=False, allow_blank=True, max_length=200)


class FlagSerializer(serializers.Serializer):
    assignment = serializers.IntegerField()
    flag = serializers.CharField()


class HeartbeatRequest(serializers.Serializer):
    lease_token = serializers.UUIDField()
    active_ms = serializers.IntegerField(required=False, min_value=0, max_value=3600 * 1000, help_text="active time since the last one")


class HeartbeatSerializer(serializers.Serializer):
    assignment = serializers.IntegerField()
    lease_expires_at = serializers.DateTimeField()


class StateSerializer(serializers.Serializer):
    assignment = serializers.IntegerField()
    state = serializers.CharField()


class UndoneSerializer(serializers.Serializer):
    assignment = serializers.IntegerField(help_text="the turn that is open again, next in the queue")
    draft = serializers.DictField()


class NextView(WorkerRoute):
    @extend_schema(
        operation_id="assignments_next",
        request=NextRequest,
        responses={200: TurnSerializer, 204: None, **REFUSED},
        summary="The next clip to label, leased to this tab with the two after it; 204 when nothing waits.",
    )
    def post(self, request: Request) -> Response:
        asked = checked(NextRequest, request)
        turn = services.assignment_next(self.person, lease_token=asked.get("lease_token"), rung=asked.get("rung"))
        if turn is None:
            return Response(status=204)
        return Response(self.told(turn))

    def told(self, turn: services.Turn) -> dict[str, Any]:
        current, user = turn.current, self.request.user
        return {
            "assignment": current.pk,
            "sample": current.sample_id,
            "media_url": media_url(current.sample.video, user),
            "duration_s": current.sample.video.duration_s,
            "adjectives_version": TABLE_VERSION,
            "lease_token": turn.lease_token,
            "lease_expires_at": current.lease_expires_at,
            "upcoming": [ahead_told(one, user) for one in turn.upcoming],
            "round": shown_round(current.round),
            "rung": current.rung,
            "draft": current.draft,
            "draft_saved_at": current.draft_saved_at,
            "active_ms": current.active_ms,
            "progress": selectors.progress(self.person, now=timezone.now()),
            "blind": settings.BLIND_EMOTION,
            "content_warning": current.sample.content_warning,
            "hint": current.hint or None,
            "spread": self.spread(current),
        }

    def spread(self, turn: Assignment) -> dict[str, int] | None:
        if not settings.SHOW_SPREAD or turn.rung == Rung.MEMBER or turn.round != LABEL:
            return None
        return selectors.spread(turn.sample)


def ahead_told(turn: Assignment, user: Any) -> dict[str, Any]:
    """As much of a turn as the page needs to put it on the screen before the answer to the last vote is back."""
    return {
        "assignment": turn.pk,
        "media_url": media_url(turn.sample.video, user),
        "rung": turn.rung,
        "content_warning": turn.sample.content_warning,
    }


def media_url(video: Video, user: Any) -> str:
    """The clip's address for this user alone; it expires."""
    return clip_url(video, user=user)


def shown_round(round: str) -> str:
    """Gold items and repeats look like ordinary labelling, or they would measure nothing."""
    return LABEL if round in selectors.MASKED_ROUNDS else round


class DraftView(WorkerRoute):
    @extend_schema(
        operation_id="assignments_draft",
        request=DraftRequest,
        responses={200: DraftSerializer, **REFUSED, **CONFLICT},
        summary="Keeps an unfinished vote on the server; it outlives the lease.",
    )
    def put(self, request: Request, pk: int) -> Response:
        draft = checked(DraftRequest, request)
        token = draft.pop("lease_token", None)
        assignment = access.assignment_for(self.person, pk)
        saved_at = services.draft_save(assignment, draft=draft, lease_token=token, now=timezone.now())
        return Response({"assignment": pk, "saved_at": saved_at})


class SubmitView(WorkerRoute):
    @extend_schema(
        operation_id="assignments_submit",
        request=SubmitRequest,
        responses={200: VoteSerializer, **REFUSED, **CONFLICT},
        summary="Casts the vote. A retry with the same client_id gives the same answer and no second vote.",
    )
    def post(self, request: Request, pk: int) -> Response:
        said = checked(SubmitRequest, request)
        assignment = access.assignment_for(self.person, pk)
        vote = services.vote_cast(assignment=assignment, now=timezone.now(), **said)
        return Response(vote_told(vote))


def vote_told(vote: Vote) -> dict[str, Any]:
    """A vote for its own person. Nothing in it changes later, so that a retry gets the same answer."""
    return {
        "vote": vote.pk,
        "assignment": vote.assignment_id,
        "sample": vote.sample_id,
        "adjective": vote.adjective,
        "adjective_table": vote.adjective_table,
        "emotion": "" if settings.BLIND_EMOTION else vote.emotion,
        "confidence": vote.confidence,
        "created_at": vote.created_at,
        "undo_until": vote.created_at + timedelta(seconds=settings.UNDO_S),
    }


class SkipView(WorkerRoute):
    @extend_schema(
        operation_id="assignments_skip",
        request=ReasonSerializer,
        responses={200: StateSerializer, **REFUSED, **CONFLICT},
        summary="Passes the clip on to someone else, with a reason.",
    )
    def post(self, request: Request, pk: int) -> Response:
        reason = checked(ReasonSerializer, request)["reason"]
        services.assignment_skip(access.assignment_for(self.person, pk), reason=reason, now=timezone.now())
        return Response({"assignment": pk, "state": Assignment.State.SKIPPED})


class FlagView(WorkerRoute):
    @extend_schema(
        operation_id="assignments_flag",
        request=FlagRequest,
        responses={200: FlagSerializer, **REFUSED, **CONFLICT},
        summary="Doubts the clip; two people's doubts take it out of labelling. The turn itself stays open.",
    )
    def post(self, request: Request, pk: int) -> Response:
        said = checked(FlagRequest, request)
        assignment = access.assignment_for(self.person, pk)
        services.sample_flag(assignment, kind=said["flag"], note=said.get("note", ""), now=timezone.now())
        return Response({"assignment": pk, "flag": said["flag"]})


class HeartbeatView(WorkerRoute):
    @extend_schema(
        operation_id="assignments_heartbeat",
        request=HeartbeatRequest,
        responses={200: HeartbeatSerializer, **REFUSED, **CONFLICT},
        summary="Shows that this tab lives: its leases run on. 409 lease_lost when another tab has taken over.",
    )
    def post(self, request: Request, pk: int) -> Response:
        beat = checked(HeartbeatRequest, request)
        assignment = access.assignment_for(self.person, pk)
        expires = services.lease_extend(assignment, now=timezone.now(), **beat)
        return Response({"assignment": pk, "lease_expires_at": expires})


class HintRequest(serializers.Serializer):
    lease_token = serializers.UUIDField(required=False)


class HintAnswerSerializer(serializers.Serializer):
    assignment = serializers.IntegerField()
    hint = HintSerializer(allow_null=True, help_text="null where this clip has none")


class HintView(WorkerRoute):
    @extend_schema(
        operation_id="assignments_hint",
        request=HintRequest,
        responses={200: HintAnswerSerializer, **REFUSED, **CONFLICT},
        summary="What a finished run expects of the clip, where hints are offered; the vote will remember that it was seen.",
    )
    def post(self, request: Request, pk: int) -> Response:
        asked = checked(HintRequest, request)
        hint = services.hint_show(access.assignment_for(self.person, pk), now=timezone.now(), **asked)
        return Response({"assignment": pk, "hint": hint or None})


class UndoView(WorkerRoute):
    @extend_schema(
        operation_id="votes_undo",
        request=None,
        responses={200: UndoneSerializer, **REFUSED, **CONFLICT},
        summary="Takes a vote back while that is allowed; the turn is open again with the vote as its draft.",
    )
    def post(self, request: Request, pk: int) -> Response:
        turn = services.vote_undo(access.vote_for(self.person, pk), now=timezone.now())
        return Response({"assignment": turn.pk, "draft": turn.draft})
