import pytest
from django.contrib.auth.models import Group

from annotation.services.people import role_grant
from config.roles import ROLES, roles_grant
from tests.factories import PersonFactory

pytestmark = pytest.mark.django_db


def test_every_role_holds_exactly_its_permissions():
    for role, permissions in ROLES.items():
        held = {f"{p.content_type.app_label}.{p.codename}" for p in Group.objects.get(name=role).permissions.all()}
        looks = {name for name in held - permissions if name.partition(".")[2].startswith("view_")} if role == "admin" else set()
        assert held == permissions | looks


def test_an_admin_sees_every_row_in_djangos_admin_and_changes_none(client):
    person = PersonFactory(role="admin")
    role_grant(person)
    client.force_login(person.user)
    assert client.get("/admin/annotation/vote/").status_code == 200
    assert client.get("/admin/annotation/vote/add/").status_code == 403
    assert client.get("/admin/auth/user/add/").status_code == 403
    person.role = "manager"
    role_grant(person)
    assert client.get("/admin/").status_code == 302


def test_granting_again_takes_back_what_was_added_by_hand():
    annotator, admin = Group.objects.get(name="annotator"), Group.objects.get(name="admin")
    annotator.permissions.add(admin.permissions.get(codename="manage_people"))
    roles_grant()
    assert not annotator.permissions.filter(codename="manage_people").exists()


def test_no_role_may_touch_users_or_permissions():
    assert not any(name.startswith("auth.") for permissions in ROLES.values() for name in permissions)
