"""Samples: their story, opening a label again, and the leaders' batches."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import access, selectors, services
from annotation.api.base import CONFLICT, REFUSED, Pages, ReasonSerializer, Route, checked
from annotation.models import Batch, Rung, Sample


class EventSerializer(serializers.Serializer):
    kind = serializers.CharField()
    person = serializers.CharField(allow_null=True)
    detail = serializers.DictField()
    created_at = serializers.DateTimeField()


class SampleSerializer(serializers.Serializer):
    sample = serializers.IntegerField(source="pk")
    video = serializers.CharField(source="video.public_name")
    group = serializers.CharField(source="group.letter")
    state = serializers.CharField(help_text="open, decided, excluded")
    rung = serializers.ChoiceField(Rung.choices)
    label = serializers.CharField(allow_blank=True)  # type: ignore[assignment]  # a field of that name hides the serializer's own label
    decided_rung = serializers.CharField(allow_blank=True)
    reopened = serializers.IntegerField()


class TimelineSerializer(SampleSerializer):
    events = EventSerializer(many=True)


class SamplesPage(serializers.Serializer):
    count = serializers.IntegerField()
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = SampleSerializer(many=True)


class SampleFilter(serializers.Serializer):
    """The only filters there are; any other query parameter is refused."""

    state = serializers.ChoiceField(Sample.State.choices, required=False)
    rung = serializers.ChoiceField(Rung.choices, required=False)
    group = serializers.RegexField("^[A-Z]{1,2}$", required=False)
    limit = serializers.IntegerField(required=False, min_value=1)
    offset = serializers.IntegerField(required=False, min_value=0)

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        unknown = sorted(set(self.initial_data) - set(self.fields))
        if unknown:
            raise serializers.ValidationError({name: ["unknown filter"] for name in unknown})
        return attrs


class SamplesView(Route):
    permissions = ("annotation.view_timeline", "annotation.lead_group")

    @extend_schema(
        operation_id="samples_list",
        parameters=[
            OpenApiParameter("state", enum=Sample.State.values),
            OpenApiParameter("rung", enum=Rung.values),
            OpenApiParameter("group", str),
            OpenApiParameter("limit", int),
            OpenApiParameter("offset", int),
        ],
        responses={200: SamplesPage, **REFUSED},
        summary="Samples that this user may read about, newest first.",
    )
    def get(self, request: Request) -> Response:
        form = SampleFilter(data=request.query_params.dict())
        form.is_valid(raise_exception=True)
        asked = {**form.validated_data}
        where = {key: asked[key] for key in ("state", "rung") if key in asked}
        if "group" in asked:
            where["group__letter"] = asked["group"]
        pages = Pages()
        rows = pages.paginate_queryset(access.samples_of(request.user).filter(**where).order_by("-pk"), request, view=self)
        return pages.get_paginated_response(SampleSerializer(rows, many=True).data)


class TimelineView(Route):
    @extend_schema(
        operation_id="samples_timeline",
        responses={200: TimelineSerializer, **REFUSED},
        summary="Every step of a sample's life. A leader sees the own group's settled samples, without names of other people's votes.",
    )
    def get(self, request: Request, pk: int) -> Response:
        sample = access.sample_for(request.user, pk)
        names = request.user.has_perm("annotation.view_timeline")
        events = [
            {
                "kind": event.kind,
                "person": str(event.person) if names and event.person else None,
                "detail": event.detail if names else {key: value for key, value in event.detail.items() if key != "people"},
                "created_at": event.created_at,
            }
            for event in selectors.timeline(sample)
        ]
        return Response({**SampleSerializer(sample).data, "events": events})


class ReopenView(Route):
    permissions = ("annotation.manage_people",)

    @extend_schema(
        operation_id="samples_reopen",
        request=ReasonSerializer,
        responses={200: SampleSerializer, **REFUSED, **CONFLICT},
        summary="Opens a settled label again; the expert decides anew. The history stays, releases that held it are marked.",
    )
    def post(self, request: Request, pk: int) -> Response:
        reason = checked(ReasonSerializer, request)["reason"]
        sample = services.sample_reopen(access.sample_for(request.user, pk), by=self.person, reason=reason, now=timezone.now())
        return Response(SampleSerializer(sample).data)


class RestoreView(Route):
    permissions = ("annotation.manage_people",)

    @extend_schema(
        operation_id="samples_restore",
        request=ReasonSerializer,
        responses={200: SampleSerializer, **REFUSED, **CONFLICT},
        summary="Takes a flagged-out sample back into labelling after someone has looked.",
    )
    def post(self, request: Request, pk: int) -> Response:
        reason = checked(ReasonSerializer, request)["reason"]
        sample = services.sample_restore(access.sample_for(request.user, pk), by=self.person, reason=reason, now=timezone.now())
        return Response(SampleSerializer(sample).data)


class BatchSerializer(serializers.Serializer):
    batch = serializers.IntegerField(source="pk")
    group = serializers.CharField(source="group.letter")
    opened_by = serializers.CharField(allow_null=True)
    with_hints = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    collected_at = serializers.DateTimeField(allow_null=True)
    num_samples = serializers.IntegerField()
    num_voted = serializers.IntegerField(help_text="member votes cast, of three per sample")
    num_above = serializers.IntegerField(help_text="samples that wait for a leader or the expert")
    num_decided = serializers.IntegerField()
    num_excluded = serializers.IntegerField()


class BatchesPage(serializers.Serializer):
    count = serializers.IntegerField()
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = BatchSerializer(many=True)


class BatchRequest(serializers.Serializer):
    size = serializers.IntegerField(min_value=1, max_value=3000)
    with_hints = serializers.BooleanField(required=False, default=False, help_text="its members may ask what a finished run expects")


class LeaderRoute(Route):
    permissions = ("annotation.lead_group",)


class BatchesView(LeaderRoute):
    @extend_schema(
        operation_id="batches_list", responses={200: BatchesPage, **REFUSED}, summary="The own group's batches and their progress."
    )
    def get(self, request: Request) -> Response:
        own = selectors.batches(self.person.group) if self.person.group else Batch.objects.none()
        pages = Pages()
        rows = pages.paginate_queryset(own, request, view=self)
        return pages.get_paginated_response(BatchSerializer(rows, many=True).data)

    @extend_schema(
        operation_id="batches_open",
        request=BatchRequest,
        responses={201: BatchSerializer, **REFUSED},
        summary="Hands the next cleaned videos to the own group.",
    )
    def post(self, request: Request) -> Response:
        batch, _ = services.batch_open(self.person, **checked(BatchRequest, request))
        return Response(batch_told(batch), status=201)


class BatchView(LeaderRoute):
    @extend_schema(operation_id="batches_read", responses={200: BatchSerializer, **REFUSED}, summary="One batch's progress.")
    def get(self, request: Request, pk: int) -> Response:
        return Response(batch_told(access.batch_for(request.user, pk)))


class CollectView(LeaderRoute):
    @extend_schema(
        operation_id="batches_collect",
        request=None,
        responses={200: BatchSerializer, **REFUSED, **CONFLICT},
        summary="Marks a batch as collected; 409 while members still have to vote.",
    )
    def post(self, request: Request, pk: int) -> Response:
        batch = services.batch_collect(access.batch_for(request.user, pk), now=timezone.now())
        return Response(batch_told(batch))


def batch_told(batch: Batch) -> dict[str, object]:
    return BatchSerializer(selectors.batches().get(pk=batch.pk)).data
