"""The review page as somebody uses it who decides about hundreds of clips a day: by keys."""

from __future__ import annotations

import pytest

from crawler.models import Decision, Video
from tests.browser.driving import Page
from tests.factories import UserFactory, VideoFactory


@pytest.fixture
def doubtful(media_root, clip_files) -> list[Video]:
    """Four clips that wait, the first of them since it may be unsafe."""
    clips = []
    for number, path in enumerate(clip_files):
        (media_root / path.name).write_bytes(path.read_bytes())
        clips.append(
            VideoFactory(state="review", number=None, accepted_at=None, file=path.name, title=f"doubtful {number}", duration_s=1.5)
        )
        check = ("text-lexicon", "text: violence") if number == 0 else ("stated-length", "length?: 1 s")
        clips[-1].checks.create(name=check[0], verdict="review", reason=check[1])
    UserFactory(username="erin", role="data_engineer")
    return clips


def key(page: Page, name: str, *, held: bool = False) -> None:
    """A key goes down; held: for the second, third … time, as a keyboard sends them while it is held."""
    page.cdp(
        "Input.dispatchKeyEvent",
        type="rawKeyDown",
        key=name,
        code=f"Key{name.upper()}",
        windowsVirtualKeyCode=ord(name.upper()),
        autoRepeat=held,
    )
    if not held:
        page.cdp("Input.dispatchKeyEvent", type="keyUp", key=name, code=f"Key{name.upper()}", windowsVirtualKeyCode=ord(name.upper()))


def shows(page: Page, video: Video) -> None:
    title = f"· {video.title}"
    page.wait(lambda: title in page.one("figcaption").text and page.js("return document.readyState") == "complete", f"{title} is shown")
    page.wait(lambda: page.js("return document.querySelector('[data-clip]').volume <= 0.3"), "the page listens to keys")


def test_a_key_decides_about_one_clip_however_long_it_is_held(page: Page, doubtful) -> None:
    page.sign_in("erin", then="/review/")
    first, second, third, fourth = doubtful
    shows(page, first)
    key(page, "k")
    shows(page, second)
    key(page, "k", held=True)
    key(page, "3", held=True)
    key(page, "s")
    shows(page, third)
    key(page, "4")
    shows(page, fourth)
    assert list(Decision.objects.order_by("pk").values_list("video", "action", "reason")) == [
        (first.pk, "keep", ""),
        (third.pk, "drop", "quality"),
    ]
    key(page, "u")
    shows(page, third)


def test_a_clip_that_may_be_unsafe_is_blurred_and_every_clip_begins_soft(page: Page, doubtful) -> None:
    page.sign_in("erin", then="/review/")
    shows(page, doubtful[0])
    clip = "document.querySelector('[data-clip]')"
    assert "blur" in page.js(f"return getComputedStyle({clip}).filter")
    key(page, "b")
    assert page.js(f"return getComputedStyle({clip}).filter") == "none"
    page.js(f"{clip}.volume = 1; {clip}.muted = true; {clip}.play()")
    page.wait(lambda: not page.js(f"return {clip}.paused"), "it plays")
    key(page, "k")
    shows(page, doubtful[1])
    assert page.js(f"return [{clip}.volume <= 0.3, {clip}.muted]") == [True, True], "soft again, and as silent as the one before"
    page.wait(lambda: not page.js(f"return {clip}.paused"), "who had the last clip playing has this one played")
    for width, height in ((390, 800), (1280, 800)):
        page.size(width, height)
        assert page.overflow() <= 0
