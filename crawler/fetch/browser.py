"""Pages that draw themselves: headless Chromium through Selenium, scrolled step by step, everything seen on every step kept."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.remote.webdriver import WebDriver
from urllib3.exceptions import HTTPError

from crawler.fetch import agents, politeness
from crawler.fetch.client import Client
from crawler.fetch.errors import Refused, Unreachable
from crawler.platforms import Failure, ListPage, Outcome, PostRef, TrendingWord
from crawler.platforms.adapter import Adapter
from crawler.platforms.rulebook import platform_facts, rules_for

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--mute-audio",
    "--window-size=1100,900",
    "--blink-settings=imagesEnabled=false",
)
log = logging.getLogger(__name__)
POLL_S = 0.1
PAGE_TIMEOUT_S = 30
GRID_TIMEOUT_S = 120  # a grid may let us wait for a free browser, not for ever
# Walls that end the visit at once; other failures may only mean that the list is not drawn yet.
WALLS = {Outcome.CAPTCHA, Outcome.LOGIN, Outcome.GONE, Outcome.PRIVATE, Outcome.REGION}
# Which of these XPaths, the first, finds something that is displayed; -1: none.
FIRST_VISIBLE = """
return arguments[0].findIndex((path) => {
  const found = document.evaluate(path, document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE, null);
  for (let i = 0; i < found.snapshotLength; i++) if (found.snapshotItem(i).checkVisibility?.()) return true;
  return false;
});
"""
SCROLL = """
const boxes = [document.scrollingElement, ...document.querySelectorAll('[data-e2e="scroll-list"], .scroll-container, [data-scroll]')];
for (const box of boxes) if (box) box.scrollTop += Math.max(300, (box.clientHeight || innerHeight) * 0.8);
const tallest = Math.max(...boxes.filter(Boolean).map((box) => box.scrollHeight));
const lowest = boxes.filter(Boolean).every((box) => box.scrollTop + (box === document.scrollingElement ? innerHeight : box.clientHeight) >= box.scrollHeight - 4);
return [tallest, lowest];
"""
# Keeps what the page's own calls bring: lists may draw cards without addresses, or only those in view. Asked for its replies,
# it waits for those still being read, since the page may have drawn them already; one that never ends is waited for once.
LISTEN = """
(() => {
  const kept = [], unread = new Set(); let size = 0;
  const keep = (url, text) => { if ((size += text.length) < 2e7) kept.push([String(url), text]); };
  Object.defineProperty(window, '__replies', { value: async () => {
    await Promise.race([Promise.all(unread), new Promise((over) => setTimeout(over, 2000))]);
    unread.clear();
    return kept.splice(0);
  } });
  const fetch_ = window.fetch;
  window.fetch = async function (...given) {
    const reply = await fetch_.apply(this, given);
    const reading = reply.clone().text().then((text) => keep(reply.url, text), () => {}).finally(() => unread.delete(reading));
    unread.add(reading);
    return reply;
  };
  const open_ = XMLHttpRequest.prototype.open;
  XMLHttpRequest.prototype.open = function (...given) {
    this.addEventListener('load', () => { try { keep(this.responseURL, this.responseText); } catch (error) { /* no text */ } });
    return open_.apply(this, given);
  };
})();
"""
PROFILE = "emotions-chromium-"  # and the worker's process id
REPEATS = 3  # replies in a row that bring nothing new: the list repeats itself for ever


@dataclass(frozen=True)
class Budget:
    items: int = 200
    seconds: float = 90.0
    steps: int = 120
    quiet_s: float = 3.0  # so long without anything new, at the lower end, is the end of a list
    first_s: float = 12.0  # to show anything at all


@dataclass
class Seen:
    """What a list has shown so far, over all its steps."""

    posts: dict[str, PostRef] = field(default_factory=dict)
    words: dict[str, TrendingWord] = field(default_factory=dict)
    steps: int = 0
    ended: bool = False
    failure: Failure | None = None  # a wall that stopped the list; what was seen before it is kept
    rule_version: str = ""
    repeats: int = 0  # list calls in a row that brought nothing new
    refused: bool = False  # a call of the page's own was refused: no use in waiting

    @property
    def stopped(self) -> bool:
        return self.refused or (self.failure is not None and self.failure.outcome in WALLS)

    def add(self, page: ListPage | Failure) -> int:
        """How many things were new on this step."""
        if isinstance(page, Failure):
            self.failure = page
            return 0
        self.failure = None
        before = len(self.posts) + len(self.words)
        for post in page.posts:
            self.posts.setdefault(post.platform_id, post)
        for word in page.words:
            self.words.setdefault(word.text, word)
        self.ended = self.ended or page.ended
        self.rule_version = page.rule_version or self.rule_version
        return len(self.posts) + len(self.words) - before


class Browser:
    """One Chromium for one client. Use as a context manager: it is quit, and its profile removed, whatever happens."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.adapter: Adapter = client.adapter
        self.profile: Path | None = None
        self.driver: WebDriver | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.quit()

    def quit(self) -> None:
        driver, profile, self.driver, self.profile = self.driver, self.profile, None, None
        try:
            if driver is not None:
                driver.quit()
        except (WebDriverException, OSError):
            process = getattr(getattr(driver, "service", None), "process", None)
            if process is not None:
                process.kill()
        finally:
            if profile is not None:
                shutil.rmtree(profile, ignore_errors=True)

    def start(self) -> WebDriver:
        if self.driver is None:
            sweep_orphans(Path(tempfile.gettempdir()))
            self.profile = None if settings.SELENIUM_GRID_URL else Path(tempfile.mkdtemp(prefix=f"{PROFILE}{os.getpid()}-"))
            try:
                self.driver = start_driver(options_for(self.client, self.profile), self.profile)
            except (WebDriverException, OSError, HTTPError) as error:
                self.quit()
                raise Unreachable(f"Chromium does not start: {str(error)[:300]}", cause="browser") from error
            self.driver.set_page_load_timeout(PAGE_TIMEOUT_S)
            self._prepare(self.driver)
        return self.driver

    def _prepare(self, driver: WebDriver) -> None:
        """Has it introduce itself as the client does, and keep the page's replies; one that cannot has its name alone, and the drawn page."""
        introduced = agents.for_chromium({name: str(value) for name, value in self.client.session.headers.items()})
        try:
            for command, parameters in {**introduced, "Page.addScriptToEvaluateOnNewDocument": {"source": LISTEN}}.items():
                driver.execute("executeCdpCommand", {"cmd": command, "params": parameters})
        except (WebDriverException, KeyError):
            log.warning("this browser takes no DevTools commands: lists are read from the drawn page alone, and its headers are its own")

    def collect(self, url: str, kind: str, budget: Budget) -> Seen:
        """All that a list shows within the budget; a wall is in `failure`. Raises Unreachable when the browser fails."""
        seen = Seen()
        host = self.client.permit(url)
        self.client.take_slot(host)
        deadline = time.monotonic() + budget.seconds
        try:
            driver = self.start()
            driver.get(url)
            if self._wait_for_first(driver, url, kind, seen, min(deadline, time.monotonic() + budget.first_s)):
                self._scroll(driver, url, kind, seen, budget, deadline)
        except TimeoutException as error:
            raise Unreachable(f"{host} did not finish loading in {PAGE_TIMEOUT_S} s", cause="slow") from error
        except WebDriverException as error:
            self.quit()
            raise Unreachable(f"the browser failed at {url}: {str(error.msg)[:200]}", cause="browser") from error
        if not (seen.posts or seen.words or seen.ended or seen.failure):
            seen.failure = Failure(Outcome.BLOCKED, "the list stayed empty and did not say that it ends")
        return seen

    def _look(self, driver: WebDriver, url: str, kind: str, seen: Seen) -> int:
        """Reads the page as it is drawn now, then its replies: whatever it has drawn, it had received before."""
        here = driver.current_url
        if urlsplit(here).path.rstrip("/").endswith("/login"):
            return seen.add(Failure(Outcome.LOGIN, f"sent to {here}"))
        source, risen = driver.page_source + self._variables(driver, kind), self._risen(driver)
        news = self._listen(driver, kind, seen)
        if seen.refused:
            return 0
        drawn = self.adapter.list_page(source, here, kind)
        if not (isinstance(drawn, Failure) and seen.posts and drawn.outcome not in WALLS):  # replies need not be drawn as addresses
            news += seen.add(drawn)
        seen.failure = risen or seen.failure
        return news

    def _listen(self, driver: WebDriver, kind: str, seen: Seen) -> int:
        """Takes in what the page's own calls brought since the last look; how much of it was new."""
        news = 0
        for address, text in driver.execute_script("return window.__replies ? window.__replies() : []"):
            politeness.received(urlsplit(address).hostname or "", len(text))
            if self.adapter.lists_in(address, kind):
                fresh = seen.add(self.adapter.list_page(text, address, kind))
                if seen.failure and seen.failure.outcome is not Outcome.RULE_FAILED:
                    seen.refused = True
                    break
                seen.repeats = 0 if fresh else seen.repeats + 1
                news += fresh
        return news

    def _risen(self, driver: WebDriver) -> Failure | None:
        """A wall that stands over what the page shows. Only what is displayed counts: pages keep hidden panels ready."""
        walls = [wall for wall in platform_facts(self.adapter.name)["walls"] if "xpath" in wall]
        place = driver.execute_script(FIRST_VISIBLE, [wall["xpath"] for wall in walls])
        if place >= 0:
            return Failure(Outcome(walls[place]["outcome"]), walls[place]["name"])
        return None

    def _variables(self, driver: WebDriver, kind: str) -> str:
        """Page records whose script has removed itself, written back as text: the variable outlives its script."""
        names = {place["var_name"] for rule in rules_for(self.adapter.name, kind) for place in rule.data["locate"] if "var_name" in place}
        text = ""
        for name in sorted(names):
            value = driver.execute_script(f"try {{ return JSON.stringify({name}) }} catch (error) {{ return null }}")
            text += f"\n{name} = {value};" if value else ""
        return text

    def _wait_for_first(self, driver: WebDriver, url: str, kind: str, seen: Seen, deadline: float) -> bool:
        """Whether the list shows anything before the deadline; stops early at a wall."""
        cards = self.adapter.clickable(kind)
        while not self._look(driver, url, kind, seen):
            if cards and not seen.stopped and driver.find_elements(By.XPATH, cards["card"]):
                return True  # cards without addresses: they have to be opened
            if seen.ended or seen.stopped:
                return False
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def _scroll(self, driver: WebDriver, url: str, kind: str, seen: Seen, budget: Budget, deadline: float) -> None:
        """Steps down the list until it ends, repeats itself, a wall rises, or a budget is spent."""
        cards = self.adapter.clickable(kind)
        clicked = 0
        last_news, height = time.monotonic(), 0
        while not self._enough(seen, budget, deadline):
            if cards:
                clicked = self._open_cards(driver, cards, clicked, seen, budget, deadline)
            if seen.ended:
                return
            tallest, lowest = driver.execute_script(SCROLL)
            seen.steps += 1
            time.sleep(POLL_S)
            news = self._look(driver, url, kind, seen)
            if seen.stopped or seen.repeats >= REPEATS:
                return
            grown, height = tallest > height, max(height, tallest)
            idle_s = time.monotonic() - last_news
            if news:
                last_news = time.monotonic()
            elif idle_s > budget.quiet_s * (3 if grown or not lowest else 1):
                return

    @staticmethod
    def _enough(seen: Seen, budget: Budget, deadline: float) -> bool:
        return len(seen.posts) >= budget.items or seen.steps >= budget.steps or time.monotonic() > deadline

    def _open_cards(self, driver: WebDriver, cards: dict[str, str], clicked: int, seen: Seen, budget: Budget, deadline: float) -> int:
        """Opens each card not opened yet and takes the post's id from the address bar. Returns how many were opened in all."""
        while not self._enough(seen, budget, deadline):
            found = driver.find_elements(By.XPATH, cards["card"])
            if clicked >= len(found) or len(seen.posts) >= len(found):  # all are known from the page's calls
                break
            before = driver.current_url
            driver.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].click();", found[clicked])
            post = self._address_bar(driver, before)
            if post:
                seen.posts.setdefault(post, self.adapter.ref(post, found[clicked].text if found[clicked].is_displayed() else ""))
                self._close_card(driver, cards["close"], before)
            clicked += 1
            seen.steps += 1
        return clicked

    def _address_bar(self, driver: WebDriver, before: str) -> str:
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            if driver.current_url != before:
                return self.adapter.post_id(driver.current_url)
            time.sleep(0.02)
        return ""

    @staticmethod
    def _close_card(driver: WebDriver, close: str, before: str) -> None:
        buttons = driver.find_elements(By.XPATH, close)
        if buttons:
            driver.execute_script("arguments[0].click();", buttons[0])
        deadline = time.monotonic() + 0.5
        while driver.current_url != before and time.monotonic() < deadline:
            time.sleep(0.02)
        if driver.current_url != before:
            driver.back()


