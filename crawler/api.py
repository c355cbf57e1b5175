"""The collection in numbers, for scripts and dashboards."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from crawler import selectors


class MaySeeCollection(BasePermission):
    def has_permission(self, request: Request, view: object) -> bool:
        return request.user.has_perm("crawler.view_collection")


@extend_schema(responses=OpenApiTypes.OBJECT)
@api_view(["GET"])
@permission_classes([MaySeeCollection])
def funnel(request: Request) -> Response:
    """Counts from found to accepted, in all, by platform, and by stage and platform."""
    return Response(selectors.funnel())
