"""Someone new passes the labelling test: by keys alone, on a narrow screen, through a reload and a lost connection."""

from __future__ import annotations

from selenium.webdriver.common.keys import Keys

from annotation import services
from annotation.models import Person, QualificationAttempt
from annotation.rules import sentiment
from crawler.models import Video
from tests.browser.driving import Page

NARROW = (360, 700)
EMOTION_OF = {scene.en: scene.emotion for scene in sentiment.SCENES}


def begin(page: Page, part: str) -> None:
    page.wait(lambda: page.one(f'[data-begin="{part}"]'), "the part can be begun").click()
    page.wait(lambda: page.text("place"), "the first item is shown")


def answered(page: Page) -> int:
    return int(page.js("return document.querySelector('#qualify progress').value"))


def answer(page: Page, emotion: str) -> None:
    before = answered(page)
    page.press(emotion[0].lower())
    page.wait(lambda: answered(page) == before + 1, "the answer is taken")


def fits(page: Page, axe: str, name: str) -> None:
    page.picture(name)
    assert page.overflow() <= 0
    assert page.violations(axe) == []


def test_someone_new_passes_both_parts_and_labels(page: Page, labelling, axe: str) -> None:
    labelling.samples(6)
    for video in Video.objects.all():
        services.gold_add(video_id=video.pk, emotions=["Relaxation"], source="experts")
    Person.objects.filter(pk=labelling.alice.pk).update(qualified_at=None)
    page.size(*NARROW, mobile=True)
    page.sign_in("alice", then="/annotate/")
    page.wait(lambda: page.state() == "empty", "there is no clip for her")
    page.picture("qualify-from-workbench")
    page.one(".cover a.button").click()

    begin(page, "sentiment")
    for _ in range(3):
        answer(page, EMOTION_OF[page.text("scene")])
    fits(page, axe, "qualify-scene-360")
    page.driver.refresh()
    begin(page, "sentiment")
    assert page.text("place") == "4 of 24"
    page.press(Keys.ARROW_LEFT)
    assert page.one(f'[data-emotion="{EMOTION_OF[page.text("scene")]}"]').get_attribute("aria-pressed") == "true"
    page.press(Keys.ARROW_RIGHT)
    for _ in range(21):
        answer(page, EMOTION_OF[page.text("scene")])
    page.picture("qualify-done-360")
    page.offline()
    page.press(Keys.ENTER)
    page.wait(lambda: "No connection" in page.text("notice"), "it is said that there is no connection")
    page.online()
    page.press(Keys.ENTER)
    page.wait(lambda: "Best score: 100 of 100" in page.one("#qualify").text, "the score is told")
    fits(page, axe, "qualify-one-passed-360")

    begin(page, "quality")
    page.wait(
        lambda: page.js("const v = document.querySelector('#qualify video'); return v.readyState >= 2 && v.currentTime > 0"), "it plays"
    )
    fits(page, axe, "qualify-clip-360")
    page.size(1280, 800)
    page.picture("qualify-clip-1280")
    page.press("x", Keys.ENTER)  # neither an emotion nor, yet, the end
    assert page.text("place") == "1 of 6"
    for _ in range(6):
        answer(page, "Relaxation")
    page.press(Keys.ENTER)
    page.wait(lambda: "You have passed" in page.one("#qualify").text, "she has passed")
    page.picture("qualify-passed-1280")
    assert set(QualificationAttempt.objects.values_list("part", "score")) == {("sentiment", 100.0), ("quality", 100.0)}
    page.one(".page-head a.button").click()
    page.workbench()