def options_for(client: Client, profile: Path | None) -> webdriver.ChromeOptions:
    """Chromium that reaches the platform's hosts (or the replica in their place) and nothing else.

    profile: where it keeps its files; None for a browser on another machine, which knows its own program and place.
    """
    options = webdriver.ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    if profile:
        options.binary_location = settings.CHROMIUM_BINARY
        options.add_argument(f"--user-data-dir={profile}")
    options.add_argument(f"--user-agent={client.session.headers['User-Agent']}")
    options.add_argument("--lang=zh-CN")
    options.add_argument(f"--host-resolver-rules={resolver_rules()}")
    if settings.CRAWL_REPLICA_CA:
        options.add_argument(f"--ignore-certificate-errors-spki-list={','.join(key_pins(Path(settings.CRAWL_REPLICA_CA)))}")
    if client.manner.proxy and not settings.CRAWL_REPLICA:
        options.add_argument(f"--proxy-server={client.manner.proxy}")
    options.page_load_strategy = "eager"
    return options


def sweep_orphans(folder: Path) -> int:
    """Ends browsers whose worker was killed before it could quit them, and removes their profiles; returns how many."""
    orphans = [path for path in folder.glob(f"{PROFILE}*") if not Path("/proc", path.name.removeprefix(PROFILE).split("-")[0]).exists()]
    for profile in orphans:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"={profile}".encode() in (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
            except OSError:  # ended meanwhile, or not ours
                continue
        shutil.rmtree(profile, ignore_errors=True)
    return len(orphans)


def resolver_rules() -> str:
    """Chromium's twin of the guard: names of no platform, and bare addresses, resolve to nothing."""
    suffixes = sorted({suffix for name in ("douyin", "kuaishou", "tiktok") for suffix in platform_facts(name)["hosts"]})
    names = [pattern for suffix in suffixes for pattern in (suffix, f"*.{suffix}")]
    if settings.CRAWL_REPLICA:
        rules = [f"MAP {name} {settings.CRAWL_REPLICA}" for name in names]
        return ", ".join([*rules, f"MAP * ~NOTFOUND , EXCLUDE {settings.CRAWL_REPLICA.rpartition(':')[0]}"])
    return ", ".join(["MAP * ~NOTFOUND", *[f"EXCLUDE {name}" for name in names]])


def key_pins(ca: Path) -> list[str]:
    """SHA-256 of the public key of each certificate in a PEM file, as Chromium wants them."""
    certificates = x509.load_pem_x509_certificates(ca.read_bytes())
    keys = [certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for certificate in certificates]
    return [base64.b64encode(hashlib.sha256(key).digest()).decode() for key in keys]


def start_driver(options: webdriver.ChromeOptions, profile: Path | None) -> WebDriver:
    """A browser of this machine, or of the Selenium Grid (any WebDriver server) at SELENIUM_GRID_URL."""
    if profile is None:
        config = ClientConfig(settings.SELENIUM_GRID_URL, timeout=GRID_TIMEOUT_S)
        return webdriver.Remote(command_executor=settings.SELENIUM_GRID_URL, options=options, client_config=config)
    if not Path(settings.CHROMIUM_BINARY).exists() or not Path(settings.CHROMEDRIVER_BINARY).exists():
        raise Refused(
            f"no Chromium at {settings.CHROMIUM_BINARY} or no driver at {settings.CHROMEDRIVER_BINARY}: "
            "install chromium and chromium-driver, or set CHROMIUM_BINARY and CHROMEDRIVER_BINARY",
            cause="browser",
        )
    # The driver's log lies in the profile, so that its command line says whose it is (sweep_orphans).
    service = webdriver.ChromeService(settings.CHROMEDRIVER_BINARY, log_output=None, service_args=[f"--log-path={profile / 'driver.log'}"])
    return webdriver.Chrome(options=options, service=service)
