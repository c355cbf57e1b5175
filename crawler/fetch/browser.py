"""Pages that draw themselves: headless Chromium through Selenium, scrolled step by step, everything seen on every step kept."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from django.conf import settings
from selenium.common.exceptions import JavascriptException, TimeoutException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from urllib3.exceptions import HTTPError

from crawler.fetch import agents, cookies, scripts
from crawler.fetch.chromium import PROFILE, end_processes, options_for, start_driver, sweep_orphans
from crawler.fetch.client import Client, passes
from crawler.fetch.errors import Unreachable
from crawler.platforms import STATUS_OUTCOMES, Failure, ListPage, Outcome, PostRef, TrendingWord
from crawler.platforms.adapter import Adapter
from crawler.platforms.rulebook import platform_facts, rules_for
from crawler.rules import robots

log = logging.getLogger(__name__)
POLL_S = 0.1
PAGE_TIMEOUT_S = 30
ERROR_PAGE = "chrome-error:"  # Chromium's own; its driver does not tell, since we do not wait for the whole page
# Walls that end the visit at once; other failures may only mean that the list is not drawn yet.
WALLS = {Outcome.CAPTCHA, Outcome.LOGIN, Outcome.GONE, Outcome.PRIVATE, Outcome.REGION}
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
    heard: int = 0  # list calls whose replies were read
    waiting: bool = False  # for the answer to a call of the page's own: what is quiet then is not at its end
    refused: bool = False  # a call of the page's own was refused: no use in waiting
    status: int = 0  # of the page itself; 0 where the browser does not tell
    undrawn: str = ""  # the address of a script file of the page's that did not come: it may be what draws the list
    lost: Unreachable | None = None  # why the page's last call for a part of the list failed: where it ends then is no end

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


class Interrupted(Unreachable):
    """The browser or the line failed in the middle of a list; `seen` is what it had shown until then."""

    def __init__(self, message: str, *, cause: str, seen: Seen) -> None:
        super().__init__(message, cause=cause)
        self.seen = seen


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
        except (WebDriverException, HTTPError, OSError) as error:  # HTTPError: its driver has died
            log.warning("Chromium is ended by force: %s", str(error)[:200])
        finally:
            if profile is not None:
                end_processes(profile)
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
        """Has it introduce itself as the client does, cookies and all, and keep the page's replies; one that cannot has its name alone,
        and the drawn page."""
        commands: dict[str, Any] = {
            **agents.for_chromium({name: str(value) for name, value in self.client.session.headers.items()}),
            "Network.setCookies": {"cookies": cookies.for_chromium(self.client.cookies)},
            "Page.addScriptToEvaluateOnNewDocument": {"source": scripts.LISTEN},
        }
        try:
            for command, parameters in commands.items():
                driver.execute("executeCdpCommand", {"cmd": command, "params": parameters})
        except (WebDriverException, KeyError):
            log.warning(
                "this browser takes no DevTools commands: lists are read from the drawn page alone; headers and cookies are its own"
            )

    def collect(self, url: str, kind: str, budget: Budget) -> Seen:
        """All that a list shows within the budget; a wall is in `failure`.

        Raises Interrupted when the browser, the page or a call of its own fails, Unreachable when the browser does not start, Refused
        when we may not ask.
        """
        seen = Seen()
        host = self.client.permit(url)
        self.client.take_slot(host)
        deadline = time.monotonic() + budget.seconds
        try:
            driver = self.start()
            driver.get(url)
            if self._wait_for_first(driver, kind, seen, time.monotonic() + budget.first_s, deadline):
                self._scroll(driver, kind, seen, budget, deadline)
            self._leave(driver)
        except TimeoutException as error:
            self.quit()  # it would hang in this page for ever
            raise Interrupted(f"{host} did not finish loading in {PAGE_TIMEOUT_S} s", cause="slow", seen=seen) from error
        except (WebDriverException, HTTPError, OSError) as error:  # HTTPError: its driver has died
            self.quit()
            raise Interrupted(f"the browser failed at {url}: {str(error)[:200]}", cause="browser", seen=seen) from error
        self._judge(seen, host)
        return seen

    def _judge(self, seen: Seen, host: str) -> None:
        """Names what kept the list from showing anything. Raises Interrupted where a fault that passes did, in the middle of it too."""
        if seen.lost and not seen.stopped:
            raise Interrupted(f"{seen.lost}, asked by the page for the list", cause=seen.lost.cause, seen=seen)
        if passes(seen.status) and not seen.heard and not seen.stopped:
            error = self.client.fault(host, seen.status)
            raise Interrupted(str(error), cause=error.cause, seen=seen)
        if seen.undrawn and not (seen.heard or seen.ended or seen.stopped or seen.status in STATUS_OUTCOMES):
            raise Interrupted(f"a script of the page did not come: {seen.undrawn}", cause="unreachable", seen=seen)
        if seen.posts or seen.words or seen.ended:
            return
        if seen.status in STATUS_OUTCOMES and (seen.failure is None or seen.failure.outcome is Outcome.RULE_FAILED):
            seen.failure = Failure(STATUS_OUTCOMES[seen.status], f"{seen.status} from the page")
        seen.failure = seen.failure or Failure(Outcome.BLOCKED, "the list stayed empty and did not say that it ends")

    @staticmethod
    def _leave(driver: WebDriver) -> None:
        """Leaves the page, which would go on asking its host while we are busy elsewhere."""
        driver.execute_script(scripts.LEAVE)
        driver.get("about:blank")

    def _look(self, driver: WebDriver, kind: str, seen: Seen) -> int:
        """Reads the page as it is drawn now, then its replies: whatever it has drawn, it had received before.

        Raises Interrupted where Chromium shows its own page instead, of a host that did not answer.
        """
        here, text, risen = self._drawn(driver, kind, seen)
        if here.startswith(ERROR_PAGE):
            code = re.search(r'"errorCode":"(\w+)"', text)
            raise Interrupted(f"the page did not come ({code[1] if code else 'no answer'})", cause="unreachable", seen=seen)
        news = self._listen(driver, kind, seen)
        refusal = seen.failure if seen.refused else None
        if urlsplit(here).path.rstrip("/").endswith("/login"):
            seen.add(Failure(Outcome.LOGIN, f"sent to {here}"))
            return news
        drawn = self.adapter.list_page(text, here, kind)
        is_late = isinstance(drawn, Failure) and drawn.outcome not in WALLS and (seen.posts or seen.words)
        if not is_late:  # what replies brought need not be drawn yet, nor as addresses
            news += seen.add(drawn)
        seen.failure = refusal or risen or seen.failure
        return news

    def _drawn(self, driver: WebDriver, kind: str, seen: Seen) -> tuple[str, str, Failure | None]:
        """The page's address and text, and the wall that stands over what it shows. Raises Refused when it asks not to be used.

        Records whose script has removed itself are written back into the text: the variable outlives its script.
        """
        walls = [wall for wall in platform_facts(self.adapter.name)["walls"] if "xpath" in wall]
        rules = rules_for(self.adapter.name, kind)
        names = sorted({place["var_name"] for rule in rules for place in rule.data["locate"] if "var_name" in place})
        paths = [wall["xpath"] for wall in walls]
        told = driver.execute_script(scripts.snapshot(names), paths, sorted(robots.NAMES))
        here, source, values, place, asked, seen.waiting, seen.status = told
        self.client.refuse_wish(here, robots.wishes(asked) & robots.NO_AI)
        text = source + "".join(f"\n{name} = {value};" for name, value in zip(names, values, strict=True) if value)
        return here, text, Failure(Outcome(walls[place]["outcome"]), walls[place]["name"]) if place >= 0 else None

    def _listen(self, driver: WebDriver, kind: str, seen: Seen) -> int:
        """Takes in what the page's own calls brought since the last look; how much of it was new."""
        news, refusal = 0, None
        try:
            replies = driver.execute_script(scripts.REPLIES)
        except JavascriptException:  # the page left while it was asked; the next one has what it took along
            return 0
        self._book(replies)
        for address, text, *fault in replies:
            if fault[2:] and self.adapter.allows(urlsplit(address).hostname or ""):
                seen.undrawn = address
            if fault[2:] or not self.adapter.lists_in(address, kind):
                continue
            seen.lost = self.client.fault(urlsplit(address).hostname or "", *fault) if text is None else None
            if text is None:
                continue
            page = self.adapter.list_page(text, address, kind)
            if isinstance(page, Failure) and page.outcome is not Outcome.RULE_FAILED:
                refusal = refusal or page
            fresh = seen.add(page)
            seen.heard += 1
            seen.repeats = 0 if fresh else seen.repeats + 1
            news += fresh
        if refusal:
            seen.refused, seen.failure = True, refusal
        return news

    def _book(self, replies: list[list[Any]]) -> None:
        """What the page asked for by itself counts against the day's budget, and puts the host's next page off."""
        hosts = [(urlsplit(address).hostname or "", len(text or "")) for address, text, *_ in replies]
        calls, sizes = Counter(host for host, _ in hosts), Counter[str]()
        for host, size in hosts:
            sizes[host] += size
        for host in filter(self.adapter.allows, calls):
            self.client.book(host, calls[host], sizes[host])

    def _wait_for_first(self, driver: WebDriver, kind: str, seen: Seen, soon: float, deadline: float) -> bool:
        """Whether the list shows anything soon, or before the deadline while a call is unanswered; stops early at a wall."""
        cards = self.adapter.clickable(kind)
        while not self._look(driver, kind, seen):
            if cards and not seen.stopped and driver.find_elements(By.XPATH, cards["card"]):
                return True  # cards without addresses: they have to be opened
            if seen.ended or seen.stopped or time.monotonic() > (deadline if seen.waiting else min(soon, deadline)):
                return False
            time.sleep(POLL_S)
        return True

    def _scroll(self, driver: WebDriver, kind: str, seen: Seen, budget: Budget, deadline: float) -> None:
        """Steps down the list until it ends, repeats itself, a wall rises, or a budget is spent."""
        cards = self.adapter.clickable(kind)
        clicked = 0
        last_news, height, lowest = time.monotonic(), 0, False
        while not (seen.stopped or seen.repeats >= REPEATS or self._enough(seen, budget, deadline)):
            if cards:
                clicked = self._open_cards(driver, cards, clicked, seen, budget, deadline)
            if seen.ended and (seen.heard or lowest):  # what was only drawn may be drawn only while in view
                return
            tallest, lowest = driver.execute_script(scripts.SCROLL)
            seen.steps += 1
            time.sleep(POLL_S)
            news = self._look(driver, kind, seen)
            grown, height = tallest > height, max(height, tallest)
            idle_s = time.monotonic() - last_news
            if news:
                last_news = time.monotonic()
            elif idle_s > budget.quiet_s * (10 if seen.waiting else 3 if grown or not lowest else 1):
                return

    @staticmethod
    def _enough(seen: Seen, budget: Budget, deadline: float) -> bool:
        return len(seen.posts) >= budget.items or seen.steps >= budget.steps or time.monotonic() > deadline

    def _open_cards(self, driver: WebDriver, cards: dict[str, str], clicked: int, seen: Seen, budget: Budget, deadline: float) -> int:
        """Opens each card not opened yet and takes the post's id from the address bar. Returns how many were opened in all."""
        self._note_card(driver, cards["close"], "", seen, wait_s=0.0)  # one that was slow to open
        while not self._enough(seen, budget, deadline):
            found = driver.find_elements(By.XPATH, cards["card"])
            if clicked >= len(found) or len(seen.posts) >= len(found):  # all are known from the page's calls
                break
            title = found[clicked].text if found[clicked].is_displayed() else ""  # before it is covered, or drawn anew
            driver.execute_script(scripts.CLICK, found[clicked])
            self._note_card(driver, cards["close"], title, seen, wait_s=1.0)
            clicked += 1
            seen.steps += 1
        return clicked

    def _note_card(self, driver: WebDriver, close: str, title: str, seen: Seen, *, wait_s: float) -> None:
        """Takes the post that stands open, or opens within this time, and closes it again."""
        post = self._open_post(driver, wait_s, other_than="")
        if post:
            seen.posts.setdefault(post, self.adapter.ref(post, title))
            for button in driver.find_elements(By.XPATH, close)[:1]:
                driver.execute_script(scripts.CLICK, button)
            if self._open_post(driver, 0.5, other_than=post) == post:
                driver.back()

    def _open_post(self, driver: WebDriver, wait_s: float, *, other_than: str) -> str:
        """The post that the address names ("": none), as soon as it is another one than this, or when the time is over."""
        deadline = time.monotonic() + wait_s
        while True:
            post = self.adapter.post_id(driver.execute_script(scripts.ADDRESS))
            if post != other_than or time.monotonic() >= deadline:
                return post
            time.sleep(0.02)
