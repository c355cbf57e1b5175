"""The way to the outside: every request passes the guard, keeps the pace and introduces itself."""

from crawler.fetch.browser import Browser, Budget, Interrupted, Seen
from crawler.fetch.client import Client, Manner, Reply, client_for
from crawler.fetch.downloads import Downloaded, download
from crawler.fetch.errors import Expired, FetchError, Gone, Refused, Unreachable
from crawler.fetch.message import Answer, message_check, message_post
from crawler.fetch.named import named_session
from crawler.fetch.politeness import pause


def resolve(client: Client, page_url: str) -> tuple[str, ...]:
    """Addresses of a post's clip by the second resolver; yt-dlp is loaded only when it is needed."""
    from crawler.fetch import second

    return second.resolve(client, page_url)


__all__ = [
    "Answer",
    "Browser",
    "Budget",
    "Client",
    "Downloaded",
    "Expired",
    "FetchError",
    "Gone",
    "Interrupted",
    "Manner",
    "Refused",
    "Reply",
    "Seen",
    "Unreachable",
    "client_for",
    "download",
    "message_check",
    "message_post",
    "named_session",
    "pause",
    "resolve",
]
