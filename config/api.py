"""What every API route shares: errors as {detail, code}, and the health of the site."""

import logging
import shutil
import sys
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import loader
from django.views import defaults
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError as BrokerError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from crawler.services import clips

log = logging.getLogger(__name__)
LEAST_FREE_BYTES = 256 * 2**20
CLIPS_ASKED_S = 5


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's handler, with every error as {"detail": text, "code": word}, plus {"fields": …} for a bad form.

    A service's ValidationError becomes 400 with its own code, its PermissionDenied 403. A database that is away, or whose lock
    was not to be had, is 503: nothing was changed, and the same request may be sent again.
    """
    if isinstance(error, OperationalError | InterfaceError):
        log.warning("the database does not answer: %s", error)
        told = {"detail": "The database does not answer. Nothing was changed; send it again.", "code": "unavailable"}
        return Response(told, status=503, headers={"Retry-After": "1"})
    if isinstance(error, ValidationError):
        code = getattr(error, "code", None) or "invalid"
        error = exceptions.ValidationError({"detail": " ".join(error.messages), "code": code})
        response = drf_exception_handler(error, context)
        if response is not None:
            response.data = {"detail": str(response.data["detail"]), "code": code}
        return response
    if isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied(str(error) or None)
    response = drf_exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, exceptions.ValidationError):
        response.data = {"detail": "Some fields are missing or wrong.", "code": "invalid", "fields": response.data}
    elif isinstance(response.data, dict) and isinstance(error, exceptions.APIException):
        codes = error.get_codes()
        response.data = {"detail": str(response.data.get("detail", error.detail)), "code": codes if isinstance(codes, str) else "error"}
    elif isinstance(response.data, dict):  # Http404
        response.data = {"detail": str(response.data.get("detail", "Not found.")), "code": "not_found"}
    return response


def refusals_documented(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """The schema's last word: any route may refuse, always in the same shape, and any may be asked again after a 503."""
    problem = {
        "type": "object",
        "required": ["detail", "code"],
        "properties": {
            "detail": {"type": "string", "description": "a sentence for people"},
            "code": {"type": "string", "description": "a word for programs"},
            "fields": {"description": "what is wrong with which field of the request"},
            "lines": {"type": "array", "items": {"type": "string"}, "description": "what is wrong with which line of a file"},
        },
    }
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = problem
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for operations in result["paths"].values():
        for operation in operations.values():
            responses = operation["responses"]
            responses.setdefault("4XX", {"description": "Refused; nothing was changed. `code` says why.", "content": content})
            responses.setdefault("503", {"description": "The database does not answer; send the same again.", "content": content})
    return result


# --- what Django itself answers: as JSON to programs, as a page to people ---------------------------------------------
def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _problem(request, 400, "invalid", "The request makes no sense.") or defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _problem(request, 403, "permission_denied", "This may not be done.") or defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _problem(request, 404, "not_found", "There is no such thing here.") or defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500; 503 where only the database or the broker is away, since the same request may succeed in a minute."""
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError | BrokerError):
        page = HttpResponse(loader.render_to_string("503.html"), status=503, headers={"Retry-After": "60"})
        return _problem(request, 503, "unavailable", "The database or the queue of tasks does not answer; send it again.") or page
    return _problem(request, 500, "error", "The fault is ours and has been written down.") or defaults.server_error(request)


def _problem(request: HttpRequest, status: int, code: str, detail: str) -> JsonResponse | None:
    return JsonResponse({"detail": detail, "code": code}, status=status) if request.path.startswith("/api/") else None


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 while the process answers at all; asks nothing of anyone else."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the site can take a vote: the database answers and the disk has room; else 503 naming what is wrong.

    The store of the clips is told, but takes no site out of service: all of them would go at once, the status page with them.
    """
    needed = {"database": database_answers(), "disk": disk_has_room()}
    ready = all(problem is None for problem in needed.values())
    checks = needed | {"clips": clips_away()}
    body = {"status": "ready" if ready else "not ready", "checks": {name: problem or "ok" for name, problem in checks.items()}}
    return JsonResponse(body, status=200 if ready else 503)


def database_answers() -> str | None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception as error:  # whatever is wrong, the page must say so instead of failing itself
        return type(error).__name__
    return None


def clips_away() -> str | None:
    """Asked at most every few seconds, whoever asks; where the store is, the status page tells those who may know."""
    return "away" if cache.get_or_set("clips_away", clips().problem, CLIPS_ASKED_S) else None


def disk_has_room() -> str | None:
    free = shutil.disk_usage(settings.VAR_DIR).free
    return None if free >= LEAST_FREE_BYTES else f"{free // 2**20} MiB free"
