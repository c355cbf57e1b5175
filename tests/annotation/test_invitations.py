"""The way in for people who were imported: a link from the manager, good once, and no way up."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from annotation import services
from annotation.models import StaffChange
from tests.factories import PersonFactory

pytestmark = pytest.mark.django_db
PASSWORD = "quiet river seven stones"


@pytest.fixture
def manager(client: Client):
    person = PersonFactory(role="manager")
    client.force_login(person.user)
    return person


def newcomer(role: str = "annotator"):
    person = PersonFactory(role=role)
    person.user.set_unusable_password()
    person.user.save()
    return person


def links_in(page: str) -> list[str]:
    return re.findall(r"http://testserver(/sign-in/first/[^<\s]+)", page)


def choose(path: str, password: str = PASSWORD, *, again: str | None = None) -> str:
    """What the page says after somebody without a session has followed the link and typed a password."""
    visitor = Client()
    shown = visitor.get(path, follow=True)
    if not shown.context["validlink"]:
        return shown.content.decode()
    typed = {"new_password1": password, "new_password2": password if again is None else again}
    return visitor.post(shown.request["PATH_INFO"], typed, follow=True).content.decode()


def test_an_imported_person_comes_in_by_the_managers_link_once(client, manager):
    person = newcomer()
    answer = client.post(reverse("annotation:people"), {"action": "invite", "person": person.pk})
    (link,) = links_in(answer.content.decode())
    assert answer["Cache-Control"] == "no-store"
    assert StaffChange.objects.filter(person=person, kind="invited", by=manager.user).count() == 1
    assert "Sign in as" in choose(link)
    assert Client().login(username=person.user.username, password=PASSWORD)
    assert "does not work any more" in choose(link, "another river seven stones")
    assert not Client().login(username=person.user.username, password="another river seven stones")


def test_one_press_makes_links_for_all_who_have_none(client, manager):
    people = {newcomer().pk, newcomer("leader").pk}
    page = client.get(reverse("annotation:people")).content.decode()
    assert "Make links for all" in page
    answer = client.post(reverse("annotation:people"), {"action": "invite"})
    assert {person.pk for person, _ in answer.context["links"]} == people
    for link in links_in(answer.content.decode()):
        choose(link)
    assert "Make links for all" not in client.get(reverse("annotation:people")).content.decode()
    assert client.post(reverse("annotation:people"), {"action": "invite"}).status_code == 400


def test_a_password_too_plain_or_mistyped_is_refused_and_the_link_stays_good(client, manager):
    person = newcomer()
    link = services.person_invite(person, by=manager.user)
    assert "too short" in choose(link, "short")
    assert "match" in choose(link, again="something else entirely")
    assert "Sign in as" in choose(link)


def test_a_new_password_ends_what_was_open_under_the_old_one(manager):
    person = newcomer()
    choose(services.person_invite(person, by=manager.user))
    visitor = Client()
    assert visitor.login(username=person.user.username, password=PASSWORD)
    person.user.refresh_from_db()
    choose(services.person_invite(person, by=manager.user), "four other words here")
    assert visitor.get(reverse("home")).status_code == 302


@pytest.mark.parametrize("role", ["admin", "data_engineer", "researcher"])
def test_a_manager_makes_no_link_into_an_account_that_may_do_more(client, manager, role):
    person = newcomer(role)
    answer = client.post(reverse("annotation:people"), {"action": "invite", "person": person.pk})
    assert (answer.status_code, links_in(answer.content.decode())) == (400, [])
    assert "an admin makes that link" in answer.content.decode()
    admin = PersonFactory(role="admin")
    operator = User.objects.create_superuser("operator")
    if role != "admin":
        assert services.person_invite(person, by=admin.user)
    assert services.person_invite(person, by=operator)


def test_a_superuser_is_not_opened_by_an_admin(manager):
    person = newcomer("manager")
    person.user.is_superuser = True
    person.user.save()
    with pytest.raises(ValidationError, match="an admin makes that link"):
        services.person_invite(person, by=PersonFactory(role="admin").user)


def test_a_closed_account_gets_no_link(manager):
    person = newcomer()
    person.user.is_active = False
    person.user.save()
    with pytest.raises(ValidationError, match="is closed"):
        services.person_invite(person, by=manager.user)
    assert services.people_without_password() == []


@pytest.mark.parametrize("path", ["/sign-in/first/x/y/", "/sign-in/first/MQ/set-password/", "/sign-in/first/OTk5/abc-def/"])
def test_a_made_up_link_opens_nothing(path):
    assert "does not work any more" in Client().get(path).content.decode()


def test_the_operator_prints_them():
    person, out = newcomer(), StringIO()
    call_command("sign_in_links", site="https://emotions.example.org/", stdout=out)
    name, link = out.getvalue().strip().split(",")
    assert name == person.user.username
    assert link.startswith("https://emotions.example.org/sign-in/first/")
    assert "Sign in as" in choose(link.removeprefix("https://emotions.example.org"))
    with pytest.raises(CommandError, match="nobody is called nemo"):
        call_command("sign_in_links", "nemo")
