"""Reports and releases for programs."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import ListAPIView
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from qa import selectors
from qa.models import Release


class MayViewQuality(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return request.user.has_perm("qa.view_quality")


class MayViewDataset(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return request.user.has_perm("qa.view_dataset")


class ReportSerializer(serializers.Serializer):
    measured_at = serializers.DateTimeField(source="created_at")
    numbers = serializers.JSONField()


class ReleaseSerializer(serializers.ModelSerializer):
    is_current = serializers.SerializerMethodField(help_text="false once a video was taken down or a label changed since")

    class Meta:
        model = Release
        fields = ["name", "variant", "seed", "sha256", "counts", "created_at", "verified_at", "problems", "is_current"]

    def get_is_current(self, release: Release) -> bool:
        return selectors.release_drift(release).is_current


class ConsistencyView(APIView):
    """The latest kept report: all stages and agreement, or one stage as last scored."""

    permission_classes = [MayViewQuality]

    @extend_schema(
        operation_id="reports_consistency", responses=ReportSerializer, parameters=[OpenApiParameter("stage", str, description="sA, sB …")]
    )
    def get(self, request: Request) -> Response:
        report = selectors.last_report(request.query_params.get("stage", "all"))
        if report is None:
            raise NotFound("There is no such report yet: measure on the quality page, or run cross_check score.")
        return Response(ReportSerializer(report).data)


class ReleasesView(ListAPIView):
    """Registered releases, newest first."""

    permission_classes = [MayViewDataset]
    serializer_class = ReleaseSerializer

    def get_queryset(self):
        return selectors.releases()
