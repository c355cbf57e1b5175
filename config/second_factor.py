"""The second factor: a code of an authenticator app after the password, for whoever turns it on and for the roles that must.

django-allauth keeps the secrets and checks the codes (allauth.mfa); what is here fits it to this site: secrets sealed at rest, tries
counted in the audit log like those for the password, a code good for one sign-in on every machine, and no way round for those roles.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from allauth.account.stages import LoginStageController
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from allauth.mfa.stages import AuthenticateStage
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured, MiddlewareNotUsed, ValidationError
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.translation import gettext_lazy as _

from config import audit
from config.models import Event
from config.roles import ROLES
from config.signin import WINDOW, key_of, sessions_end

CODES_PER_ACCOUNT = 10  # wrong codes for one account within WINDOW, from everywhere: who asks for codes already had the password
CODES_REMEMBERED = 4  # a code is taken for a minute and a half, which is three of them


# --- the secret, sealed ------------------------------------------------------------------------------------------
class Adapter(DefaultMFAAdapter):
    """What allauth asks about: how secrets are kept, what the app calls the account, who may go without."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": _("That code is not right, or was used already."),
        "cannot_delete_authenticator": _("Your role needs a second factor: it cannot be turned off."),
        "cannot_generate_recovery_codes": _("Recovery codes belong to a second factor: turn it on first."),
    }

    def encrypt(self, text: str) -> str:
        return _box().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _box().decrypt(encrypted_text.encode()).decode()

    def get_totp_label(self, user: Any) -> str:
        return str(user.get_username())

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        return not must_have(authenticator.user)


def _box() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = [hashlib.sha256(b"config.second_factor:" + force_bytes(key)).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])


# --- a code ------------------------------------------------------------------------------------------------------
class _Counted:
    """Mixed into allauth's forms: refuses when there were too many wrong codes, and every code the second time."""

    user: User
    authenticator: Authenticator

    def clean_code(self) -> str:
        if are_used_up(self.user, now=timezone.now()):
            _note(self.user, Event.Kind.SIGN_IN_REFUSED)
            raise ValidationError(_("Too many wrong codes. Wait a quarter of an hour."))
        try:
            code = str(super().clean_code())  # type: ignore[misc]  # of the form that this is mixed into
            _use_once(self.authenticator, code)
        except ValidationError:
            _note(self.user, Event.Kind.SIGN_IN_FAILED)
            raise
        return code


class CodeForm(_Counted, AuthenticateForm):
    """At the door, after the password."""


class CodeAgainForm(_Counted, ReauthenticateForm):
    """Inside, before something that matters."""


def are_used_up(user: User, *, now: datetime) -> bool:
    wrong = Event.objects.filter(kind=Event.Kind.SIGN_IN_FAILED, key=_key(user), at__gt=now - WINDOW)
    return wrong.count() >= CODES_PER_ACCOUNT


def _key(user: User) -> str:
    return key_of(f"second factor of {user.pk}")


def _note(user: User, kind: str) -> None:
    audit.record(kind, user, after={"factor": "code"}, request=context.request, key=_key(user))


def _use_once(authenticator: Authenticator, code: str) -> None:
    """Raises ValidationError for an app's code that was taken before; recovery codes are struck out by allauth itself."""
    if authenticator.type != Authenticator.Type.TOTP:
        audit.record(Event.Kind.CHANGED, authenticator, after={"recovery code": "used"}, request=context.request, user=authenticator.user)
        return
    mark = key_of(f"code {authenticator.pk} {re.sub(r'[^0-9]', '', code)}")
    with transaction.atomic():
        # Lock the row: two browsers may show the same code at once.
        row = Authenticator.objects.select_for_update().get(pk=authenticator.pk)
        used = row.data.get("used", [])
        if mark in used:
            raise ValidationError(Adapter.error_messages["incorrect_code"])
        row.data["used"] = [*used, mark][-CODES_REMEMBERED:]
        row.save(update_fields=["data"])


# --- who must ----------------------------------------------------------------------------------------------------
def must_have(user: Any) -> bool:
    """Whether a role of this person asks for a second factor (SECOND_FACTOR_ROLES); superusers count as admins."""
    return User.objects.filter(_of_those_roles(), pk=user.pk).exists()


def lacks_one(user: Any) -> bool:
    """Whether this person must have a second factor and has none yet."""
    if not settings.SECOND_FACTOR_ROLES:
        return False
    has = Authenticator.objects.filter(type=Authenticator.Type.TOTP).values("user")
    return User.objects.filter(_of_those_roles(), pk=user.pk).exclude(pk__in=has).exists()


def _of_those_roles() -> Q:
    roles = Q(groups__name__in=settings.SECOND_FACTOR_ROLES)
    return roles | Q(is_superuser=True) if "admin" in settings.SECOND_FACTOR_ROLES else roles


class RequiredMiddleware:
    """Leads those who must have a second factor and have none to its page, and lets them do nothing else before."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not settings.SECOND_FACTOR_ROLES:
            raise MiddlewareNotUsed
        self.get_response = get_response
        names = ("mfa_activate_totp", "account_reauthenticate", "logout", "set_language")
        self.open = {reverse(name) for name in names}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        open_to_all = request.path in self.open or request.path.startswith(settings.STATIC_URL)
        if open_to_all or not request.user.is_authenticated or not lacks_one(request.user):
            return self.get_response(request)
        if request.path.startswith("/api/"):
            refusal = {
                "detail": str(_("Your role needs a second factor: set it up on the account page.")),
                "code": "second_factor_required",
            }
            return JsonResponse(refusal, status=403)
        return HttpResponseRedirect(f"{reverse('mfa_activate_totp')}?{urlencode({'next': request.path})}")


# --- signing in without leaving the page --------------------------------------------------------------------------
def in_place(view: Callable[..., Any]) -> Callable[..., Any]:
    """The view, which tells a script that asks for JSON where the signing in stands, instead of leading it to a page."""

    @wraps(view)
    def asked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        answer = view(request, *args, **kwargs)
        if request.method != "POST" or request.headers.get("Accept") != "application/json":
            return answer
        waits = not request.user.is_authenticated and LoginStageController.enter(request, AuthenticateStage.key) is not None
        return JsonResponse({"signed_in": request.user.is_authenticated, "code_wanted": waits})

    return asked


def connect() -> None:
    """Raises ImproperlyConfigured for a role that does not exist; from then on a new second factor ends all other sessions."""
    if unknown := sorted(set(settings.SECOND_FACTOR_ROLES) - set(ROLES)):
        raise ImproperlyConfigured(f"SECOND_FACTOR_ROLES names {', '.join(unknown)}; the roles are {', '.join(ROLES)}")
    authenticator_added.connect(_added, weak=False, dispatch_uid="second_factor.added")


def _added(request: HttpRequest, user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    if authenticator.type == Authenticator.Type.TOTP:
        sessions_end(user, keep=request.session.session_key)
