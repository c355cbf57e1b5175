"""Keys for programs that call the API: shown once, kept only as a hash, for reading or for everything, until a day or until revoked."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.plumbing import build_bearer_security_scheme_object
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from config.models import ApiToken
from config.second_factor import lacks_one

SCHEME = "Token"
SAFE = {"GET", "HEAD", "OPTIONS"}
SEEN_EVERY = timedelta(minutes=1)  # `used_at` is not written more often than that
BEARER = ("id", "is_superuser", "username", "is_staff", "is_active")  # in the model's order; the rest is read when somebody asks for it
# As text, like annotation.access.PERMITTED: it is asked with every call of a program, and building it anew cost more than asking.
FOUND = f"""
SELECT token.*, {", ".join(f"bearer.{name} AS bearer_{name}" for name in BEARER)}
FROM config_apitoken token JOIN auth_user bearer ON bearer.id = token.user_id WHERE token.digest = %s
"""  # noqa: S608 - names of our own


def token_create(user: Any, *, name: str, scope: str = ApiToken.Scope.READ, expires_at: datetime | None = None) -> tuple[ApiToken, str]:
    """The row and the key itself, which is told here and never again."""
    key = secrets.token_urlsafe(32)
    token = ApiToken(user=user, name=name.strip(), scope=scope, expires_at=expires_at, digest=_digest(key), starts_with=key[:6])
    token.full_clean(exclude=["user"])
    token.save()
    return token, key


@transaction.atomic
def token_revoke(token: ApiToken, *, now: datetime) -> None:
    """Harmless when repeated; the row stays, so that the log can be read."""
    if token.revoked_at is None:
        token.revoked_at = now
        token.save(update_fields=["revoked_at"])


class HashedTokenAuthentication(BaseAuthentication):
    """`Authorization: Token <key>`. A key for reading is refused everything that may change something."""

    def authenticate(self, request: Request) -> tuple[Any, ApiToken] | None:
        scheme, _, key = get_authorization_header(request).partition(b" ")
        if scheme.lower() != SCHEME.lower().encode():
            return None
        token = _found(_digest(key.strip().decode("latin-1")))
        now = timezone.now()
        if token is None or not token.is_valid(now) or not token.user.is_active:
            raise exceptions.AuthenticationFailed("This key is not valid: it is unknown, expired or revoked.", code="invalid_token")
        if lacks_one(token.user):
            raise exceptions.PermissionDenied(
                "Your role needs a second factor: set it up on the account page.", code="second_factor_required"
            )
        if token.scope == ApiToken.Scope.READ and request.method not in SAFE:
            raise exceptions.PermissionDenied("This key may only read.", code="token_scope")
        if token.used_at is None or now - token.used_at > SEEN_EVERY:
            ApiToken.objects.filter(pk=token.pk).update(used_at=now)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return SCHEME


def _found(digest: str) -> ApiToken | None:
    """The key of that digest with whose it is, in one query."""
    for token in ApiToken.objects.raw(FOUND, [digest]):
        token.user = User.from_db(token._state.db, BEARER, [getattr(token, f"bearer_{name}") for name in BEARER])
        return token
    return None


class TokenScheme(OpenApiAuthenticationExtension):
    """What the API's schema says about it."""

    target_class = "config.tokens.HashedTokenAuthentication"
    name = "tokenAuth"
    priority = -1

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return build_bearer_security_scheme_object(header_name="Authorization", token_prefix=SCHEME)


def _digest(key: str) -> str:
    """Plain SHA-256 is enough for 256 random bits: there is nothing to guess."""
    return hashlib.sha256(key.encode()).hexdigest()
