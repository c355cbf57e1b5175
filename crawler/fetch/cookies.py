"""Cookies that a lab gives its crawler: a cookies.txt in Netscape's format, as browsers export it and download programs read it."""

from __future__ import annotations

import time
from http.cookiejar import Cookie, LoadError, MozillaCookieJar
from typing import Any

from crawler.fetch.errors import Unreachable
from crawler.platforms import Adapter


def given(path: str, adapter: Adapter) -> list[Cookie]:
    """The file's cookies for this platform's hosts that have not expired; none for an empty path. Raises Unreachable."""
    if not path:
        return []
    return [cookie for cookie in read(path) if adapter.allows(cookie.domain.lstrip(".")) and not cookie.is_expired()]


def read(path: str) -> list[Cookie]:
    """Every cookie of the file. Raises Unreachable when it cannot be read; the message never quotes it, since it lets its reader in."""
    jar = MozillaCookieJar(path)
    try:
        jar.load(ignore_discard=True, ignore_expires=True)
    except (LoadError, UnicodeDecodeError, ValueError) as error:
        raise Unreachable(f"CRAWL_COOKIES: {path} is no cookies.txt in Netscape's format", cause="cookies") from error
    except OSError as error:
        raise Unreachable(f"CRAWL_COOKIES: {path} cannot be read ({error.strerror})", cause="cookies") from error
    cookies = list(jar)
    for cookie in cookies:
        cookie.expires = cookie.expires or None  # 0 is how some programs write: until the browser is closed
    return cookies


def for_chromium(cookies: list[Cookie]) -> list[dict[str, Any]]:
    """The same for DevTools' Network.setCookies; one without a leading dot belongs to its host alone."""
    return [
        {
            "name": cookie.name,
            "value": cookie.value or "",
            "path": cookie.path,
            "secure": cookie.secure,
            "httpOnly": cookie.has_nonstandard_attr("HTTPOnly"),
            "expires": cookie.expires or time.time() + 86400,
            **({"domain": cookie.domain} if cookie.domain_specified else {"url": f"https://{cookie.domain}{cookie.path}"}),
        }
        for cookie in cookies
    ]
