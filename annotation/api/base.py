"""What every route here shares: who may call it, and refusals as {"detail", "code"}."""

from __future__ import annotations

import re
from typing import Any

from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers, status
from rest_framework.exceptions import NotAuthenticated
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.access import permitted_person, person_of
from annotation.models import Person
from annotation.services import BadLines, Conflict, NotEligible

WORKERS = ("annotation.label", "annotation.lead_group", "annotation.decide_as_expert")


class HasAnyPermission(BasePermission):
    """Lets those through who have at least one of the view's `permissions`; an empty tuple asks only for a sign-in."""

    def has_permission(self, request: Request, view: Any) -> bool:
        needed = view.permissions
        if not needed:
            return True
        person = permitted_person(request.user, needed)  # one query, where has_perm takes two and the person a third
        if person is not None:
            view.person = person
            return True
        return any(request.user.has_perm(name) for name in needed)


class Route(APIView):
    """A route of this app. `permissions`: any one of them is enough."""

    permissions: tuple[str, ...] = ()
    permission_classes = (IsAuthenticated, HasAnyPermission)

    def perform_authentication(self, request: Request) -> None:
        """A page says whose it is: once somebody else has signed in in that browser, it is told to sign in again instead of voting as them."""
        super().perform_authentication(request)
        page_of = request.headers.get("X-Page-Of")
        if page_of and page_of != str(request.user.pk):
            raise NotAuthenticated(_("Somebody else is signed in in this browser now."))

    @cached_property
    def person(self) -> Person:
        return person_of(self.request.user)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, Conflict):
            return self._refuse(exc, status.HTTP_409_CONFLICT)
        if isinstance(exc, NotEligible):
            return self._refuse(exc, status.HTTP_403_FORBIDDEN)
        if isinstance(exc, BadLines):
            body = {"detail": str(exc), "code": "bad_lines", "lines": exc.lines}
            return Response(body, status=status.HTTP_400_BAD_REQUEST)
        return super().handle_exception(exc)

    def _refuse(self, exc: Conflict | NotEligible, http_status: int) -> Response:
        return Response({"detail": str(exc), "code": exc.code}, status=http_status)


class Pages(LimitOffsetPagination):
    """`limit` and `offset`, whole numbers; anything else is refused instead of passed over."""

    max_limit = 500

    def get_limit(self, request: Request) -> int | None:
        self._refuse_nonsense(request, self.limit_query_param, least=1)
        return super().get_limit(request)

    def get_offset(self, request: Request) -> int:
        self._refuse_nonsense(request, self.offset_query_param, least=0)
        return super().get_offset(request)

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        """The page's keys first, then its rows: what is only passed over is read from an index."""
        keys: list[int] | None = super().paginate_queryset(queryset.values_list("pk", flat=True), request, view)
        return None if keys is None else list(queryset.filter(pk__in=keys))

    @staticmethod
    def _refuse_nonsense(request: Request, name: str, *, least: int) -> None:
        for text in request.query_params.getlist(name):
            if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
                raise serializers.ValidationError({name: [f"Give a whole number, {least} or more."]})


class WorkerRoute(Route):
    """For those who vote: annotators, leaders, the expert."""

    permissions = WORKERS


class ErrorSerializer(serializers.Serializer):
    """Every refusal: a sentence for people, a word for programs."""

    detail = serializers.CharField()
    code = serializers.CharField()


REFUSED = {
    400: OpenApiResponse(ErrorSerializer, description="The body is wrong; nothing was changed."),
    403: OpenApiResponse(ErrorSerializer, description="This role may not, or the person is paused or not qualified."),
    404: OpenApiResponse(ErrorSerializer, description="There is no such row, or it is another person's."),
}
CONFLICT = {409: OpenApiResponse(ErrorSerializer, description="Something else happened first; `code` says what.")}


class ReasonSerializer(serializers.Serializer):
    reason = serializers.CharField(max_length=200)


def checked(serializer: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    """The request's body after validation; a body that is no JSON object is refused like any other bad one."""
    form = serializer(data=request.data)
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)
