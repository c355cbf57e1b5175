"""The audit log: writes a line for every change of who may do what, and of what steers the site.

Votes, labels, swaps and reviews have histories of their own (timeline, staff changes, decisions, adjustment steps).
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from celery import current_task
from django.apps import apps
from django.conf import settings
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save
from django.http import HttpRequest, HttpResponse

from config.logs import current_request
from config.models import Event

# model → fields whose change is a line; everything else about these rows is no power and no setting.
WATCHED: dict[str, tuple[str, ...]] = {
    "auth.User": ("username", "email", "is_active", "is_staff", "is_superuser", "password"),
    "annotation.Person": (
        "full_name", "role", "gender", "language", "qualified_at", "work_experience", "msceit", "education", "culture", "leadership",
    ),
    "annotation.Webhook": ("url", "events", "active", "sealed_secret"),
    "annotation.GoldItem": ("emotions", "source", "in_test", "hidden"),
    "crawler.Tombstone": ("platform", "platform_id", "number", "reason"),
    "crawler.Stage": ("name", "platforms", "seed", "video_budget", "starts_at", "ends_at", "settings"),
    "crawler.Term": ("blocked",),
    "qa.Release": ("name", "variant", "seed", "path", "sha256"),
    "training.Schedule": ("name", "recipe", "variant", "cron", "seed"),
    "django_celery_beat.PeriodicTask": ("name", "task", "enabled", "args", "kwargs", "queue", "crontab_id", "interval_id"),
    "django_celery_beat.CrontabSchedule": ("minute", "hour", "day_of_week", "day_of_month", "month_of_year", "timezone"),
    "django_celery_beat.IntervalSchedule": ("every", "period"),
    "config.ApiToken": ("name", "scope", "expires_at", "revoked_at"),
    "config.FailedTask": ("state",),
    "mfa.Authenticator": ("user", "type"),
    "socialaccount.SocialAccount": ("user", "provider", "uid"),
    "config.Backup": ("path", "kind", "sha256", "rows"),
}  # fmt: skip
# Rows that the site makes by itself: their making is a line only where a person asked for it.
MADE_BY_THE_SITE = {"crawler.Term", "config.FailedTask", "django_celery_beat.PeriodicTask", "django_celery_beat.CrontabSchedule", "django_celery_beat.IntervalSchedule"}  # fmt: skip
SECRET = {"password", "sealed_secret"}
current: ContextVar[HttpRequest | None] = ContextVar("audited_request", default=None)
replaying: ContextVar[bool] = ContextVar("audited_replay", default=False)


class AuditMiddleware:
    """Keeps the request at hand, so that a change made while answering it is laid to the one who asked."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with asked_by(request):
            return self.get_response(request)


@contextmanager
def asked_by(request: HttpRequest) -> Iterator[None]:
    token = current.set(request)
    try:
        yield
    finally:
        current.reset(token)


@contextmanager
def replay() -> Iterator[None]:
    """While a backup is read back: nobody changes anything, what was is put in again."""
    token = replaying.set(True)
    try:
        yield
    finally:
        replaying.reset(token)


def record(kind: str, about: Any = None, *, what: str = "", before: dict[str, Any] | None = None, after: dict[str, Any] | None = None, request: HttpRequest | None = None, user: Any = None, key: str = "") -> Event:  # fmt: skip
    """Writes one line now, in the transaction of the change itself; the line goes when the change is rolled back."""
    request = request or current.get()
    who, user_id = actor(request, user)
    return Event.objects.create(
        kind=kind,
        who=who[:150],
        user_id=user_id,
        what=what or (about._meta.label if isinstance(about, Model) else ""),
        about=str(about)[:200] if about is not None else "",
        row=str(about.pk)[:40] if isinstance(about, Model) else "",
        before=before or {},
        after=after or {},
        address=address_of(request) if request else None,
        request_id=current_request.get(),
        key=key,
    )


def actor(request: HttpRequest | None, user: Any = None) -> tuple[str, int | None]:
    """Name and id of who acts: the one signed in, else the task or the command that runs."""
    user = user or getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return user.get_username(), user.pk
    if request is not None:
        return "", None
    if current_task:
        return f"task {current_task.name}", None
    program = Path(sys.argv[0]).name
    return (f"{program} {sys.argv[1]}" if program == "manage.py" and len(sys.argv) > 1 else program), None


