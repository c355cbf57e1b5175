"""What the platforms' lists share: batches, lists that never end or repeat themselves, and robots.txt."""

from __future__ import annotations

from collections.abc import Callable

from demo.replica.corpus import Post
from demo.replica.http import Request, Response
from demo.replica.site import Site


def batch_of(
    site: Site, request: Request, platform: str, posts: list[Post], *, start: int, size: int, term: str = ""
) -> tuple[list[Post], int, bool]:
    """The posts of one batch, the next cursor, and whether the platform claims that there are more."""
    if term and site.is_struck_list("duplicate_page", platform, term):
        site.log("duplicate_page", request)
        return posts[:size], start + size, True
    more = start + size < len(posts)
    if term and not more and site.is_struck_list("endless_list", platform, term):
        site.log("endless_list", request)
        more = True
    return posts[start : start + size], start + size, more


def robots(site: Site, platform: str, paths: Callable[[Post], list[str]]) -> Response:
    """robots.txt: the places that nobody may crawl, and the posts whose authors opted out."""
    closed = [path for post in site.corpus.of(platform) if post.fault == "disallowed" for path in paths(post)]
    lines = [
        "User-agent: *",
        "Disallow: /inapp/",
        "Disallow: /passport/",
        *(f"Disallow: {path}" for path in closed),
        "",
        "User-agent: Baiduspider",
        "Disallow: /",
    ]
    return Response.text("\n".join(lines) + "\n")
