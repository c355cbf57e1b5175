"""The other pages of labelling, and the frame around every page."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from annotation.models import Assignment, Batch, Delivery, Person, Sample, Vote
from annotation.services import announce, gold_add, person_invite, webhook_add
from tests.browser.driving import PASSWORD, Page
from tests.factories import VoteFactory

STAFF_PAGES = [
    "/",
    "/collect/",
    "/review/",
    "/people/",
    "/people/gold/",
    "/people/webhooks/",
    "/samples/",
    "/quality/",
    "/quality/design/",
    "/hints/",
    "/dataset/",
    "/train/",
    "/status/",
]
PHONE, DESKTOP = (360, 740), (1280, 800)


def disagree(labelling, sample: Sample) -> None:
    """Three members, three emotions: the sample asks the leader."""
    for person, emotion in zip((labelling.alice, labelling.bob, labelling.carol), ("Fear", "Sadness", "Tension"), strict=True):
        turn = Assignment.objects.get(sample=sample, person=person)
        Assignment.objects.filter(pk=turn.pk).update(state="submitted")
        VoteFactory(sample=sample, person=person, emotion=emotion, assignment=turn)


@pytest.fixture
def led(labelling):
    """The same group with its leader lea, who has one sample to vote on."""
    lea = labelling.person("lea", role="leader")
    sample = labelling.samples(2)[0]
    disagree(labelling, sample)
    Sample.objects.filter(pk=sample.pk).update(rung="leader")
    Assignment.objects.create(sample=sample, person=lea, rung="leader")
    Batch.objects.create(group=labelling.group, opened_by=lea)
    return labelling


def test_the_form_signs_in_and_leads_to_the_page_that_was_asked_for(page: Page, labelling) -> None:
    page.open("/annotate/")
    page.one("#id_username").send_keys("alice")
    page.one("#id_password").send_keys("wrong" + Keys.ENTER)
    page.wait(lambda: page.one("[role=alert]").is_displayed(), "a wrong password is refused")
    page.one("#id_password").send_keys(PASSWORD + Keys.ENTER)
    page.wait(lambda: page.state() == "empty", "the workbench opens")


def test_the_leader_votes_and_sees_why(page: Page, led) -> None:
    page.sign_in("lea", then="/leader/").workbench()
    assert "three different emotions" in page.text("why-here")
    assert "00000" in page.one("#queue table").text
    page.vote("f", "g", "9")
    page.wait(lambda: page.state() == "empty", "the queue is empty")
    vote = Vote.objects.get(rung="leader")
    assert (vote.emotion, vote.sample.label) == ("Fear", "Fear"), "2-1-1 decides"


def test_a_leader_sees_the_spread_only_after_the_own_vote(page: Page, led, settings) -> None:
    settings.SHOW_SPREAD = True
    page.sign_in("lea", then="/leader/").workbench()
    assert not page.one("[data-part=notice]").is_displayed()
    page.vote("e", "h", "9")
    page.wait(lambda: "Fear 1, Sadness 1, Tension 1" in page.text("notice"), "the others' spread is shown")


def test_a_leader_distributes_a_batch(page: Page, led) -> None:
    from tests.factories import VideoFactory

    VideoFactory.create_batch(5)
    page.sign_in("lea", then="/leader/")
    size = page.one("#size")
    size.clear()
    size.send_keys("3" + Keys.ENTER)
    page.wait(lambda: "3 clips distributed" in page.one(".messages").text, "it is said")
    assert Sample.objects.count() == 2 + 3


def test_own_keys_and_wellbeing_are_saved(page: Page, labelling) -> None:
    page.sign_in("alice", then="/me/")
    page.wait(lambda: page.one("#key-play").get_property("value") == "Space", "a key that leaves no mark is named")
    page.one("#key-mute").send_keys("q")
    page.one("button[name=keys]").click()
    page.wait(lambda: "Saved" in page.one(".messages").text, "the keys are saved")
    page.one("#out-gore").click()
    page.one("#wellbeing button").click()
    page.wait(lambda: Person.objects.get(pk=labelling.alice.pk).opted_out == ["gore"], "the opt-out is saved")
    assert Person.objects.get(pk=labelling.alice.pk).preferences["keys"] == {"mute": "q"}
    page.one("#key-mute").send_keys("x")  # taken by skip
    page.one("button[name=keys]").click()
    page.wait(lambda: "set for both" in page.one(".messages").text, "two actions on one key are refused")


@pytest.mark.parametrize(("theme", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["desktop", "phone"])
def test_every_page_fits_and_axe_finds_nothing(page: Page, led, axe: str, theme: str, size: tuple[int, int]) -> None:
    led.person("ada", role="admin", group=None)
    webhook, _secret = webhook_add(url="https://hooks.example.org/labels", events=["label.decided", "release.made"], by=None)
    announce("release.made", {"release": "full-v1"})
    Delivery.objects.filter(webhook=webhook).update(state="given_up", status=410, problem="Gone", attempts=14)
    gold_add(video_id=Sample.objects.values_list("video", flat=True)[0], emotions=["Fear", "Tension"], source="three experts")
    page.theme(theme)
    page.size(*size, mobile=size == PHONE)
    look(page.open("/sign-in/"), axe, theme)
    led.person("ex", role="expert", group=None)
    nina = led.person("nina", qualified_at=None)
    look(page.open(person_invite(nina, by=None)), axe, theme)
    pages = {"lea": ["/leader/"], "ex": ["/expert/"], "nina": ["/annotate/", "/qualify/"], "alice": ["/me/", "/nowhere/", "/leader/"]}
    for name, paths in pages.items():
        for path in paths:
            look(page.sign_in(name, then=path), axe, theme)
    story = f"/samples/?clip={Sample.objects.values_list('video__number', flat=True)[0]}"
    for path in [*STAFF_PAGES, story]:
        page.sign_in("ada", then=path)
        page.wait(lambda: not page.js("return document.querySelector('[data-ask]')"), "the status page has asked the workers")
        look(page, axe, theme)


def look(page: Page, axe: str, theme: str) -> None:
    """The whole of axe in one theme; in the other only contrast can differ."""
    width, path = page.js("return [innerWidth, location.pathname]")
    page.picture(f"page{path.replace('/', '-')}{theme}-{width}")
    assert page.overflow() <= 0, path
    assert page.violations(axe) == [], path
    page.theme("light" if theme == "dark" else "dark")
    assert page.violations(axe, ["color-contrast"]) == [], path
    page.theme(theme)
