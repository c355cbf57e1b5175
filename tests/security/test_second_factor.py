"""The second factor: asked for at every door, good once, counted, kept sealed, and not to be gone round by those who must have it."""

import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY, TOTP, format_hotp_value, hotp_value
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from config import second_factor
from config.models import Event
from tests.factories import PersonFactory, UserFactory
from tests.security.tokens import token_of

pytestmark = pytest.mark.django_db
PASSWORD = "a long password"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def code(secret: str = SECRET, later: int = 0) -> str:
    """What the app shows now; `later` 1 is the next one, which is taken as well."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + later))


@pytest.fixture(autouse=True)
def no_memory():
    """allauth's own memory of used codes, which outlives a test's rows."""
    cache.clear()


@pytest.fixture
def ann():
    user = UserFactory(username="ann")
    TOTP.activate(user, SECRET)
    return user


def at_the_door(password: str = PASSWORD, name: str = "ann", **kwargs) -> Client:
    """A browser that has sent name and password."""
    client = Client(**kwargs)
    client.post(reverse("login"), {"username": name, "password": password})
    return client


def is_in(client: Client) -> bool:
    return client.get(reverse("account")).status_code == 200


def send(client: Client, shown: str):
    return client.post(reverse("mfa_authenticate"), {"code": shown})


# --- at the door -------------------------------------------------------------------------------------------------
def test_the_password_alone_opens_nothing(ann):
    client = at_the_door()
    assert not is_in(client)
    assert not Event.objects.filter(kind="signed_in").exists()
    send(client, code())
    assert is_in(client)
    assert Event.objects.filter(kind="signed_in", who="ann").count() == 1


def test_who_has_none_is_asked_for_none():
    UserFactory(username="bob")
    assert is_in(at_the_door(name="bob"))


def test_it_leads_on_to_the_page_that_was_asked_for(ann):
    client = Client()
    client.post(reverse("login"), {"username": "ann", "password": PASSWORD, "next": reverse("annotation:me")})
    assert send(client, code()).url == reverse("annotation:me")


def test_its_pages_speak_chinese_too(ann):
    client = Client(headers={"Accept-Language": "zh-hans"})
    client.post(reverse("login"), {"username": "ann", "password": PASSWORD})
    page = send(client, "000000").content.decode()
    assert "第二重验证" in page
    assert "验证码不对，或已经用过。" in page
    send(client, code())
    again = client.post(reverse("account_reauthenticate"), {"password": "wrong"}).content.decode()
    assert "是您本人吗？" in again
    assert not set(re.findall(r">\s*([A-Z][a-z]+ [a-z ]+)", again.partition("<main")[2].partition("</main")[0]))


def test_without_a_password_there_is_no_place_for_a_code(ann):
    answer = send(Client(), code())
    assert answer.url == reverse("login")


def test_the_admins_door_is_the_same_door(ann):
    User.objects.filter(pk=ann.pk).update(is_staff=True, is_superuser=True)
    client = Client()
    door = client.get(reverse("admin:login"))
    assert (door.status_code, door.url.partition("?")[0]) == (302, reverse("login"))
    assert client.post(reverse("admin:login"), {"username": "ann", "password": PASSWORD}).status_code == 302
    assert client.get(reverse("admin:index")).status_code == 302


def test_a_code_is_good_once_even_in_another_process(ann):
    shown = code()
    send(at_the_door(), shown)
    cache.clear()  # another process has another memory; the row is the same
    late = at_the_door()
    assert "was used already" in send(late, f" {shown[:3]} {shown[3:]} ").content.decode()
    assert not is_in(late)
    send(late, code(later=1))
    assert is_in(late)


def test_guessing_codes_ends_soon_from_everywhere(ann):
    for number in range(second_factor.CODES_PER_ACCOUNT):
        send(at_the_door(REMOTE_ADDR=f"192.0.2.{number}"), "000000")
    client = at_the_door(REMOTE_ADDR="198.51.100.1")
    assert "Too many wrong codes" in send(client, code()).content.decode()
    assert not is_in(client)
    assert Event.objects.filter(kind="sign_in_refused", after={"factor": "code"}).exists()


def test_a_recovery_code_opens_once_and_is_told(ann):
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

    spare = RecoveryCodes.activate(ann).get_unused_codes()[0]
    client = at_the_door()
    send(client, spare)
    assert is_in(client)
    assert Event.objects.filter(after={"recovery code": "used"}, who="ann").count() == 1
    again = at_the_door()
    send(again, spare)
    assert not is_in(again)


# --- signing in without leaving the page -------------------------------------------------------------------------
def test_a_script_is_told_each_step(ann):
    client, asks = Client(), {"headers": {"Accept": "application/json"}}

    def step(name: str, **fields: str) -> dict:
        return client.post(reverse(name), fields, **asks).json()

    assert step("login", username="ann", password="wrong") == {"signed_in": False, "code_wanted": False}
    assert step("login", username="ann", password=PASSWORD) == {"signed_in": False, "code_wanted": True}
    assert step("mfa_authenticate", code="000000") == {"signed_in": False, "code_wanted": True}
    assert step("mfa_authenticate", code=code()) == {"signed_in": True, "code_wanted": False}
    assert is_in(client)


# --- turning it on and off ---------------------------------------------------------------------------------------
@pytest.fixture
def bob():
    user = UserFactory(username="bob")
    return user, at_the_door(name="bob")


def show_it_is_me(client: Client) -> None:
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})


def turn_on(client: Client) -> str:
    show_it_is_me(client)
    client.get(reverse("mfa_activate_totp"))
    secret = client.session[SECRET_SESSION_KEY]
    answer = client.post(reverse("mfa_activate_totp"), {"code": code(secret)})
    assert answer.url == reverse("mfa_view_recovery_codes")
    return secret


def test_only_who_shows_the_password_again_turns_it_on(bob):
    _, client = bob
    assert client.get(reverse("mfa_activate_totp")).url.startswith(reverse("account_reauthenticate"))
    client.post(reverse("account_reauthenticate"), {"password": "wrong"})
    assert client.get(reverse("mfa_activate_totp")).status_code == 302
    show_it_is_me(client)
    page = client.get(reverse("mfa_activate_totp"))
    assert 'src="data:image/svg+xml;base64,' in page.content.decode()


def test_turning_it_on_gives_recovery_codes_and_ends_the_other_sessions(bob, django_capture_on_commit_callbacks):
    _, client = bob
    other = at_the_door(name="bob")
    with django_capture_on_commit_callbacks(execute=True):
        secret = turn_on(client)
    assert (is_in(client), is_in(other)) == (True, False)
    page = client.get(reverse("mfa_view_recovery_codes")).content.decode()
    codes = Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes()
    assert len(codes) == 10
    assert all(one in page for one in codes)
    assert not is_in(at_the_door(name="bob"))
    assert not Authenticator.objects.filter(data__icontains=secret).exists(), "sealed at rest"
    told = Event.objects.filter(what="mfa.Authenticator", kind="created", who="bob").values_list("after", flat=True)
    assert {row["type"] for row in told} == {"totp", "recovery_codes"}
    assert secret not in str(list(Event.objects.values()))


def test_a_wrong_code_does_not_turn_it_on(bob):
    _, client = bob
    show_it_is_me(client)
    client.get(reverse("mfa_activate_totp"))
    assert client.post(reverse("mfa_activate_totp"), {"code": "000000"}).status_code == 200
    assert not Authenticator.objects.exists()


def test_it_is_turned_off_and_the_recovery_codes_go_with_it(bob):
    _, client = bob
    turn_on(client)
    assert client.get(reverse("mfa_deactivate_totp")).status_code == 200
    client.post(reverse("mfa_deactivate_totp"))
    assert not Authenticator.objects.exists()
    assert Event.objects.filter(what="mfa.Authenticator", kind="deleted", who="bob").exists()


def test_new_recovery_codes_replace_the_old_ones(bob):
    _, client = bob
    turn_on(client)
    old = Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes()
    assert client.get(reverse("mfa_generate_recovery_codes")).status_code == 200
    client.post(reverse("mfa_generate_recovery_codes"))
    assert not set(old) & set(Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes())


# --- who must have it --------------------------------------------------------------------------------------------
def through(user: User, path: str) -> HttpResponse:
    """The answer of the gate alone; 200 when it lets the request on."""
    request = RequestFactory().get(path)
    request.user = user
    return second_factor.RequiredMiddleware(lambda request: HttpResponse("on"))(request)


def test_those_who_must_have_one_do_nothing_before(settings, ann):
    settings.SECOND_FACTOR_ROLES = ["manager", "admin"]
    manager, annotator = PersonFactory(role="manager").user, PersonFactory(role="annotator").user
    root = User.objects.create_superuser("root", password=PASSWORD)
    for user in (manager, root):
        assert through(user, "/status/").url.startswith(reverse("mfa_activate_totp"))
        assert b"second_factor_required" in through(user, "/api/v1/people").content
        assert through(user, reverse("mfa_activate_totp")).status_code == 200
    assert through(annotator, "/status/").status_code == 200
    TOTP.activate(manager, SECRET)
    assert through(manager, "/status/").status_code == 200


def test_the_whole_way_of_somebody_who_must_have_one(settings):
    settings.SECOND_FACTOR_ROLES = ["manager"]
    PersonFactory(role="manager", user__username="max")
    client = at_the_door(name="max")
    assert client.get(reverse("home")).url.startswith(reverse("mfa_activate_totp"))
    assert client.get("/api/v1/people").status_code == 403
    assert client.post(reverse("key_make"), {"name": "script", "scope": "read", "days": 3}).status_code == 302, "no key either"
    turn_on(client)
    assert client.get(reverse("home")).status_code == 200
    assert client.get(reverse("mfa_view_recovery_codes")).status_code == 200
    assert "Turn it off" not in client.get(reverse("account")).content.decode()


def test_they_cannot_turn_it_off(settings, bob):
    user, client = bob
    turn_on(client)
    settings.SECOND_FACTOR_ROLES = ["admin"]
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    client.post(reverse("mfa_deactivate_totp"))
    assert Authenticator.objects.filter(type="totp").exists()


def test_a_role_that_does_not_exist_is_refused_at_the_start(settings):
    settings.SECOND_FACTOR_ROLES = ["managers"]
    with pytest.raises(ImproperlyConfigured, match="managers"):
        second_factor.connect()


# --- a lost telephone --------------------------------------------------------------------------------------------
def test_the_operator_takes_it_off(ann):
    call_command("second_factor_off", "ann")
    assert is_in(at_the_door())
    assert Event.objects.filter(what="mfa.Authenticator", kind="deleted").exists()
    with pytest.raises(CommandError, match="has none"):
        call_command("second_factor_off", "ann")
    with pytest.raises(CommandError, match="no account"):
        call_command("second_factor_off", "nobody")


def test_a_program_with_a_key_is_asked_for_no_code(ann):
    answer = Client().get("/api/v1/runs", headers={"Authorization": f"Token {token_of(ann)}"})
    assert answer.status_code == 403, "known, though it may not see runs"


def test_a_key_made_before_a_role_had_to_have_one_waits_for_it_too(settings):
    manager = PersonFactory(role="manager").user
    key = {"headers": {"Authorization": f"Token {token_of(manager)}"}}
    assert Client().get("/api/v1/people", **key).status_code == 200
    settings.SECOND_FACTOR_ROLES = ["manager"]
    refused = Client().get("/api/v1/people", **key)
    assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_required")
    TOTP.activate(manager, SECRET)
    assert Client().get("/api/v1/people", **key).status_code == 200
