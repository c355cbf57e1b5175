"""Errors told to a Sentry where SENTRY_DSN names one: what broke and where, with the request's or the task's id, and nothing about people.

Off by default, and then the package is not even loaded. The address comes from the environment alone.
"""

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config.logs import current_request, current_task

# Whatever else the package may learn to send one day: only these parts of a report leave.
SENT = {"event_id", "timestamp", "level", "platform", "environment", "release", "server_name", "logger", "transaction", "tags", "exception", "logentry", "sdk", "contexts"}  # fmt: skip
CONTEXTS = {"runtime", "trace"}


def connect() -> None:
    if not settings.SENTRY_DSN:
        return
    import sentry_sdk
    from sentry_sdk.utils import BadDsn, Dsn

    try:
        Dsn(settings.SENTRY_DSN)
    except BadDsn as error:
        raise ImproperlyConfigured(f"SENTRY_DSN is not like https://key@host/1: {error}") from None
    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        release=f"emotions@{settings.VERSION}",
        environment=settings.SENTRY_ENVIRONMENT,
        before_send=without_people,
        send_default_pii=False,
        include_local_variables=False,  # titles, votes and names stand in them
        max_request_body_size="never",
        max_breadcrumbs=0,
        send_client_reports=False,
        auto_session_tracking=False,
    )


def without_people(event: Any, hint: dict[str, Any]) -> Any:
    """The report, of which no address, header, body, account or variable is left; the ids lead to the site's own log."""
    kept: dict[str, Any] = {name: value for name, value in event.items() if name in SENT}
    kept["contexts"] = {name: value for name, value in event.get("contexts", {}).items() if name in CONTEXTS}
    ids = {"request_id": current_request.get(), "task_id": current_task.get()}
    kept["tags"] = {name: value for name, value in ids.items() if value}
    if "logentry" in kept:  # the sentence of the program, without what was filled in
        kept["logentry"] = {"message": kept["logentry"].get("message", "")}
    if "exception" in kept:  # its kind and its stack; what it says may quote a name, a title or a row
        kept["exception"] = {"values": [{**each, "value": ""} for each in kept["exception"].get("values", [])]}
    return kept
