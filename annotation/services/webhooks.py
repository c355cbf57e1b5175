"""Telling other systems: announcements are written into an outbox with what they tell of, and sent after the commit."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from celery import signature as task
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.translation import gettext as _

from annotation.models import Delivery, Webhook
from annotation.rules.webhooks import EVENTS, TEST_EVENT, signature, wait_after
from crawler import fetch

CLAIM = timedelta(minutes=2)  # a worker that has not answered for so long is dead
AT_ONCE = 200  # due deliveries that one sweep hands to the workers
KEPT = timedelta(days=30)
BATCH = 500


# --- writing to the outbox ----------------------------------------------------------------------------------------


def announce(event: str, payload: dict[str, Any]) -> None:
    """Puts the event into the outbox of every receiver that asked for it, inside the caller's transaction.

    It is sent once that transaction has been committed, at least once, with an id that stays the same. Raises ValueError for an
    event that does not exist.
    """
    announce_all(event, [payload])


def announce_all(event: str, payloads: Iterable[dict[str, Any]]) -> None:
    """The same for many events of one kind, in two queries; the payloads are not even made where nobody listens."""
    if event not in EVENTS:
        raise ValueError(f"{event!r} is no event; use one of {', '.join(EVENTS)}")
    webhooks = [webhook for webhook in Webhook.objects.filter(active=True) if event in webhook.events]
    if webhooks:
        _queue(webhooks, event, payloads)


def _queue(webhooks: Sequence[Webhook], event: str, payloads: Iterable[dict[str, Any]]) -> None:
    now = timezone.now()
    rows = []
    for payload in payloads:
        event_id = uuid.uuid4()
        told = {"id": event_id, "event": event, "created_at": now, "data": payload}
        body = json.dumps(told, cls=DjangoJSONEncoder, ensure_ascii=False, separators=(",", ":"))
        rows += [Delivery(webhook=webhook, event=event, event_id=event_id, body=body, next_at=now, created_at=now) for webhook in webhooks]
    with transaction.atomic():
        rows = Delivery.objects.bulk_create(rows, batch_size=BATCH)
        _send_after_commit(rows)


def _send_after_commit(rows: Sequence[Delivery]) -> None:
    """Hands the rows to a worker. Robust: a broker that is away must not undo a vote; the sweep each minute finds the rows."""
    if len(rows) > AT_ONCE:
        return  # an import: the sweep takes them in turn
    for row in rows:
        message = task("annotation.tasks.deliver", args=(row.pk,))
        transaction.on_commit(message.apply_async, robust=True)


# --- sending ------------------------------------------------------------------------------------------------------


def deliveries_due(*, now: datetime) -> list[int]:
    """Ids of what should be sent now; what is older than a month and settled is forgotten on the way."""
    Delivery.objects.filter(created_at__lt=now - KEPT).exclude(state=Delivery.State.WAITING).delete()
    due = Delivery.objects.filter(state=Delivery.State.WAITING, next_at__lte=now, webhook__active=True)
    return list(due.order_by("next_at").values_list("pk", flat=True)[:AT_ONCE])


def delivery_send(delivery_id: int, *, now: datetime) -> bool:
    """Sends one delivery unless it is not due or another worker has it; whether it was delivered.

    No transaction is open while the receiver answers: the row is claimed by one conditional UPDATE for CLAIM.
    """
    due = Delivery.objects.filter(pk=delivery_id, state=Delivery.State.WAITING, next_at__lte=now, webhook__active=True)
    if not due.update(next_at=now + CLAIM, attempts=F("attempts") + 1):
        return False
    delivery = Delivery.objects.select_related("webhook").get(pk=delivery_id)
    status, problem = _post(delivery, now=now)
    return _settle(delivery, status, problem, now=now)


def _post(delivery: Delivery, *, now: datetime) -> tuple[int | None, str]:
    """(HTTP status, what went wrong or "")."""
    timestamp = int(now.timestamp())
    try:
        signed = signature(_unsealed(delivery.webhook), timestamp, delivery.body)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "eMotions-webhooks/1",
            "X-Emotions-Event": delivery.event,
            "X-Emotions-Id": str(delivery.event_id),
            "X-Emotions-Attempt": str(delivery.attempts),
            "X-Emotions-Timestamp": str(timestamp),
            "X-Emotions-Signature": signed,
        }
        answer = fetch.message_post(delivery.webhook.url, body=delivery.body.encode(), headers=headers)
    except InvalidToken:
        return None, _("The secret cannot be read since SECRET_KEY has changed; make a new one.")
    except fetch.FetchError as error:
        return None, str(error)[:250]
    if 200 <= answer.status < 300:
        return answer.status, ""
    if 300 <= answer.status < 400:
        return answer.status, _("Redirects are not followed; give the address that it leads to.")
    return answer.status, answer.reason


def _settle(delivery: Delivery, status: int | None, problem: str, *, now: datetime) -> bool:
    delivered = status is not None and not problem and status < 300
    delivery.status, delivery.problem = status, problem
    wait = wait_after(delivery.attempts)
    if delivered:
        delivery.state, delivery.delivered_at = Delivery.State.DELIVERED, now
    elif wait is None:
        delivery.state = Delivery.State.GIVEN_UP
    else:
        delivery.next_at = now + wait
    delivery.save(update_fields=["status", "problem", "state", "delivered_at", "next_at"])
    return delivered


def delivery_repeat(delivery: Delivery, *, now: datetime) -> None:
    """Sends a delivery again now, with the same id, whatever came of it before."""
    Delivery.objects.filter(pk=delivery.pk).update(state=Delivery.State.WAITING, next_at=now, attempts=0, delivered_at=None)
    _send_after_commit([delivery])


# --- the receivers ------------------------------------------------------------------------------------------------


def webhook_add(*, url: str, events: Sequence[str], by: User | None) -> tuple[Webhook, str]:
    """A new receiver, and its secret, which cannot be read again. Raises ValidationError for a bad address or event."""
    try:
        fetch.message_check(url)
    except fetch.Refused as error:
        raise ValidationError(_("Messages cannot go there: %(why)s") % {"why": error}, code="url") from error
    if not events or set(events) - set(EVENTS):
        raise ValidationError(_("Choose at least one of: %(events)s") % {"events": ", ".join(EVENTS)}, code="events")
    secret = secrets.token_urlsafe(32)
    webhook = Webhook(url=url, events=sorted(set(events)), created_by=by, sealed_secret=_sealed(secret))
    webhook.full_clean(exclude=["created_by"])
    webhook.save()
    return webhook, secret


def webhook_renew(webhook: Webhook) -> str:
    """A new secret in place of the old one, which is no longer used from now on."""
    secret = secrets.token_urlsafe(32)
    webhook.sealed_secret = _sealed(secret)
    webhook.save(update_fields=["sealed_secret"])
    return secret


def webhook_switch(webhook: Webhook, *, active: bool) -> None:
    """Stops or resumes the sending. While it is stopped nothing new is written for it; what waits goes out when it resumes."""
    webhook.active = active
    webhook.save(update_fields=["active"])


def webhook_remove(webhook: Webhook) -> None:
    webhook.delete()


def webhook_test(webhook: Webhook) -> None:
    """Sends a message that tells of nothing."""
    _queue([webhook], TEST_EVENT, [{"message": "This is a test."}])


def _box() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = [hashlib.sha256(b"annotation.webhooks:" + force_bytes(key)).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])


def _sealed(secret: str) -> str:
    return _box().encrypt(secret.encode()).decode()


def _unsealed(webhook: Webhook) -> str:
    return _box().decrypt(webhook.sealed_secret.encode()).decode()
