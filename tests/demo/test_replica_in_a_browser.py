"""The replica's lists as people meet them: in a real Chromium, growing while one scrolls."""

import time
from collections.abc import Callable

import pytest
from django.conf import settings
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.demo.conftest import first

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture(scope="module")
def browser(replica, tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = settings.CHROMIUM_BINARY
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--window-size=1280,900",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
        f"--host-resolver-rules=MAP * {replica.address}",
        f"--ignore-certificate-errors-spki-list={replica.spki_pin}",
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(settings.CHROMEDRIVER_BINARY))
    yield driver
    driver.quit()


def wait(condition: Callable[[], object], seconds: float = 60) -> object:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "the page did not get there in time"
        time.sleep(0.05)
    return value


def biggest(replica, platform: str) -> str:
    tags = {tag for post in replica.site.corpus.of(platform) for tag in post.hashtags}
    return max(tags, key=lambda tag: len(replica.site.corpus.search(platform, tag)))


def scroll_to_end(browser, seen: Callable[[], None]) -> None:
    """Scrolls step by step, looking after each, until the page says that there is no more."""
    for _ in range(1000):
        seen()
        at_end = browser.execute_script(
            "scrollBy(0, 300); return !document.querySelector('.end').hidden && scrollY + innerHeight >= document.documentElement.scrollHeight - 2"
        )
        time.sleep(0.05)
        if at_end:
            seen()
            return
    pytest.fail("the list never ended")


def addresses(browser, xpath: str) -> set[str]:
    script = "const all = document.evaluate(arguments[0], document, null, 7, null); return [...Array(all.snapshotLength).keys()].map((i) => all.snapshotItem(i).href)"
    return set(browser.execute_script(script, xpath))


def test_a_tiktok_tag_page_starts_empty_and_grows_as_one_scrolls(browser, replica):
    tag = biggest(replica, "tiktok")
    browser.get(f"https://www.tiktok.com/tag/{tag}")
    links = '//*[@data-e2e="challenge-item"]//a[contains(@href,"/video/") or contains(@href,"/photo/")]'
    wait(lambda: len(addresses(browser, links)) == 12)
    scroll_to_end(browser, lambda: None)
    ids = {address.rsplit("/", 1)[1] for address in addresses(browser, links)}
    assert ids == {post.id for post in replica.site.corpus.tagged("tiktok", tag)}
    assert len(ids) > 12


def test_a_douyin_list_keeps_only_what_is_in_view(browser, replica):
    tag = biggest(replica, "douyin")
    browser.get(f"https://www.douyin.com/search/{tag}")
    links = '//*[@data-e2e="scroll-list"]//a'
    wait(lambda: addresses(browser, links))
    found: set[str] = set()
    scroll_to_end(browser, lambda: found.update(addresses(browser, links)))
    expected = {post.id for post in replica.site.corpus.search("douyin", tag)}
    assert {href.rsplit("/", 1)[1] for href in found} == expected
    assert len(addresses(browser, links)) < len(expected)


def test_a_kuaishou_card_has_no_address_until_it_is_clicked(browser, replica):
    tag = biggest(replica, "kuaishou")
    browser.get(f"https://www.kuaishou.com/search/video?searchKey={tag}")
    cards = wait(lambda: browser.find_elements(By.CSS_SELECTOR, "div.video-card.video-item.vertical"))
    assert not cards[0].find_elements(By.TAG_NAME, "a")
    cards[0].click()
    best = replica.site.corpus.search("kuaishou", tag)[0]
    assert f"/short-video/{best.id}?" in browser.current_url
    browser.find_element(By.CSS_SELECTOR, ".close-page").click()
    assert "/search/video" in browser.current_url


def test_the_apollo_script_is_gone_from_the_page_but_its_variable_stays(browser, replica):
    post = first(replica, "kuaishou", fault="", expected="accepted", layout="apollo_undefined")
    browser.get(post.url)
    assert "__APOLLO_STATE__" not in browser.page_source
    photo = browser.execute_script("return window.__APOLLO_STATE__.defaultClient[arguments[0]]", f"VisionVideoDetailPhoto:{post.id}")
    assert photo["caption"] == post.caption


def test_a_browser_passes_the_challenge_by_itself(browser, replica):
    post = next(post for post in replica.site.corpus.posts if post.fault == "challenge")
    browser.get(post.url)
    wait(lambda: post.user.handle in browser.page_source and "Please wait..." not in browser.page_source)


def test_a_player_plays(browser, replica):
    """The page's own player gets its clip: the cookie and the Referer that the media host demands come with it."""
    post = first(replica, "tiktok", fault="", expected="accepted")
    browser.get(post.url)
    script = "const video = document.querySelector('video'); video.muted = true; video.play(); return true"
    browser.execute_script(script)
    wait(lambda: browser.execute_script("return document.querySelector('video').currentTime > 0.2"))
