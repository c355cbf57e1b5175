import pytest
from django.contrib.auth.models import Group

from config.roles import ROLES, roles_grant

pytestmark = pytest.mark.django_db


def test_every_role_holds_exactly_its_permissions():
    for role, permissions in ROLES.items():
        held = {f"{p.content_type.app_label}.{p.codename}" for p in Group.objects.get(name=role).permissions.all()}
        assert held == permissions


def test_granting_again_takes_back_what_was_added_by_hand():
    annotator, admin = Group.objects.get(name="annotator"), Group.objects.get(name="admin")
    annotator.permissions.add(admin.permissions.get(codename="manage_people"))
    roles_grant()
    assert not annotator.permissions.filter(codename="manage_people").exists()


def test_no_role_may_touch_users_or_permissions():
    assert not any(name.startswith("auth.") for permissions in ROLES.values() for name in permissions)
