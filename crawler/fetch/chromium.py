"""Chromium itself: how it is started and fenced in, and how what a killed worker left of it is swept away."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import signal
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from selenium import webdriver
from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.remote.webdriver import WebDriver

from crawler.fetch.client import Client
from crawler.fetch.errors import Refused
from crawler.platforms.rulebook import platform_facts

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
GRID_TIMEOUT_S = 120  # a grid may let us wait for a free browser, not for ever
PROFILE = "emotions-chromium-"  # and the worker's process id


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
        end_processes(profile)
        shutil.rmtree(profile, ignore_errors=True)
    return len(orphans)


def end_processes(profile: Path) -> None:
    """Kills what still runs with this profile: Chromium outlives a driver that dies."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"={profile}".encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:  # ended meanwhile, or not ours
            continue


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
