"""Runs over HTTP: start, list, follow; cancel, retry and log for who asked for the run, or an admin."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from qa.models import Release
from training import selectors, services
from training.access import run_for
from training.models import Run


class MaySeeRuns(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.user.has_perm("training.view_runs")


class MayStartRuns(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.user.has_perm("training.start_run")


class RunSerializer(serializers.ModelSerializer):
    release = serializers.SlugRelatedField("name", read_only=True)  # type: ignore[var-annotated]  # the stubs leave the related model open
    requested_by = serializers.SlugRelatedField("username", read_only=True)  # type: ignore[var-annotated]  # the stubs leave the related model open

    class Meta:
        model = Run
        fields = (
            "id", "recipe", "release", "seed", "overrides", "gpus", "state", "device", "progress", "metrics", "requested_by",
            "created_at", "started_at", "finished_at",
        )  # fmt: skip
        read_only_fields = fields


class RunRequest(serializers.Serializer):
    recipe = serializers.CharField(max_length=60)
    release = serializers.SlugField(max_length=60, help_text="the release's name")
    seed = serializers.IntegerField(default=1, min_value=0, max_value=2**31 - 1)
    overrides = serializers.DictField(default=dict, help_text="recipe fields to set for this run alone")
    gpus = serializers.IntegerField(default=1, min_value=0, max_value=64)


class RunCurves(serializers.Serializer):
    state = serializers.CharField()
    is_live = serializers.BooleanField()
    progress = serializers.DictField()
    far = serializers.DictField(allow_null=True, help_text="step, steps and a sentence with the time left, while it runs")
    curves = serializers.DictField(help_text="split → lines of metrics.jsonl")


class RunLog(serializers.Serializer):
    log = serializers.CharField()
    error = serializers.CharField()


class RunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    queryset = selectors.runs_newest()
    serializer_class = RunSerializer
    lookup_value_regex = r"\d{1,18}"

    def get_permissions(self) -> list[BasePermission]:
        changes = self.action in {"create", "cancel", "retry"}
        return [IsAuthenticated(), MayStartRuns() if changes else MaySeeRuns()]

    @extend_schema(request=RunRequest, responses={201: RunSerializer, 200: RunSerializer})
    def create(self, request: Request) -> Response:
        """Queues a run: 201; 200 with the earlier one when the same is queued or running already."""
        asked = RunRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        values: dict[str, Any] = dict(asked.validated_data)
        release = get_object_or_404(Release, name=values.pop("release"))
        newest = Run.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        run = services.run_start(release=release, user=request.user, **values)
        return Response(RunSerializer(run).data, status=201 if run.pk > newest else 200)

    @extend_schema(responses=RunCurves)
    @action(detail=True, methods=["get"])
    def metrics(self, request: Request, pk: int) -> Response:
        """The curves so far, thinned to what a screen can show; ask again while the run is live."""
        run = self.get_object()
        told = {"state": run.state, "is_live": run.is_live, "progress": run.progress, "far": selectors.run_far(run)}
        return Response({**told, "curves": selectors.run_curves(run)})

    @extend_schema(responses=RunLog)
    @action(detail=True, methods=["get"])
    def log(self, request: Request, pk: int) -> Response:
        """The end of the engine's output."""
        run = run_for(request.user, pk)
        return Response({"log": selectors.run_log(run), "error": run.error})

    @extend_schema(request=None, responses=RunSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: int) -> Response:
        """Cancels a queued run; asks a running one to write a checkpoint and stop."""
        return Response(RunSerializer(services.run_cancel(run_for(request.user, pk), user=request.user)).data)

    @extend_schema(request=None, responses=RunSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: int) -> Response:
        """Queues a failed or cancelled run again, from its last checkpoint."""
        return Response(RunSerializer(services.run_retry(run_for(request.user, pk), user=request.user)).data)
