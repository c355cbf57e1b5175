"""Guessing passwords is slowed down, without a word about what exists and without locking anybody else out."""

from datetime import timedelta

import pytest
from django.conf import settings as site_settings
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from config import audit, signin
from config.models import Event
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
RIGHT = "a long password"


def sign_in(username: str, password: str, address: str = "192.0.2.1", door: str = "login"):
    return Client(REMOTE_ADDR=address).post(reverse(door), {"username": username, "password": password})


def is_in(answer) -> bool:
    return answer.status_code == 302


def test_the_sixth_try_is_refused_even_with_the_right_password():
    UserFactory(username="ann")
    for _ in range(signin.TRIES_PER_ACCOUNT):
        assert not is_in(sign_in("ann", "wrong"))
    assert not is_in(sign_in("ann", RIGHT))
    assert Event.objects.first().kind == "sign_in_refused"


def test_the_owner_elsewhere_and_others_here_still_get_in():
    UserFactory(username="ann")
    UserFactory(username="bob")
    for _ in range(signin.TRIES_PER_ACCOUNT + 1):
        sign_in("ann", "wrong")
    assert is_in(sign_in("ann", RIGHT, address="192.0.2.2"))
    assert is_in(sign_in("bob", RIGHT))


def test_waiting_opens_the_door_again():
    UserFactory(username="ann")
    for _ in range(signin.TRIES_PER_ACCOUNT):
        sign_in("ann", "wrong")
    request = RequestFactory().post("/", REMOTE_ADDR="192.0.2.1")
    now = timezone.now()
    assert signin.is_throttled(request, "ann", now=now)
    assert not signin.is_throttled(request, "ann", now=now + signin.WINDOW + timedelta(seconds=1))


def test_a_success_forgives_the_slips_before_it():
    UserFactory(username="ann")
    for _ in range(3):
        for _ in range(signin.TRIES_PER_ACCOUNT - 1):
            sign_in("ann", "wrong")
        assert is_in(sign_in("ann", RIGHT))


def test_one_address_that_tries_many_names_is_slowed_too():
    UserFactory(username="ann")
    for number in range(signin.TRIES_PER_ADDRESS):
        sign_in(f"name{number}", "wrong")
    assert not is_in(sign_in("ann", RIGHT))
    assert is_in(sign_in("ann", RIGHT, address="192.0.2.2"))


def test_every_refusal_reads_the_same():
    UserFactory(username="ann")
    closed = UserFactory(username="closed")
    User.objects.filter(pk=closed.pk).update(is_active=False)

    def shown(username: str, password: str) -> str:
        answer = sign_in(username, password)
        return str(answer.context["form"].non_field_errors())

    wrong = shown("ann", "wrong")
    assert shown("nobody", "wrong") == wrong
    assert shown("closed", RIGHT) == wrong
    for _ in range(signin.TRIES_PER_ACCOUNT):
        sign_in("ann", "wrong")
    assert shown("ann", RIGHT) == wrong


def test_the_admin_has_no_door_of_its_own():
    User.objects.create_superuser("root", password=RIGHT)
    answer = sign_in("root", RIGHT, door="admin:login")
    assert answer.url.startswith(reverse("login"))
    assert not Event.objects.filter(kind="signed_in").exists()


@pytest.mark.parametrize(("behind_proxy", "expected"), [(False, "192.0.2.1"), (True, "198.51.100.9")])
def test_a_visitor_cannot_choose_the_address_that_is_counted(settings, behind_proxy, expected):
    settings.BEHIND_PROXY = behind_proxy
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR="203.0.113.5, 198.51.100.9")
    assert audit.address_of(request) == expected


def test_passwords_are_hashed_with_argon2_and_short_or_common_ones_are_refused():
    from config import settings as real  # the tests hash quickly; this is what the site does

    assert real.PASSWORD_HASHERS[0].endswith("Argon2PasswordHasher")
    from django.contrib.auth.password_validation import validate_password
    from django.core.exceptions import ValidationError

    for poor in ("short", "password123", "1029384756102", "annmarieann"):
        with pytest.raises(ValidationError):
            validate_password(poor, User(username="annmarieann"))
    assert site_settings.SESSION_COOKIE_HTTPONLY


def test_an_address_of_ones_own_house_is_one_visitor():
    """A provider gives 64 bits to each house: who counts single addresses of IPv6 counts nothing."""
    UserFactory(username="ann")
    for number in range(signin.TRIES_PER_ACCOUNT):
        sign_in("ann", "wrong", address=f"2001:db8:0:1::{number:x}")
    assert not is_in(sign_in("ann", RIGHT, address="2001:db8:0:1:ffff::9"))
    assert is_in(sign_in("ann", RIGHT, address="2001:db8:0:2::1"))
    assert is_in(sign_in("ann", RIGHT, address="192.0.2.1"))


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("unknown", None),
        ("203.0.113.5:61234", None),
        ("x" * 5000, None),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("fe80::1%eth0", "fe80::1"),
        ("", "192.0.2.1"),
    ],
)
def test_what_is_no_address_stops_nobody_and_is_not_kept(settings, forwarded, expected):
    """PostgreSQL would refuse the row, and with it every sign-in."""
    settings.BEHIND_PROXY = True
    UserFactory(username="ann")
    answer = Client(headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR="192.0.2.1").post(
        reverse("login"), {"username": "ann", "password": RIGHT}
    )
    assert is_in(answer)
    assert Event.objects.filter(kind="signed_in").get().address == expected


def test_a_stolen_session_is_no_place_to_guess_the_password():
    user = UserFactory(username="ann")
    client = Client(REMOTE_ADDR="192.0.2.1")
    client.force_login(user)
    guess = {"old_password": "wrong", "new_password1": "7 quiet rivers", "new_password2": "7 quiet rivers"}
    for _ in range(signin.TRIES_PER_ACCOUNT):
        assert client.post(reverse("password_change"), guess).status_code == 400
    assert client.post(reverse("password_change"), {**guess, "old_password": RIGHT}).status_code == 400
    assert Event.objects.filter(kind="sign_in_failed", about="ann").count() == signin.TRIES_PER_ACCOUNT
    user.refresh_from_db()
    assert user.check_password(RIGHT)
