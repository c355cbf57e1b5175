"""Staff may look after accounts; only a superuser gives power. No default account, no default secret."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse
from rest_framework.authtoken.models import Token

from tests.factories import UserFactory

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
    token = Token.objects.create(user=user)
    assert Client().get("/api/v1/runs", headers={"Authorization": f"Token {token.key}"}).status_code == 401


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
