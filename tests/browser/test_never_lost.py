"""What could lose a vote, a choice or the peace of two tabs, brought about on purpose: full storage, held answers, held keys, somebody else."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone
from selenium.webdriver.common.keys import Keys

from annotation.models import Assignment, Vote
from tests.browser.driving import PASSWORD, Page

# Answers to calls that end so wait until letGo(); `arrived` counts those that came through.
HOLD = """
const [end, real] = [arguments[0], window.fetch];
const held = new Promise((resolve) => (window.letGo = resolve));
window.arrived = 0;
window.fetch = async (url, options) => {
  const answer = await real(url, options);
  if (!String(url).endsWith(end)) return answer;
  await held;
  setTimeout(() => (window.arrived += 1));
  return answer;
};
"""
# The same, but the answer is lost on its way here while `cut` is set.
CUT = """
const [end, real] = [arguments[0], window.fetch];
window.cut = true;
window.fetch = async (url, options) => {
  const answer = await real(url, options);
  if (window.cut && String(url).endsWith(end)) throw new TypeError("the connection was cut");
  return answer;
};
"""
PRESS = (
    "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], repeat: arguments[1], bubbles: true, cancelable: true}))"
)
COMPOSE = """
const filter = document.querySelector('[data-filter]');
filter.focus();
filter.value = arguments[0];
filter.dispatchEvent(new InputEvent('input', {isComposing: arguments[1], bubbles: true}));
filter.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: arguments[1], bubbles: true, cancelable: true}));
"""


@pytest.fixture
def bench(page: Page, labelling) -> Page:
    labelling.samples(6)
    return page.sign_in("alice", then="/annotate/").workbench()


def said_by(name: str) -> list[str]:
    return list(Vote.objects.filter(person__user__username=name).order_by("pk").values_list("adjective", flat=True))


def test_a_browser_whose_storage_is_full_loses_no_vote(bench: Page) -> None:
    bench.js("Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }")
    bench.offline()
    bench.vote("e", "h", "7")
    bench.vote("f", "g", "9")
    bench.wait(lambda: bench.text("badge") == "2 waiting", "both are kept in the page")
    bench.online()
    bench.js("window.dispatchEvent(new Event('online'))")
    bench.wait(lambda: said_by("alice") == ["happy", "gruesome"], "both arrive")


def test_a_vote_whose_answer_was_lost_is_not_said_to_be_taken_back(bench: Page) -> None:
    bench.js(CUT, "/submit")
    bench.vote("e", "h", "7")
    bench.wait(lambda: said_by("alice") == ["happy"] and bench.text("badge") == "1 waiting", "it has arrived, but nobody here knows")
    second = bench.clip()
    bench.press("u")
    bench.wait(lambda: "No connection" in bench.text("notice"), "only the server can take it back")
    assert bench.clip() == second
    assert Vote.objects.get().undone_at is None
    bench.js("window.cut = false")
    bench.wait(lambda: bench.text("badge").startswith("saved "), "the answer came with the next attempt")
    bench.js(CUT, "/undo")
    bench.press("u")
    bench.wait(lambda: Vote.objects.get().undone_at, "it is taken back, and that answer is lost, too")
    assert bench.clip() == second
    bench.js("window.cut = false")
    bench.press("u")
    bench.wait(lambda: bench.text("chosen") == "Happy", "asked again, the page learns it")
    bench.vote("t", "a", "8")
    bench.wait(lambda: said_by("alice") == ["happy", "angry"], "the better vote counts")


def test_a_vote_that_never_left_is_taken_back_without_a_network(bench: Page) -> None:
    first = bench.clip()
    bench.offline()
    bench.vote("e", "h", "7")
    bench.wait(lambda: bench.text("badge") == "1 waiting", "the vote is kept")
    bench.press("u")
    bench.wait(lambda: bench.clip() == first and bench.text("chosen") == "Happy", "the clip is back")
    bench.vote("t", "a", "8")
    bench.online()
    bench.js("window.dispatchEvent(new Event('online'))")
    bench.wait(lambda: said_by("alice") == ["angry"], "only the better vote ever arrives")


def test_a_tab_that_was_taken_over_does_not_take_the_clips_back(bench: Page) -> None:
    first = bench.driver.current_window_handle
    bench.js(HOLD, "/submit")
    bench.vote("e", "h", "7")
    second = bench.new_tab()
    bench.open("/annotate/")
    bench.driver.switch_to.window(first)
    bench.wait(lambda: bench.state() == "lost", "the first tab stops")
    bench.js("letGo()")
    bench.driver.switch_to.window(second)
    bench.workbench()
    bench.vote("f", "g", "9")
    bench.wait(lambda: said_by("alice") == ["happy", "gruesome"], "the second tab goes on")
    bench.driver.switch_to.window(first)
    assert bench.state() == "lost"


def test_a_reason_typed_while_the_list_is_read_anew_counts(bench: Page) -> None:
    bench.js(HOLD, "/next")
    bench.vote("e", "h", "7")
    before = bench.clip()
    bench.press("x")
    bench.wait(lambda: bench.js("return document.getElementById('skip-dialog').open"), "a reason is asked for")
    bench.wait(lambda: said_by("alice") == ["happy"], "the vote is there, and the list asked for again")
    bench.js("letGo()")
    bench.wait(lambda: bench.js("return window.arrived > 0"), "the list is here")
    bench.press(Keys.ENTER)
    bench.wait(lambda: Assignment.objects.filter(state="skipped", person__user__username="alice").count() == 1, "the clip is passed on")
    bench.wait(lambda: bench.clip() != before, "the next clip comes")


def test_a_key_held_too_long_opens_its_group_and_picks_nothing(bench: Page) -> None:
    bench.js(PRESS, "e", False)
    for _ in range(3):
        bench.js(PRESS, "e", True)
    assert bench.text("chosen") == "nothing chosen yet"
    assert bench.js("return document.querySelector('[data-group=\"0\"]').classList.contains('open')")
    bench.js(PRESS, "e", False)
    assert bench.text("chosen") == "Exciting", "pressed again it is the letter"


def test_enter_belongs_to_the_input_method_while_a_word_is_composed(bench: Page) -> None:
    bench.js(COMPOSE, "h", True)
    assert bench.text("chosen") == "nothing chosen yet"
    assert bench.one("[data-found]").text == "", "half a word filters nothing"
    bench.js(COMPOSE, "快乐", False)
    assert bench.text("chosen") == "Happy"


def test_nobody_votes_as_whoever_signed_in_beside_them(bench: Page) -> None:
    bob = Client()
    bob.force_login(Assignment.objects.filter(seat=1).first().person.user)
    session = bob.cookies["sessionid"]
    bench.cdp("Network.setCookie", name=session.key, value=session.value, url=bench.site, httpOnly=True)
    bench.vote("t", "a", "8")
    bench.wait(lambda: bench.js("return document.getElementById('signin-dialog').open"), "alice's page asks for her password")
    assert not Vote.objects.exists()
    bench.one("#signin-password").send_keys(PASSWORD + Keys.ENTER)
    bench.wait(lambda: said_by("alice") == ["angry"], "the vote is hers")
    bench.workbench()


def test_a_draft_of_another_machine_is_there_when_its_clip_comes(bench: Page) -> None:
    turn = Assignment.objects.filter(person__user__username="alice").order_by("order")[1]
    Assignment.objects.filter(pk=turn.pk).update(draft={"adjective": "gloomy", "confidence": 0.4}, draft_saved_at=timezone.now())
    bench.vote("e", "h", "7")
    bench.wait(lambda: bench.text("chosen") == "Gloomy", "what was chosen there is chosen here")
    bench.press(Keys.ENTER)
    bench.wait(lambda: said_by("alice") == ["happy", "gloomy"], "and can be submitted")
