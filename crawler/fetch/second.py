"""yt-dlp as a second opinion on a post's page: its extractors, but every request of theirs goes through our client."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import urlsplit

from yt_dlp import YoutubeDL
from yt_dlp.networking import Request, Response
from yt_dlp.networking.exceptions import HTTPError as YtHTTPError
from yt_dlp.networking.exceptions import TransportError
from yt_dlp.utils import YoutubeDLError

from crawler.fetch import politeness
from crawler.fetch.client import Client
from crawler.fetch.errors import FetchError, Unreachable

OPTIONS = {
    "quiet": True,
    "no_warnings": True,
    "skip_download": True,
    "cachedir": False,
    "noplaylist": True,
    "check_formats": False,
    "ignoreconfig": True,
    "extractor_retries": 0,
    "allowed_extractors": ["TikTok", "Douyin", "vm.tiktok"],
}


MAX_BYTES = 8 * 2**20


class _Silent:
    def debug(self, text: str) -> None: ...

    info = warning = error = debug


class _Guarded(YoutubeDL):
    """yt-dlp without a network of its own."""

    client: Client

    def urlopen(self, req: Any) -> Response:
        request = req if isinstance(req, Request) else Request(req if isinstance(req, str) else req.full_url)
        if request.data is not None:
            raise TransportError("only reading is allowed")
        try:
            with self.client.open(request.url) as answer:
                body = answer.raw.read(MAX_BYTES, decode_content=True)
                politeness.received(urlsplit(answer.url).hostname or "", len(body))
                response = Response(io.BytesIO(body), answer.url, dict(answer.headers), status=answer.status_code)
        except FetchError as error:
            raise TransportError(str(error)) from error
        if response.status >= 400:
            raise YtHTTPError(response)
        return response


def resolve(client: Client, page_url: str) -> tuple[str, ...]:
    """Addresses of the clip as yt-dlp finds them, best first; empty when it has no extractor or finds none. Raises Unreachable."""
    with _Guarded({**OPTIONS, "logger": _Silent()}) as extractor:
        extractor.client = client
        try:
            info = extractor.extract_info(page_url, download=False) or {}
        except TransportError as error:
            raise Unreachable(f"yt-dlp: {error}") from error
        except (YoutubeDLError, LookupError, TypeError, ValueError):  # its extractor does not read this page either
            return ()
    formats = [item for item in info.get("formats") or [info] if item.get("vcodec") != "none" and item.get("url")]
    plain = [item["url"] for item in reversed(formats) if "watermark" not in str(item.get("format_note", ""))]
    return tuple(dict.fromkeys(url for url in plain if url.startswith("https://")))
