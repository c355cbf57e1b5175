"""The frame's list of pages."""

import pytest

from qa.models import MosStudy
from tests.factories import PersonFactory


@pytest.mark.django_db
@pytest.mark.parametrize("drawn", [True, False])
def test_the_expert_finds_studies_once_one_is_drawn(client, drawn):
    if drawn:
        MosStudy.objects.create(name="pilot", seed=1, margin=0.2, confidence=0.95)
    client.force_login(PersonFactory(role="expert").user)
    navigation = client.get("/expert/").content.decode().partition('id="site-nav"')[2].partition("</nav>")[0]
    assert ('href="/mos/"' in navigation) == drawn
