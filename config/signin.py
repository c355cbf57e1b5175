"""Signing in: a slow-down for guessing that locks nobody else out, and an end to all of one's sessions.

Wrong passwords are counted per account and address, and per address over all accounts. Who mistypes only waits; the account's
owner, at another address, notices nothing. The audit log is the memory, so every process and machine counts the same.
"""

import hmac
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import takewhile
from typing import Any

from allauth.account.utils import perform_login
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import SESSION_KEY, logout
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.contrib.auth.views import LoginView, PasswordResetConfirmView
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from config import audit
from config.models import Event

Network = IPv4Network | IPv6Network
WINDOW = timedelta(minutes=15)
TRIES_PER_ACCOUNT = 5  # wrong passwords of one address for one account within WINDOW
TRIES_PER_ADDRESS = 50  # of one address for all accounts: a lab behind one address still gets in


class SignInForm(AuthenticationForm):
    """One message for a wrong name, a wrong password, a closed account and too many tries: none tells which it was."""

    error_messages = {
        "invalid_login": _("This name and password do not fit. After five tries wait a quarter of an hour."),
        "inactive": _("This name and password do not fit. After five tries wait a quarter of an hour."),
    }


class SignInView(LoginView):
    """Name and password; then allauth asks for the second factor of whoever has one, and signs in."""

    authentication_form = SignInForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Leads on who is signed in already; but a page that asks for its own person's password is not answered with somebody else's session."""
        self.redirect_authenticated_user = self.redirect_authenticated_user and request.method != "POST"
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(house=settings.OIDC_NAME if settings.OIDC_ISSUER else "", **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        if self.request.user.is_authenticated:
            logout(self.request)  # whoever else was signed in in this browser
        return perform_login(self.request, form.get_user(), redirect_url=self.get_success_url())


class ThrottledBackend(ModelBackend):
    """Django's own, asked only while there are tries left; stands before every door: the page, the admin."""

    def authenticate(self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any) -> Any:
        if request is not None and username is not None and is_throttled(request, username, now=timezone.now()):
            request._sign_in_refused = True  # type: ignore[attr-defined]  # a mark of our own on the request
            raise PermissionDenied("too many tries")
        return super().authenticate(request, username=username, password=password, **kwargs)


def is_throttled(request: HttpRequest, username: str, *, now: datetime) -> bool:
    """Whether this address has used up its tries, for this account or altogether."""
    tries = _tries_from(_network(audit.address_of(request)), now)
    mine = [kind for kind, key in tries if key == key_of(username)]
    since = takewhile(lambda kind: kind == Event.Kind.SIGN_IN_FAILED, mine)
    wrong = sum(kind == Event.Kind.SIGN_IN_FAILED for kind, _ in tries)
    return len(list(since)) >= TRIES_PER_ACCOUNT or wrong >= TRIES_PER_ADDRESS


def _tries_from(network: Network | None, now: datetime) -> list[tuple[str, str]]:
    """Kind and key of each try of the last quarter of an hour that came from there, the newest first."""
    tries = Event.objects.filter(kind__in=[Event.Kind.SIGN_IN_FAILED, Event.Kind.SIGNED_IN], at__gt=now - WINDOW).order_by("-pk")
    if network is None or network.version == 4:
        tries = tries.filter(address=str(network.network_address) if network else None)
    else:
        tries = tries.filter(address__contains=":")
    return [(kind, key) for kind, key, address in tries.values_list("kind", "key", "address") if _network(address) == network]


def _network(address: str | None) -> Network | None:
    """What one visitor has: an IPv4 address, or the 64 bits of an IPv6 address that a provider gives to a house; the rest is the visitor's choice."""
    return ip_network((address, 64 if ":" in address else 32), strict=False) if address else None


def key_of(username: str) -> str:
    """Stands for the name that was typed, which may be a password typed into the wrong field."""
    return hmac.digest(settings.SECRET_KEY.encode(), b"sign-in:" + username.strip().lower().encode(), "sha256").hex()


def connect() -> None:
    user_logged_in.connect(_signed_in, weak=False, dispatch_uid="signin.in")
    user_logged_out.connect(_signed_out, weak=False, dispatch_uid="signin.out")
    user_login_failed.connect(_failed, weak=False, dispatch_uid="signin.failed")


def _failed(credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any) -> None:
    if request is None:  # a program asked, not a visitor
        return
    name = str(credentials.get("username") or "")
    account = User.objects.filter(username=name).first()
    kind = Event.Kind.SIGN_IN_REFUSED if getattr(request, "_sign_in_refused", False) else Event.Kind.SIGN_IN_FAILED
    audit.record(kind, account or "a name that no account has", what="auth.User", request=request, key=key_of(name))


def _signed_in(request: HttpRequest, user: Any, **kwargs: Any) -> None:
    audit.record(Event.Kind.SIGNED_IN, user, request=request, user=user, key=key_of(user.get_username()))


def _signed_out(request: HttpRequest, user: Any, **kwargs: Any) -> None:
    if user is not None:
        audit.record(Event.Kind.SIGNED_OUT, user, request=request, user=user)


class FirstPasswordView(PasswordResetConfirmView):
    """A password is chosen by whoever holds a manager's link (annotation.services.person_invite); then it opens nothing more."""

    template_name = "registration/first_password.html"
    success_url = reverse_lazy("login")

    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        sessions_end(form.user)
        messages.success(self.request, _("The password is set. Sign in as %(name)s.") % {"name": form.user.get_username()})
        return answer


def sessions_end(user: Any, *, keep: str | None = None) -> int:
    """Signs the person out everywhere but in the session `keep`; returns how many sessions ended."""
    ended = 0
    for session in Session.objects.filter(expire_date__gte=timezone.now()).iterator():
        if session.session_key != keep and SessionStore().decode(session.session_data).get(SESSION_KEY) == str(user.pk):
            session.delete()
            ended += 1
    audit.record(Event.Kind.SESSIONS_ENDED, user, after={"sessions": ended})
    return ended
