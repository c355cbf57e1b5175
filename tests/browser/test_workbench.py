"""A person labels: by keys alone, through lost connections and sessions, in two tabs, on a phone, in the dark, in Chinese."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from statistics import median

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.sessions.models import Session
from selenium.webdriver.common.keys import Keys

from annotation.models import Assignment, Emotion, Person, Vote
from annotation.rules.taxonomy import ADJECTIVES
from annotation.services import prelabels_save
from tests.browser.driving import PASSWORD, Page

NUM_CLIPS = 20
# group, letter, digit → adjective, confidence
VOTES = [("e", "h", "7", "happy", 0.7), ("f", "g", "9", "gruesome", 0.9), ("n", "p", "5", "plain", 0.5), ("t", "a", "0", "angry", 1.0)]


@pytest.fixture
def bench(page: Page, labelling) -> Page:
    labelling.samples(6)
    return page.sign_in("alice", then="/annotate/").workbench()


def votes_of(name: str) -> list[Vote]:
    return list(Vote.objects.filter(person__user__username=name, undone_at=None).order_by("pk"))


def test_twenty_clips_are_labelled_by_keys_alone(page: Page, labelling) -> None:
    labelling.samples(NUM_CLIPS)
    page.sign_in("alice", then="/annotate/").workbench()
    assert page.text("today") == f"0 of {NUM_CLIPS} today"
    waits = []
    behind = partial(page.js, "return [...document.querySelectorAll('video:not(.current)')].map((video) => video.src)")
    for n in range(NUM_CLIPS):
        group, letter, digit, _, _ = VOTES[n % len(VOTES)]
        page.workbench()
        waits.append(int(page.one("[data-part=stage]").get_attribute("data-started-ms")))
        due = min(2, NUM_CLIPS - 1 - n)
        page.wait(lambda due=due: len(behind()) == due, "the next clips are loading")
        loading = behind()
        page.vote(group, letter, digit)
        assert page.clip() in [*loading, ""], "and one of them is the next"
    page.wait(lambda: page.state() == "empty", "nothing is left")
    cast = votes_of("alice")
    assert [(vote.adjective, vote.confidence) for vote in cast] == [VOTES[n % len(VOTES)][3:] for n in range(NUM_CLIPS)]
    assert page.text("today") == f"{NUM_CLIPS} of {NUM_CLIPS} today"
    page.open("/annotate/")
    page.wait(lambda: page.state() == "empty", "nothing is left after a reload either")
    assert page.text("today") == f"{NUM_CLIPS} of {NUM_CLIPS} today"
    print(f"\nthe next clip plays after {median(waits[1:])} ms (median), {max(waits[1:])} ms at most; the limit is 300")


def test_submit_says_what_is_missing(bench: Page) -> None:
    assert bench.one("[data-part=submit]").get_attribute("aria-disabled") == "true"
    assert bench.text("why") == "Choose an adjective."
    bench.press(Keys.ENTER, "e", "h")
    assert "how sure" in bench.text("why")
    assert bench.text("derived") == "Excitation"
    bench.press("3")
    assert bench.text("why") == ""
    assert bench.one("[data-part=submit]").get_attribute("aria-disabled") == "false"
    assert not votes_of("alice")


def test_a_draft_comes_back_after_a_reload(bench: Page) -> None:
    bench.press("s", "l", "4")
    bench.wait(lambda: bench.text("badge").startswith("saved "), "the draft is saved")
    draft = Assignment.objects.filter(person__user__username="alice").order_by("order")[0].draft
    assert (draft["adjective"], draft["confidence"]) == ("lonely", 0.4)
    bench.js("localStorage.clear()")  # only the server remembers now
    bench.open("/annotate/").workbench()
    assert bench.text("chosen") == "Lonely"
    assert bench.one("[data-part=confidence] input:checked").get_attribute("value") == "0.4"


def test_the_last_vote_can_be_taken_back(bench: Page) -> None:
    first = bench.clip()
    bench.vote("e", "h", "7")
    bench.workbench()
    bench.wait(lambda: len(votes_of("alice")) == 1, "the vote arrives")
    bench.press("u")
    bench.wait(lambda: bench.clip().split("?")[0] == first.split("?")[0], "the clip is back")
    assert bench.text("chosen") == "Happy"
    bench.wait(lambda: not votes_of("alice"), "the vote is undone")
    bench.vote("t", "a", "8")
    bench.wait(lambda: [vote.adjective for vote in votes_of("alice")] == ["angry"], "the better vote counts")


def test_keys_drive_the_clip(bench: Page) -> None:
    bench.press(" ")
    bench.wait(lambda: bench.js("return document.querySelector('video.current').paused"), "it pauses")
    at = bench.js("const v = document.querySelector('video.current'); v.currentTime = 0.5; return v.currentTime")
    bench.press(".")
    bench.wait(lambda: 0 < bench.js("return document.querySelector('video.current').currentTime") - at < 0.1, "one frame on")
    bench.press("]", "m")
    video = "const v = document.querySelector('video.current');"
    assert bench.js(f"{video} return [v.playbackRate, v.muted]") == [1.25, True]
    bench.open("/annotate/").workbench()
    assert bench.js(f"{video} return [v.playbackRate, v.muted]") == [1.25, True], "sound and speed are remembered"


def test_typing_filters_the_adjectives(bench: Page) -> None:
    bench.press("/", "mel")
    assert bench.one("[data-found]").text == "1 match"
    bench.press(Keys.ENTER)
    assert bench.text("chosen") == "Melancholic"
    bench.press("5", Keys.ENTER)
    bench.wait(lambda: [vote.adjective for vote in votes_of("alice")] == ["melancholic"], "the vote arrives")


def test_a_click_leaves_the_keys_with_the_clip(bench: Page) -> None:
    bench.one("input[value=calm]").click()
    bench.one("[data-part=confidence] input[value='0.6']").click()
    assert bench.text("chosen") == "Calm"
    bench.press(Keys.ARROW_RIGHT)
    assert bench.text("chosen") == "Calm", "an arrow moves the clip, not the choice"
    bench.press(" ")
    bench.wait(lambda: bench.js("return document.querySelector('video.current').paused"), "Space pauses")


def test_votes_wait_while_the_network_is_cut(bench: Page) -> None:
    bench.offline()
    bench.vote("e", "h", "7")
    bench.vote("f", "g", "9")
    bench.wait(lambda: bench.text("badge") == "2 waiting", "both votes are kept")
    assert not votes_of("alice")
    bench.online()
    bench.js("window.dispatchEvent(new Event('online'))")
    bench.wait(lambda: [vote.adjective for vote in votes_of("alice")] == ["happy", "gruesome"], "both arrive, once, in order")
    bench.wait(lambda: bench.text("badge").startswith("saved "), "the badge says so")


def test_votes_kept_offline_outlive_the_window(bench: Page) -> None:
    bench.offline()
    bench.vote("e", "h", "7")
    bench.wait(lambda: bench.text("badge") == "1 waiting", "the vote is kept")
    bench.js("window.onbeforeunload = null")
    bench.driver.get("about:blank")
    bench._dismiss()
    bench.online()
    bench.open("/annotate/").workbench()
    bench.wait(lambda: [vote.adjective for vote in votes_of("alice")] == ["happy"], "it is sent by the next visit")


def test_a_session_that_ends_is_renewed_in_place(bench: Page) -> None:
    Session.objects.all().delete()
    bench.vote("t", "a", "8")
    bench.wait(lambda: bench.js("return document.getElementById('signin-dialog').open"), "the dialog asks for the password")
    assert not votes_of("alice")
    assert bench.one("#signin-name").get_attribute("value") == "alice"
    bench.one("#signin-password").send_keys("wrong" + Keys.ENTER)
    bench.wait(lambda: bench.one("#signin-dialog [data-error]").is_displayed(), "a wrong password is said to be wrong")
    bench.one("#signin-password").send_keys(PASSWORD + Keys.ENTER)
    bench.wait(lambda: [vote.adjective for vote in votes_of("alice")] == ["angry"], "the vote is sent")
    bench.workbench()
    bench.vote("e", "h", "7")
    bench.wait(lambda: len(votes_of("alice")) == 2, "work goes on")


def test_a_session_that_ends_is_renewed_in_place_with_a_second_factor(bench: Page) -> None:
    """A recovery code stands for the app's code here: it does not depend on the time."""
    alice = Person.objects.get(user__username="alice").user
    TOTP.activate(alice, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    spare = RecoveryCodes.activate(alice).get_unused_codes()[0]
    Session.objects.all().delete()
    bench.vote("t", "a", "8")
    bench.wait(lambda: bench.js("return document.getElementById('signin-dialog').open"), "the dialog asks for the password")
    assert not bench.one("#signin-code").is_displayed()
    bench.one("#signin-password").send_keys(PASSWORD + Keys.ENTER)
    bench.wait(lambda: bench.one("#signin-code").is_displayed(), "the code is asked for")
    assert not bench.one("#signin-dialog [data-error]").is_displayed()
    bench.one("#signin-code").send_keys("000000" + Keys.ENTER)
    bench.wait(lambda: bench.one("#signin-dialog [data-error]").is_displayed(), "a wrong code is said to be wrong")
    bench.one("#signin-code").send_keys(spare + Keys.ENTER)
    bench.wait(lambda: [vote.adjective for vote in votes_of("alice")] == ["angry"], "the vote is sent")


def test_the_older_of_two_tabs_is_told(bench: Page) -> None:
    first = bench.driver.current_window_handle
    bench.new_tab()
    bench.open("/annotate/").workbench()
    second = bench.driver.current_window_handle
    bench.driver.switch_to.window(first)
    bench.wait(lambda: bench.state() == "lost", "the first tab stops")
    assert "another window" in bench.text("lost-reason")
    bench.one("[data-action=takeOver]").click()
    bench.workbench()
    bench.driver.switch_to.window(second)
    bench.wait(lambda: bench.state() == "lost", "now the second one stops")


def test_another_machine_takes_over(bench: Page, client) -> None:
    client.force_login(Person.objects.get(user__username="alice").user)
    taken = client.post("/api/v1/assignments/next", {}, content_type="application/json")
    assert taken.status_code == 200
    bench.press("e", "h")
    bench.wait(lambda: bench.state() == "lost", "the autosave learns that the lease is gone")
    bench.one("[data-action=takeOver]").click()
    bench.workbench()
    assert bench.text("chosen") == "Happy", "what was chosen here is still here"


def test_a_flagged_clip_stays_blurred_until_asked_for(page: Page, labelling) -> None:
    labelling.samples(3, content_warning=["gore"])
    page.sign_in("alice", then="/annotate/")
    page.wait(lambda: page.state() == "working", "a clip is in front")
    assert page.text("warning") == "injuries"
    page.press("e", "h", "7", Keys.ENTER)
    assert not page.playing()
    assert "Show the clip first" in page.text("why")
    page.press(" ")
    page.workbench()
    page.press(Keys.ENTER)
    page.wait(lambda: len(votes_of("alice")) == 1, "now it can be voted on")
    page.wait(lambda: "veiled" in page.one("[data-part=stage]").get_attribute("class"), "the next one is blurred again")
    assert not page.playing()


def test_skipping_passes_the_clip_on(bench: Page, labelling) -> None:
    dave = labelling.person("dave")
    before = bench.clip()
    bench.press("x")
    bench.wait(lambda: bench.js("return document.getElementById('skip-dialog').open"), "a reason is asked for")
    bench.press(Keys.ENTER)
    bench.wait(lambda: bench.clip() != before, "the next clip comes")
    bench.wait(lambda: Assignment.objects.filter(person=dave).count() == 1, "someone else has it")
    assert Assignment.objects.get(state="skipped").skip_reason == "rather not watch this"


def test_own_keys_are_used(page: Page, labelling) -> None:
    Person.objects.filter(pk=labelling.alice.pk).update(preferences={"keys": {"mute": "q"}})
    labelling.samples(2)
    page.sign_in("alice", then="/annotate/").workbench()
    page.press("m")
    assert page.js("return document.querySelector('video.current').muted") is False
    page.press("q")
    assert page.js("return document.querySelector('video.current').muted") is True


def test_blind_hides_the_emotion(page: Page, labelling, settings) -> None:
    settings.BLIND_EMOTION = True
    labelling.samples(2)
    page.sign_in("alice", then="/annotate/").workbench()
    groups = page.one("[data-groups]").text
    assert "Excitation" not in groups
    assert not page.js("return document.querySelector('[data-groups] [class*=emotion-]')")
    page.press("/", "happy", Keys.ENTER)
    assert page.text("chosen") == "Happy"
    assert not page.one("[data-part=derived]").is_displayed()


def test_the_workbench_fits_a_phone(bench: Page) -> None:
    bench.size(360, 740, mobile=True)
    bench.open("/annotate/").workbench()
    assert bench.overflow() <= 0
    bench.picture("workbench-phone")
    cut = "return [...document.querySelectorAll('.opener')].filter(b => b.scrollWidth > b.clientWidth).map(b => b.textContent)"
    assert bench.js(cut) == [], "no group's name is cut off"
    bench.one("[data-open='4']").click()
    bench.one("input[value=gloomy]").click()
    assert bench.text("chosen") == "Gloomy"
    bench.one("[data-part=confidence] input[value='0.6']").click()
    bench.one("[data-part=submit]").click()
    bench.wait(lambda: [(vote.adjective, vote.confidence) for vote in votes_of("alice")] == [("gloomy", 0.6)], "the vote arrives")


def test_chinese_and_dark(bench: Page, axe: str) -> None:
    bench.theme("dark")
    bench.js("document.querySelector('.user-menu').open = true")
    bench.one("button[name=language][value=zh-hans]").click()
    bench.workbench()
    assert bench.js("return document.documentElement.lang") == "zh-hans"
    bench.press("e", "h")
    assert bench.text("chosen") == "快乐的"
    assert bench.text("derived") == "兴奋"
    bench.picture("workbench-dark-zh")
    assert bench.violations(axe) == []


def test_axe_finds_nothing(bench: Page, axe: str) -> None:
    for key, name in {"": "plain", "e": "group", "?": "guide"}.items():
        bench.press(key)
        bench.picture(f"workbench-{name}")
        assert bench.violations(axe) == [], name


def test_a_clip_whose_address_has_expired_is_fetched_anew(bench: Page) -> None:
    before = bench.clip()
    bench.js("document.querySelector('video.current').src = '/clips/expired'")
    bench.wait(lambda: bench.clip().rpartition("/")[2] not in ("expired", ""), "another address is asked for")
    bench.workbench()
    assert before.partition("/clips/")[0] == bench.clip().partition("/clips/")[0]


CLOCK = """
const done = arguments[0];
import('/static/annotation/workbench/clock.js').then(({ Clock }) => {
  let now = 0, breaks = 0;
  const clock = new Clock({ breakMinutes: 10, onBreak: () => (breaks += 1), now: () => now });
  const work = (minutes) => { for (let s = 0; s < minutes * 60; s += 1) { now += 1000; clock.sign(); clock.tick(); } };
  const idle = (minutes) => { for (let s = 0; s < minutes * 60; s += 1) { now += 1000; clock.tick(); } };
  const told = [];
  work(3); told.push(clock.activeMs / 60000);
  idle(4); told.push(clock.activeMs / 60000);
  now += 3600000; clock.tick(); told.push(clock.activeMs / 60000);
  work(9); told.push(breaks);
  work(2); told.push(breaks);
  clock.startClip(1000); told.push(clock.activeMs);
  done(told);
});
"""


def test_idle_time_does_not_count_and_a_break_is_offered(bench: Page) -> None:
    worked, with_idle, after_sleep, before, after, restarted = bench.driver.execute_async_script(CLOCK)
    assert worked == pytest.approx(3)
    assert with_idle == pytest.approx(4), "the minute after the last sign counts, the rest does not"
    assert after_sleep == pytest.approx(4)
    assert (before, after, restarted) == (0, 1, 1000)


LETTERS = """
const [adjectives, done] = [arguments[0], arguments[1]];
import('/static/annotation/workbench/letters.js').then(({ lettersOf, groupsOf }) => {
  const emotions = [...new Set(adjectives.map((one) => one.emotion))].map((key) => ({ key }));
  const letters = (blind) => groupsOf(adjectives, emotions, blind, 'en').map((group) => [...lettersOf(group.adjectives).values()]);
  done([letters(false), letters(true)]);
});
"""


def test_every_adjective_has_a_letter_of_its_own_in_its_group(bench: Page) -> None:
    table = [{"key": one.key, "name": one.en, "emotion": one.emotion} for one in ADJECTIVES]
    for groups in bench.driver.execute_async_script(LETTERS, table):
        assert [len(set(letters)) for letters in groups] == [len(letters) for letters in groups]
        assert sum(map(len, groups)) == len(ADJECTIVES)


HURRIED = """
const slow = performance.now.bind(performance), every = window.setInterval.bind(window);
performance.now = () => slow() * 30;
window.setInterval = (job, ms, ...rest) => every(job, ms / 30, ...rest);
"""


@pytest.fixture
def hurried(page: Page, labelling) -> Iterator[Page]:
    """alice's workbench, where a minute passes in two seconds and a break is due after two."""
    script = page.cdp("Page.addScriptToEvaluateOnNewDocument", source=HURRIED)["identifier"]
    Person.objects.filter(pk=labelling.alice.pk).update(preferences={"break_minutes": 2})
    labelling.samples(2)
    yield page.sign_in("alice", then="/annotate/").workbench()
    page.cdp("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def test_a_break_is_offered_after_the_own_time_and_can_be_put_off(hurried: Page) -> None:
    hurried.js("setInterval(() => document.dispatchEvent(new Event('pointermove')), 1000)")
    reminder = hurried.one("[data-part=break]")
    assert not reminder.is_displayed()
    hurried.wait(reminder.is_displayed, "two minutes of work have passed")
    assert "short break" in reminder.text
    hurried.one("[data-action=rested]").click()
    hurried.wait(lambda: not reminder.is_displayed(), "it goes away when asked")
    hurried.wait(reminder.is_displayed, "and comes again after the same time")


def test_who_does_nothing_is_not_told_to_rest(hurried: Page) -> None:
    hurried.wait(lambda: hurried.js("return performance.now()") > 4 * 60_000, "four minutes have passed without a sign of life")
    assert not hurried.one("[data-part=break]").is_displayed()


def test_a_hint_is_hidden_until_its_key_is_pressed(bench: Page, settings, monkeypatch, axe: str) -> None:
    settings.PRELABEL_HINT = "all"
    monkeypatch.setattr("annotation.services.prelabels._held_back", lambda turn: False)
    clips = list(Assignment.objects.filter(person__user__username="alice").order_by("order").values_list("sample_id", flat=True))
    prelabels_save("run 9", {clips[0]: {emotion: 0.7 if emotion == "Fear" else 0.06 for emotion in Emotion.values}})
    bench.open("/annotate/").workbench()
    assert "Fear" not in bench.one(".filter").text
    bench.press("h")
    bench.wait(lambda: bench.one("[data-part=hint] .emotion-Fear").is_displayed(), "the hint is shown")
    bench.picture("hint")
    assert bench.violations(axe) == []
    bench.vote("t", "a", "8")
    bench.workbench()
    assert bench.text("hint") == ""
    bench.press("h")
    bench.wait(lambda: bench.text("hint") == "There is no hint for this clip.", "there is none")
    bench.wait(lambda: [vote.prelabel.get("hint") for vote in votes_of("alice")] == ["seen"], "the vote remembers it")
