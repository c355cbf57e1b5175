"""Signing in through the house's own sign-in server (OpenID Connect), where the environment names one; off otherwise.

django-allauth speaks the protocol; what is here decides who comes in: people who have an account, known by the address that the
server has verified, and with OIDC_CREATE others as well, who then may do nothing until somebody gives them a role.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect import views
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config import audit
from config.models import Event
from crawler.fetch import FetchError, named_session

log = logging.getLogger(__name__)
PROVIDER = "house"


class AccountAdapter(DefaultAccountAdapter):
    """Nobody signs up by themselves; a closed account is told no more than a wrong password; no greeting after each sign-in."""

    error_messages = {**DefaultAccountAdapter.error_messages, "incorrect_password": _("That password is not right.")}

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponse:
        return _refused(request, _("This site has no account for you. Ask a manager for one."))

    def add_message(self, request: HttpRequest, level: int, message_template: str | None = None, *args: Any, **kwargs: Any) -> None:
        """Only what went wrong is said; the pages themselves show what is on."""
        if message_template is None:
            super().add_message(request, level, None, *args, **kwargs)


class Adapter(DefaultSocialAccountAdapter):
    """What allauth asks about: which server, how it is reached, and whose account it is."""

    def list_apps(self, request: HttpRequest, provider: str | None = None, client_id: str | None = None) -> list[SocialApp]:
        """The server of the environment and no other: a row in the database must not send requests anywhere."""
        if (
            not settings.OIDC_ISSUER
            or provider not in (None, PROVIDER, "openid_connect")
            or client_id not in (None, settings.OIDC_CLIENT_ID)
        ):
            return []
        return [
            SocialApp(
                provider="openid_connect",
                provider_id=PROVIDER,
                name=settings.OIDC_NAME,
                client_id=settings.OIDC_CLIENT_ID,
                secret=settings.OIDC_CLIENT_SECRET,
                settings={"server_url": settings.OIDC_ISSUER, "oauth_pkce_enabled": True},
            )
        ]

    def get_requests_session(self) -> Any:
        return named_session(settings.OIDC_INNER_HOSTS)

    def populate_user(self, request: HttpRequest, sociallogin: Any, data: dict[str, Any]) -> Any:
        """Only what an account needs is kept: no picture, no profile."""
        sociallogin.account.extra_data = {}
        return super().populate_user(request, sociallogin, data)

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Joins the one account of that verified address; refuses who has none, unless accounts may be made."""
        if sociallogin.is_existing:
            return
        sent = next(iter(sociallogin.email_addresses), None)
        owners = list(User.objects.filter(email__iexact=sent.email)[:2]) if sent else []
        if sent and sent.verified is True and len(owners) == 1:
            sociallogin.connect(request, owners[0])
        elif owners or not settings.OIDC_CREATE:
            audit.record(
                Event.Kind.SIGN_IN_FAILED, "the sign-in server sent somebody without an account", what="auth.User", request=request
            )
            raise ImmediateHttpResponse(_refused(request, _("This site has no account for you. Ask a manager for one.")))
        elif sent and sent.verified is not True:
            # It may be another's, whom it would later lead into this account.
            sociallogin.email_addresses, sociallogin.user.email = [], ""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return bool(settings.OIDC_CREATE)

    def on_authentication_error(self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, extra_context: Any = None) -> None:  # fmt: skip
        log.warning("signing in through %s ended: %s %s", settings.OIDC_ISSUER, error, exception or "")
        raise ImmediateHttpResponse(_refused(request, _("Signing in there did not work. Try again, or use your password.")))


def _refused(request: HttpRequest, why: Any) -> HttpResponse:
    messages.error(request, why)
    return HttpResponseRedirect(reverse("login"))


def _reached(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """The view, with a word to the person when the server cannot be reached or answers nonsense; 404 when there is none."""

    @wraps(view)
    def asked(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        # allauth also knows process=connect, which would join whoever is signed in there to the account that is signed in here.
        if not settings.OIDC_ISSUER or request.GET.get("process", "login") != "login":
            raise Http404
        try:
            return view(request, provider_id=PROVIDER)
        except (OSError, FetchError, OAuth2Error, ValueError, KeyError) as error:  # requests' errors are OSErrors
            log.warning("the sign-in server %s: %s: %s", settings.OIDC_ISSUER, type(error).__name__, error)
            return _refused(request, _("The sign-in server does not answer. Use your password, or try again later."))

    return asked


# A link, not a form: our content policy lets forms go nowhere else. All it does is write a random state into one's own session.
leave = require_safe(never_cache(_reached(views.login)))
come_back = require_safe(never_cache(_reached(views.callback)))
