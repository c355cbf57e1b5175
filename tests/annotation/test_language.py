"""What the site says no with, in the reader's language."""

from __future__ import annotations

import pytest
from django.utils import translation

from annotation.rules.preferences import DEFAULT_KEYS
from annotation.rules.qualification import pause_reason
from annotation.services import NotEligible, assignment_next, reason_told
from annotation.views.words import note_told
from tests.factories import PersonFactory

pytestmark = pytest.mark.django_db


def test_a_refusal_of_the_api_is_in_chinese_for_who_reads_chinese(client):
    person = PersonFactory(paused_reason="休假")
    client.force_login(person.user)
    answer = client.post("/api/v1/assignments/next", {}, content_type="application/json", headers={"accept-language": "zh-hans"})
    assert (answer.status_code, answer.json()["code"]) == (403, "paused")
    assert answer.json()["detail"] == "您已被暂停：休假。管理员可以恢复您的工作。"


def test_programs_still_read_english():
    with translation.override("en"), pytest.raises(NotEligible, match="Your manager can resume you"):
        assignment_next(PersonFactory(paused_reason="away"))


def test_two_actions_on_one_key_are_refused_in_chinese(client):
    client.force_login(PersonFactory().user)
    keys = {f"key-{action}": key for action, key in DEFAULT_KEYS.items()}
    answer = client.post("/me/", {"keys": "1", **keys, "key-mute": "x"}, follow=True, headers={"accept-language": "zh-hans"})
    assert "按键 x 同时设给了" in answer.content.decode()


@pytest.mark.parametrize(("qualified", "shown"), [(False, True), (True, False)])
def test_the_test_is_in_the_navigation_of_those_who_must_take_it(client, qualified, shown):
    fields = {} if qualified else {"qualified_at": None}
    client.force_login(PersonFactory(**fields).user)
    page = client.get("/me/").content.decode()
    assert ('href="/qualify/"' in page.partition('id="site-nav"')[2].partition("</nav>")[0]) == shown


def test_the_reason_of_a_pause_by_gold_items_is_told_in_the_readers_language(staff, client) -> None:
    member = staff.members["A"][0]
    member.paused_reason = pause_reason(5, 12, pause_below=60)
    member.save(update_fields=["paused_reason"])
    chinese = {"HTTP_ACCEPT_LANGUAGE": "zh-hans"}
    client.force_login(member.user)
    assert "最近 12 个标准片段答对 5 个，低于 60%" in client.get("/me/", **chinese).content.decode()
    refused = client.post("/api/v1/assignments/next", {}, content_type="application/json", **chinese)
    assert "最近 12 个标准片段答对 5 个" in refused.json()["detail"]
    assert "5 of the last 12 gold items right, less than 60 %" in client.get("/me/").content.decode()
    assert reason_told("away until Monday") == "away until Monday"


def test_what_the_site_notes_is_told_in_the_readers_language_and_what_people_write_as_it_is() -> None:
    with translation.override("zh-hans"):
        assert [note_told(text) for text in ("paused", "ambiguous", "exchange", "")] == ["已暂停", "含糊", "交换", ""]
        assert note_told("她请了假") == "她请了假"
