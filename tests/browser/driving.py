"""What a test does with the browser: open, press, wait, look."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from selenium import webdriver
from selenium.common.exceptions import JavascriptException, NoAlertPresentException, WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

WAIT_S = 60  # a machine may be busy: what never comes is told late, what comes is never missed
PASSWORD = "a long password"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Page:
    """One tab. Every wait is for a state of the page, never for a length of time."""

    def __init__(self, driver: webdriver.Chrome, site: str) -> None:
        self.driver, self.site = driver, site

    # --- the window ---

    def reset(self) -> None:
        """Closes other tabs, forgets cookies and storage, and gives network, size and theme back."""
        self.online()
        for handle in self.driver.window_handles[1:]:
            self.driver.switch_to.window(handle)
            self.driver.close()
        self.driver.switch_to.window(self.driver.window_handles[0])
        self.driver.get("about:blank")
        self._dismiss()
        self.cdp("Network.clearBrowserCookies")
        self.cdp("Storage.clearDataForOrigin", origin=self.site, storageTypes="all")
        self.size(1280, 800)
        self.theme("light")

    def _dismiss(self) -> None:
        try:
            self.driver.switch_to.alert.accept()  # "leave this page?"
        except NoAlertPresentException:
            pass

    def cdp(self, command: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, parameters)

    def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.cdp("Emulation.setTouchEmulationEnabled", enabled=mobile)

    def theme(self, name: str) -> None:
        calm = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}, calm])

    def offline(self) -> None:
        self.cdp("Network.enable")
        self.cdp("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)

    def online(self) -> None:
        self.cdp("Network.enable")
        self.cdp("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)

    def open(self, path: str) -> Page:
        self.driver.get(self.site + path)
        return self

    def new_tab(self) -> str:
        self.driver.switch_to.new_window("tab")
        return self.driver.current_window_handle

    def sign_in(self, username: str, *, then: str) -> Page:
        """Opens a page as that person, without the form (a test of its own uses it)."""
        client = Client()
        client.force_login(User.objects.get(username=username))
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        self.cdp("Network.setCookie", name=settings.SESSION_COOKIE_NAME, value=session, url=self.site, httpOnly=True)
        return self.open(then)

    # --- looking ---

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, part: str) -> str:
        return self.one(f'[data-part="{part}"]').text

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        # While one page gives way to the next, its nodes are gone in more than one way, and each has an exception of its own.
        patience = WebDriverWait(self.driver, WAIT_S, 0.03, [WebDriverException])
        return patience.until(lambda _: condition(), f"waited in vain: {what}")

    def console(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def overflow(self) -> int:
        """How many pixels the page is wider than its window."""
        return self.js("return document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def picture(self, name: str) -> None:
        """A screenshot, only where SCREENSHOTS names a folder."""
        if folder := os.environ.get("SCREENSHOTS"):
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))

    def violations(self, axe: str, rules: list[str] | None = None) -> list[str]:
        """What axe-core finds wrong, one line per rule and place; `rules`: only these, else all that are asked of a page."""
        if not self.js("return Boolean(window.axe)"):
            self.js(axe)
        script = "const done = arguments[1]; axe.run(document, {runOnly: arguments[0]}).then(r => done(r.violations), e => done(String(e)))"
        found = self.driver.execute_async_script(script, {"type": "rule" if rules else "tag", "values": rules or TAGS})
        if isinstance(found, str):
            raise JavascriptException(found)
        return [f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in found for node in rule["nodes"]]

    # --- the workbench ---

    def press(self, *keys: str) -> None:
        actions = ActionChains(self.driver, duration=0)
        for key in keys:
            actions.send_keys(key)
        actions.perform()

    def state(self) -> str:
        return self.one("#workbench").get_attribute("data-state") or ""

    def workbench(self) -> Page:
        """Waits until a clip is in front and plays."""
        self.wait(lambda: self.state() == "working" and self.playing(), "a clip plays")
        return self

    def playing(self) -> bool:
        return bool(
            self.js("const v = document.querySelector('video.current'); return v && !v.paused && v.readyState >= 2 && v.currentTime > 0")
        )

    def clip(self) -> str:
        return self.js("return document.querySelector('video.current')?.src ?? ''")

    def vote(self, group: str, letter: str, sure: str) -> None:
        """Votes by key alone and waits for the next clip, or the end."""
        before = self.clip()
        self.press(group, letter, sure, Keys.ENTER)
        self.wait(lambda: self.clip() != before, "the next clip is in front")
