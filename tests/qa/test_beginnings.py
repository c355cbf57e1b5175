"""What the front page tells a team that begins, until it works."""

import pytest
from django.contrib.auth.models import User

from annotation.models import GoldItem
from qa.selectors import waiting_for
from tests.factories import PersonFactory, VideoFactory

pytestmark = pytest.mark.django_db
LACKING = ("no_people", "no_videos", "shut_out", "gold_lacking")


def lacking() -> dict[str, int]:
    counts = waiting_for(None)
    return {name: counts[name] for name in LACKING if counts[name]}


def test_each_thing_that_is_lacking_is_named_until_it_is_there():
    assert lacking() == {"no_people": 1, "no_videos": 1}
    person = PersonFactory(role="annotator", qualified_at=None)
    person.user.set_unusable_password()
    person.user.save()
    assert lacking() == {"no_videos": 1, "shut_out": 1, "gold_lacking": 6}
    for _ in range(6):
        GoldItem.objects.create(video=VideoFactory(), emotions=["Fear"], source="the expert")
    person.user.set_password("quiet river seven stones")
    person.user.save()
    assert lacking() == {}


def test_a_house_that_signs_its_people_in_needs_no_passwords(settings):
    person = PersonFactory()
    person.user.set_unusable_password()
    person.user.save()
    settings.OIDC_ISSUER = "https://id.example.org"
    assert "shut_out" not in lacking()


def test_an_operator_is_shown_the_first_steps_and_no_workbench(client):
    client.force_login(User.objects.create_superuser("operator"))
    page = client.get("/").content.decode()
    assert "Import the people of your team" in page
    assert "import_clips" in page
    assert 'href="/annotate/"' not in page