def address_of(request: HttpRequest) -> str | None:
    """The visitor's address: what our own proxy says where there is one, never what the visitor says. None for what is no address."""
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.BEHIND_PROXY else ""
    try:
        address = ip_address(forwarded.rpartition(",")[2].strip() or request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address).partition("%")[0]


# --- what is watched --------------------------------------------------------------------------------------------
def connect() -> None:
    for label in WATCHED:
        model = apps.get_model(label)
        pre_save.connect(_remember, sender=model, weak=False, dispatch_uid=f"audit.{label}")
        post_save.connect(_saved, sender=model, weak=False, dispatch_uid=f"audit.{label}")
        post_delete.connect(_deleted, sender=model, weak=False, dispatch_uid=f"audit.{label}")
    user, group = apps.get_model("auth.User"), apps.get_model("auth.Group")
    for through in (user.groups.through, user.user_permissions.through, group.permissions.through):
        m2m_changed.connect(_powers_changed, sender=through, weak=False, dispatch_uid=f"audit.{through.__name__}")


def _values(row: Model) -> dict[str, Any]:
    return {name: getattr(row, name) for name in WATCHED[row._meta.label]}


def _remember(instance: Model, raw: bool, **kwargs: Any) -> None:
    """Reads the row as it still is; a row that a backup brings back (raw) is no change by anybody."""
    if not raw and not replaying.get():
        before = type(instance)._base_manager.filter(pk=instance.pk).first() if instance.pk else None
        instance._audited = _values(before) if before else None  # type: ignore[attr-defined]  # a mark of our own on the row


def _saved(instance: Model, created: bool, raw: bool, **kwargs: Any) -> None:
    if raw or replaying.get() or (created and instance._meta.label in MADE_BY_THE_SITE and current.get() is None):
        return
    before = instance.__dict__.pop("_audited", None) or {}
    # As stored, not as handed in: "1" and 1, or a date given as text, are no change.
    stored = type(instance)._base_manager.filter(pk=instance.pk).first()
    after = _values(stored) if stored else {}
    changed = [name for name, value in after.items() if created or before.get(name) != value]
    if changed:
        kind = Event.Kind.CREATED if created else Event.Kind.CHANGED
        record(kind, instance, before=_told(before, changed), after=_told(after, changed))


def _deleted(instance: Model, **kwargs: Any) -> None:
    values = _values(instance)
    record(Event.Kind.DELETED, instance, before=_told(values, list(values)))


def _told(values: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Fit for JSON, secrets only as a mark."""
    return {name: "…" if name in SECRET else _plain(values[name]) for name in names if name in values}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | dict | None) else str(value)


def _powers_changed(instance: Model, action: str, model: type[Model], pk_set: set[int] | None, reverse: bool, **kwargs: Any) -> None:
    """A role or a permission given or taken. Emptying tells what is taken before it is gone."""
    if replaying.get() or action not in {"post_add", "post_remove", "pre_clear"}:
        return
    field = "permissions" if model._meta.label == "auth.Permission" else "roles"
    if reverse:  # group.user_set: the roles of several people at once
        people = (
            model._base_manager.filter(pk__in=pk_set)
            if pk_set is not None
            else getattr(instance, "user_set", model._base_manager.none()).all()
        )
        for person in people:
            _power(person, action, "roles", [str(instance)])
        return
    held = model._base_manager.filter(pk__in=pk_set) if pk_set is not None else getattr(instance, _manager_name(instance, field)).all()
    if names := sorted(str(each) for each in held):
        _power(instance, action, field, names)


def _manager_name(instance: Model, field: str) -> str:
    if instance._meta.label == "auth.Group":
        return "permissions"
    return "user_permissions" if field == "permissions" else "groups"


def _power(instance: Model, action: str, field: str, names: list[str]) -> None:
    told = {field: names}
    given = action == "post_add"
    record(Event.Kind.CHANGED, instance, before={} if given else told, after=told if given else {})
