"""Staff may look after accounts; only a superuser gives power. No default account, no default secret."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config.models import ApiToken, Event
from tests.factories import PersonFactory, UserFactory
from tests.security.tokens import token_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff():
    """One of the staff with every permission about users that Django has."""
    user = UserFactory(username="sam")
    user.is_staff = True
    user.save()
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="auth"))
    client = Client()
    client.force_login(user)
    return user, client


def change(client: Client, user: User, **values: object):
    url = reverse("admin:auth_user_change", args=[user.pk])
    joined = user.date_joined
    data = {"username": user.username, "date_joined_0": joined.date(), "date_joined_1": joined.time(), "is_active": "on", **values}
    return client.post(url, data)


def test_staff_cannot_raise_themselves(staff):
    user, client = staff
    role = Group.objects.get(name="admin")
    answer = change(client, user, is_superuser="on", groups=[role.pk], user_permissions=[1], first_name="Sam")
    user.refresh_from_db()
    assert answer.status_code == 302, "the harmless change is saved"
    assert user.first_name == "Sam"
    assert (user.is_superuser, list(user.groups.all())) == (False, [])
    assert user.user_permissions.filter(content_type__app_label="auth").count() == user.user_permissions.count()


def test_staff_cannot_touch_who_stands_higher(staff):
    root = User.objects.create_superuser("root", password="a long password")
    _, client = staff
    assert change(client, root, username="mine").status_code == 403
    assert client.post(reverse("admin:auth_user_password_change", args=[root.pk]), {}).status_code == 403
    assert client.post(reverse("admin:auth_user_delete", args=[root.pk]), {"post": "yes"}).status_code == 403
    root.refresh_from_db()
    assert root.username == "root"


def test_staff_cannot_change_what_a_role_may_do(staff):
    _, client = staff
    role = Group.objects.get(name="annotator")
    assert client.post(reverse("admin:auth_group_change", args=[role.pk]), {"name": "annotator", "permissions": [1]}).status_code == 403
    assert client.get(reverse("admin:auth_group_add")).status_code == 403


def test_a_superuser_still_can(staff):
    user, _ = staff
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="a long password"))
    change(client, user, is_staff="on", groups=[Group.objects.get(name="manager").pk])
    assert user.groups.get().name == "manager"


def test_the_roles_give_no_way_into_the_admin():
    client = Client()
    client.force_login(UserFactory(role="admin"))
    assert client.get(reverse("admin:index")).status_code == 302


def test_an_empty_site_has_no_account():
    assert not User.objects.exists()


def test_a_switched_off_account_is_out_at_once():
    user = UserFactory(role="manager")
    client = Client()
    client.force_login(user)
    assert client.get(reverse("status")).status_code == 200
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert client.get(reverse("status")).url.startswith(reverse("login"))
    assert Client().get("/api/v1/runs", headers={"Authorization": f"Token {token_of(user)}"}).status_code == 401


def test_a_changed_password_ends_every_session():
    user = UserFactory(role="manager")
    client = Client()
    client.force_login(user)
    user.set_password("another long password")
    user.save()
    assert client.get(reverse("status")).url.startswith(reverse("login"))


def test_sign_in_leads_nowhere_else():
    user = UserFactory(role="manager")
    answer = Client().post(reverse("login") + "?next=https://evil.example/", {"username": user.username, "password": "a long password"})
    assert answer.status_code == 302
    assert "evil" not in answer.url


# --- one's own account ------------------------------------------------------------------------------------------
@pytest.fixture
def ann():
    """Signed in twice: here, and on a telephone."""
    user = UserFactory(username="ann")
    here, telephone = Client(), Client()
    for client in (here, telephone):
        client.post(reverse("login"), {"username": "ann", "password": "a long password"})
    return user, here, telephone


def is_in(client: Client) -> bool:
    return client.get(reverse("account")).status_code == 200


def test_signing_out_elsewhere_leaves_this_session_and_other_people_alone(ann):
    _, here, telephone = ann
    bob = Client()
    bob.force_login(UserFactory(username="bob"))
    assert here.post(reverse("sessions_close")).status_code == 302
    assert (is_in(here), is_in(telephone), is_in(bob)) == (True, False, True)


def test_a_new_password_signs_out_elsewhere(ann):
    user, here, telephone = ann
    data = {"old_password": "a long password", "new_password1": "7 quiet rivers", "new_password2": "7 quiet rivers"}
    assert here.post(reverse("password_change"), {**data, "old_password": "wrong"}).status_code == 400
    assert here.post(reverse("password_change"), {**data, "new_password1": "short", "new_password2": "short"}).status_code == 400
    assert is_in(telephone)
    assert here.post(reverse("password_change"), data).status_code == 302
    assert (is_in(here), is_in(telephone)) == (True, False)
    user.refresh_from_db()
    assert user.check_password("7 quiet rivers")


def key_made(client: Client, **asked: object) -> str:
    answer = client.post(reverse("key_make"), {"name": "script", "scope": "read", "days": 3, **asked})
    return answer.context["new_key"]


def call(key: str, method: str = "get", path: str = "/api/v1/me/preferences"):
    body = {} if method == "get" else {"data": {}, "content_type": "application/json"}
    return getattr(Client(), method)(path, headers={"Authorization": f"Token {key}"}, **body)


def test_a_key_is_shown_once_and_kept_only_as_a_hash(ann):
    _, here, _ = ann
    key = key_made(here)
    row = ApiToken.objects.values().get()
    assert key not in str(row)
    assert key not in here.get(reverse("account")).content.decode()
    assert not Event.objects.filter(after__icontains=key).exists()
    assert Event.objects.filter(what="config.ApiToken", kind="created", who="ann").exists()


def test_a_key_for_reading_changes_nothing():
    user = PersonFactory(role="annotator").user
    read, write = token_of(user, "read"), token_of(user, "write")
    assert call(read).status_code == 200
    refused = call(read, "post", "/api/v1/assignments/next")
    assert (refused.status_code, refused.json()["code"]) == (403, "token_scope")
    assert call(write, "post", "/api/v1/assignments/next").status_code in (200, 204)


def test_a_key_ends_by_its_day_by_its_owner_and_with_the_account(ann):
    user, here, _ = ann
    PersonFactory(user=user)
    key = key_made(here)
    assert call(key).status_code == 200
    ApiToken.objects.update(expires_at=timezone.now())
    assert call(key).status_code == 401
    key = key_made(here)
    stranger = Client()
    stranger.force_login(UserFactory())
    url = reverse("key_revoke", args=[ApiToken.objects.first().pk])
    assert stranger.post(url).status_code == 404
    assert call(key).status_code == 200
    here.post(url)
    assert call(key).status_code == 401
    assert call("no such key").status_code == 401
