"""What the site remembers about itself."""

from datetime import datetime
from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Backup(models.Model):
    """One backup that was written and verified."""

    path = models.CharField(max_length=500)
    kind = models.CharField(max_length=10, help_text="sqlite, postgresql or portable")
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    rows = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        permissions = [
            ("view_status", "Can see services, queues, disk and backups"),
            ("view_audit", "Can read the audit log"),
        ]

    def __str__(self) -> str:
        return self.path


class ApiToken(models.Model):
    """A program's key to the API in a person's name; only its hash is kept."""

    class Scope(models.TextChoices):
        READ = "read", _("read")
        WRITE = "write", _("read and write")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=60, help_text="what uses it")
    scope = models.CharField(max_length=5, choices=Scope.choices, default=Scope.READ)
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the key")
    starts_with = models.CharField(max_length=6, help_text="the key's first signs, to tell it from others")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField(null=True, blank=True, help_text="to the minute")
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.name} ({self.starts_with}…) of {self.user}"

    def is_valid(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


class FailedTask(models.Model):
    """The dead-letter page's row: a task that ended in an error and will not be tried again by itself."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        SENT_AGAIN = "sent_again", _("sent again")
        PUT_ASIDE = "put_aside", _("put aside")

    task_id = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=150)
    args = models.JSONField(default=list)
    kwargs = models.JSONField(default=dict)
    error = models.CharField(max_length=500)
    traceback = models.TextField(blank=True)
    failed_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["state", "failed_at"])]
        permissions = [("retry_tasks", "Can send failed tasks again or put them aside")]

    def __str__(self) -> str:
        return f"{self.name}{tuple(self.args)}"


class AppendOnly(RuntimeError):
    """Somebody tried to change or delete what only grows."""


class EventQuerySet(models.QuerySet["Event"]):
    def update(self, **kwargs: Any) -> NoReturn:
        raise AppendOnly("events are never changed")

    def delete(self) -> NoReturn:
        raise AppendOnly("events are never deleted")


class Event(models.Model):
    """One line of the audit log: who did what to which thing, and what it was before; append-only, in the database too.

    Names no row by a foreign key: the line stays as it is when the row or the account goes.
    """

    class Kind(models.TextChoices):
        CREATED = "created", _("created")
        CHANGED = "changed", _("changed")
        DELETED = "deleted", _("deleted")
        SIGNED_IN = "signed_in", _("signed in")
        SIGNED_OUT = "signed_out", _("signed out")
        SIGN_IN_FAILED = "sign_in_failed", _("sign-in failed")
        SIGN_IN_REFUSED = "sign_in_refused", _("sign-in refused: too many tries")
        SESSIONS_ENDED = "sessions_ended", _("sessions ended")
        RESTORED = "restored", _("restored from a backup")

    at = models.DateTimeField(default=timezone.now, db_index=True)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    who = models.CharField(max_length=150, blank=True, help_text="account, command or task at that time")
    user_id = models.BigIntegerField(null=True, blank=True)
    what = models.CharField(max_length=60, help_text="the kind of thing, as app.model")
    about = models.CharField(max_length=200, blank=True, help_text="its name at that time")
    row = models.CharField(max_length=40, blank=True, help_text="its primary key")
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    key = models.CharField(max_length=64, blank=True, help_text="keyed hash of the name typed at sign-in; for throttling")

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["key", "at"]), models.Index(fields=["what", "row"]), models.Index(fields=["user_id", "at"])]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.who}: {self.kind} {self.what} {self.about}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise AppendOnly("events are never changed")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnly("events are never deleted")
