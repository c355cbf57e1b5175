"""Logs that can be followed: each line carries the request or the task it was written in."""

import json
import logging
import re
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from celery.signals import task_postrun, task_prerun
from django.http import HttpRequest, HttpResponse

PROBES = ("/healthz", "/readyz")  # asked every few seconds
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
current_request: ContextVar[str] = ContextVar("current_request", default="")
current_task: ContextVar[str] = ContextVar("current_task", default="")
log = logging.getLogger("site.request")


class RequestIdMiddleware:
    """Gives each request an id, nginx's own when it sends a sound one; tells it back and logs one line about the answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        token = current_request.set(request_id)
        started = time.monotonic()
        try:
            response = self.get_response(request)
            response.headers["X-Request-ID"] = request_id
            self._say(request, response, time.monotonic() - started)
            return response
        finally:
            current_request.reset(token)

    @staticmethod
    def _say(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
        """The path without its query: a query may hold a secret."""
        user = getattr(request, "user", None)
        facts = {"method": request.method, "path": request.path, "status": response.status_code, "ms": round(seconds * 1000)}
        level = logging.WARNING if response.status_code >= 500 else logging.DEBUG if request.path.endswith(PROBES) else logging.INFO
        log.log(level, "%(method)s %(path)s %(status)s %(ms)s ms", facts, extra={"facts": {**facts, "user": user.pk if user else None}})


class ContextFilter(logging.Filter):
    """Adds request_id and task_id to every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current_request.get()
        record.task_id = current_task.get()
        return True


class LineFormatter(logging.Formatter):
    """One line for people. What a visitor or a page put into it begins no line of its own and moves no cursor."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return CONTROL.sub(lambda found: repr(found[0])[1:-1], super().formatMessage(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("request_id", "task_id"):
            if value := getattr(record, name, ""):
                line[name] = value
        line.update(getattr(record, "facts", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def connect() -> None:
    """From now on the lines that a task writes carry its id."""
    task_prerun.connect(_task_begins, weak=False, dispatch_uid="config.logs")
    task_postrun.connect(_task_ends, weak=False, dispatch_uid="config.logs")


def _task_begins(task_id: str, **kwargs: Any) -> None:
    current_task.set(task_id)


def _task_ends(**kwargs: Any) -> None:
    current_task.set("")
