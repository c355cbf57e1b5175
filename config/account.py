"""One's own account: the password, the sessions, the keys for programs. Everybody sees and changes only the own."""

from datetime import timedelta
from typing import Any, cast

from allauth.mfa.models import Authenticator
from django import forms
from django.contrib import messages
from django.contrib.auth import authenticate, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from config.models import ApiToken
from config.second_factor import must_have
from config.signin import sessions_end
from config.tokens import token_create, token_revoke

MOST_KEYS = 20


class PasswordForm(PasswordChangeForm):
    """Asks for the present password as at the door, where wrong ones are counted: a stolen session is no place to guess it."""

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        super().__init__(_me(request), *args)
        self.request = request

    def clean_old_password(self) -> str:
        password = str(self.cleaned_data["old_password"])
        if authenticate(self.request, username=self.user.get_username(), password=password) is None:
            raise forms.ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        return password


class KeyForm(forms.Form):
    name = forms.CharField(max_length=60)
    scope = forms.ChoiceField(choices=ApiToken.Scope.choices)
    days = forms.IntegerField(min_value=1, max_value=3650)


@require_safe
@login_required
@never_cache
def account_page(request: HttpRequest) -> HttpResponse:
    return _page(request)


def _me(request: HttpRequest) -> User:
    """Who asks; each view here lets only the signed-in come so far."""
    return cast(User, request.user)


def _page(request: HttpRequest, status: int = 200, **shown: object) -> HttpResponse:
    keys = ApiToken.objects.filter(user=_me(request))
    factor = Authenticator.objects.filter(user=_me(request), type=Authenticator.Type.TOTP).first()
    context = {
        "password_form": PasswordForm(request), "keys": keys, "scopes": ApiToken.Scope.choices, "now": timezone.now(),
        "second_factor": factor, "second_factor_required": must_have(_me(request)),
    }  # fmt: skip
    return render(request, "account.html", {**context, **shown}, status=status)


@require_safe
@login_required
def second_factor(request: HttpRequest) -> HttpResponse:
    """Where allauth leads to when a second factor was turned on or off: it is shown on the account page."""
    return redirect("account")


@require_POST
@login_required
def password_change(request: HttpRequest) -> HttpResponse:
    """A new password; this session goes on, every other one ends."""
    form = PasswordForm(request, request.POST)
    if not form.is_valid():
        return _page(request, 400, password_form=form)
    form.save()
    update_session_auth_hash(request, _me(request))
    sessions_end(request.user, keep=request.session.session_key)
    messages.success(request, _("The password is changed. You are signed out everywhere else."))
    return redirect("account")


@require_POST
@login_required
def sessions_close(request: HttpRequest) -> HttpResponse:
    ended = sessions_end(request.user, keep=request.session.session_key)
    messages.success(request, _("Other sessions ended: %(number)s.") % {"number": ended})
    return redirect("account")


@require_POST
@login_required
@never_cache
def key_make(request: HttpRequest) -> HttpResponse:
    """Answers with the page itself instead of leading to it: the key is in no address, no session and no log."""
    form = KeyForm(request.POST)
    valid = [key for key in ApiToken.objects.filter(user=_me(request)) if key.is_valid(timezone.now())]
    if not form.is_valid() or len(valid) >= MOST_KEYS:
        return _page(request, 400, key_refused=True)
    asked = form.cleaned_data
    expires_at = timezone.now() + timedelta(days=asked["days"])
    token, key = token_create(request.user, name=asked["name"], scope=asked["scope"], expires_at=expires_at)
    return _page(request, new_key=key, new_token=token)


@require_POST
@login_required
def key_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    token_revoke(get_object_or_404(ApiToken, pk=pk, user=_me(request)), now=timezone.now())
    messages.success(request, _("The key opens nothing any more."))
    return redirect("account")
