"""How a request introduces itself: honestly by default, or as one of a pool of browsers (the paper's way), with headers to match."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from crawler.rules.robots import PRODUCT

HONEST = f"Mozilla/5.0 (compatible; {PRODUCT}/1.0; short-video emotion research)"
LANGUAGE = "zh-CN,zh;q=0.9,en;q=0.8"
# (User-Agent, sec-ch-ua, platform): the three must agree, or the disguise is what gives a client away.
POOL = (
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        '"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"',
        '"Windows"',
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
        '"Chromium";v="141", "Google Chrome";v="141", "Not_A Brand";v="99"',
        '"macOS"',
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        '"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"',
        '"Linux"',
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
        '"Chromium";v="142", "Microsoft Edge";v="142", "Not_A Brand";v="99"',
        '"Windows"',
    ),
)
NAVIGATOR_PLATFORM = {"Windows": "Win32", "macOS": "MacIntel", "Linux": "Linux x86_64"}  # what scripts are told


def headers(policy: str, seed: str) -> dict[str, str]:
    """The headers of a client under this policy ("honest" or "pool"); the same seed always picks the same browser."""
    common = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": LANGUAGE}
    if policy == "honest":
        contact = {"From": settings.CRAWL_CONTACT} if settings.CRAWL_CONTACT else {}
        return {**common, **contact, "User-Agent": HONEST}
    place = hashlib.sha256(seed.encode()).digest()[0] % len(POOL)
    agent, brands, system = POOL[place]
    return {**common, "User-Agent": agent, "sec-ch-ua": brands, "sec-ch-ua-mobile": "?0", "sec-ch-ua-platform": system}


def for_chromium(headers: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """DevTools command → parameters, with which a Chromium says what these headers say, in requests and to scripts."""
    languages = re.sub(r";q=[\d.]+", "", headers["Accept-Language"])  # it writes the weights itself
    agent: dict[str, Any] = {"userAgent": headers["User-Agent"], "acceptLanguage": languages}
    if "sec-ch-ua" in headers:
        system = headers["sec-ch-ua-platform"].strip('"')
        brands = [{"brand": name, "version": version} for name, version in re.findall(r'"([^"]+)";v="(\d+)"', headers["sec-ch-ua"])]
        metadata = {"brands": brands, "platform": system, "platformVersion": "", "architecture": "x86", "model": "", "mobile": False}
        agent |= {"platform": NAVIGATOR_PLATFORM[system], "userAgentMetadata": metadata}
    contact = {"From": headers["From"]} if "From" in headers else {}
    return {"Network.enable": {}, "Network.setUserAgentOverride": agent, "Network.setExtraHTTPHeaders": {"headers": contact}}
