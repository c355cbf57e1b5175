"""TikTok as a visitor's browser meets it: video pages in three historic layouts, lists that fill by signed calls, short links, the challenge."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import urllib.parse
from typing import Any

from demo.replica import media
from demo.replica.corpus import Post, User
from demo.replica.http import Request, Response, asset, attribute, counted, escaped_json, fill
from demo.replica.lists import batch_of, robots
from demo.replica.routes import Routes
from demo.replica.site import Site, short_code

HOSTS = ("www.tiktok.com", "tiktok.com", "m.tiktok.com", "vm.tiktok.com", "vt.tiktok.com", "www.tiktokv.com")
STATUS = {
    "private": (10216, "private post"),
    "deleted": (10204, "item doesn't exist"),
    "region": (10231, "item is not available in your region"),
}
PAGE_SIZE = 12
CHALLENGE_NUMBER = 3571  # the proof of work that the page asks for ends here
routes = Routes()


def owns(host: str) -> bool:
    return host in HOSTS


def serve(site: Site, request: Request) -> Response:
    if request.host in ("vm.tiktok.com", "vt.tiktok.com"):
        return short_link(site, request.path.strip("/"))
    return routes.serve(site, request) or document(site, "Page not available", "", "<main><p>Page not available</p></main>", status=404)


# --- records ----------------------------------------------------------------------------------------------------
def author_of(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "uniqueId": user.handle,
        "nickname": user.nickname,
        "secUid": user.sec_id,
        "verified": False,
        "privateAccount": False,
    }


def text_extra(post: Post) -> list[dict[str, Any]]:
    extra, caption = [], post.caption
    for tag in post.hashtags:
        start = caption.rfind(f"#{tag}")
        extra.append(
            {"awemeId": "", "start": start, "end": start + len(tag) + 1, "hashtagName": tag, "type": 1, "subType": 0, "isCommerce": False}
        )
    return extra


def item_of(site: Site, post: Post) -> dict[str, Any]:
    """The post as the web pages' `itemStruct`."""
    counts = post.counts
    stats = {
        "diggCount": counts["likes"],
        "shareCount": counts["shares"],
        "commentCount": counts["comments"],
        "playCount": counts["plays"],
        "collectCount": str(counts["saves"]),
    }
    item = {
        "id": post.id,
        "desc": post.caption,
        "createTime": str(post.created),
        "scheduleTime": 0,
        "author": author_of(post.user),
        "music": music_of(site, post),
        "challenges": [{"id": challenge_id(tag), "title": tag, "desc": "", "coverLarger": ""} for tag in post.hashtags],
        "textExtra": text_extra(post),
        "contents": [{"desc": post.caption, "textExtra": text_extra(post)}],
        "stats": stats,
        "statsV2": {name: str(value) for name, value in stats.items()},
        "anchors": [{"id": "0", "type": 54, "extraInfo": json.dumps({"subtype": "", "url": "https://www.tiktok.com/effect?a=1&b=2"})}],
        "locationCreated": "GB" if int(post.id) % 3 else "US",
        "isAd": post.fault == "ad",
        "privateItem": post.fault == "private",
        "secret": False,
        "diggedCount": 0,
        "textLanguage": "zh" if not post.title.isascii() else "en",
    }
    if post.fault == "age_wall":
        return item | {"isContentClassified": True}
    if post.fault == "slideshow":
        picture = {"imageURL": {"urlList": [media.cover(post)]}, "imageWidth": 1080, "imageHeight": 1920}
        return item | {
            "imagePost": {"images": [picture] * 3, "cover": picture, "title": post.title},
            "video": {"id": post.id, "duration": 0, "cover": media.cover(post)},
        }
    return item | {"video": video_of(site, post)}


def video_of(site: Site, post: Post) -> dict[str, Any]:
    addresses = media.links(site, post)
    lines = min(post.width, post.height)
    key = f"{media.media_code(post)}_h264_540p_{int(post.size * 8 / max(post.duration_s, 0.1))}"
    site_address = f"https://www.tiktok.com/aweme/v1/play/?video_id={media.media_code(post)}&line=0&file_id=0"
    size = {"DataSize": str(post.size), "Width": post.width, "Height": post.height}
    best = {
        "GearName": "normal_540_0",
        "Bitrate": int(post.size * 8 / max(post.duration_s, 0.1)),
        "QualityType": 20,
        "CodecType": "h264",
        "PlayAddr": {"Uri": media.media_code(post), "UrlList": [*addresses, site_address], "UrlKey": key, **size},
    }
    return {
        "id": post.id,
        "height": post.height,
        "width": post.width,
        "duration": max(0, round(post.duration_s)) if post.fault != "zero_seconds" else 0,
        "ratio": "540p" if lines < 720 else "720p",
        "cover": media.cover(post),
        "originCover": media.cover(post),
        "dynamicCover": media.cover(post).removeprefix("https:"),
        "playAddr": addresses[0],
        "downloadAddr": addresses[0].replace("mime_type=", "logo_name=tiktok&mime_type="),
        "bitrate": best["Bitrate"],
        "encodedType": "normal",
        "format": "mp4",
        "videoQuality": "normal",
        "codecType": "h264",
        "definition": "540p",
        "size": str(post.size),
        "bitrateInfo": [best],
    }


def music_of(site: Site, post: Post) -> dict[str, Any]:
    return {
        "id": challenge_id(post.track),
        "title": post.track,
        "playUrl": media.link(site, post, 0, sound=True),
        "authorName": post.user.nickname,
        "original": post.track == "original sound",
        "duration": max(1, round(post.duration_s)),
        "album": "",
    }


def challenge_id(tag: str) -> str:
    return str(10**8 + int(hashlib.sha256(tag.encode()).hexdigest()[:12], 16) % 10**9)


# --- pages ------------------------------------------------------------------------------------------------------
def document(site: Site, title: str, data: str, body: str, *, status: int = 200) -> Response:
    page = fill(asset("tiktok.html"), title=attribute(title), data=data, body=body)
    response = Response.page(page, status=status)
    token = base64.urlsafe_b64encode(site.sign("chain", int(site.clock()) // 600).encode()).decode()[:40]
    response.cookie("tt_chain_token", token, domain=".tiktok.com").cookie(
        "msToken", site.sign("ms")[:24], domain=".tiktok.com", max_age=864000
    )
    return response.cookie("ttwid", f"1%7C{site.sign('ttwid')}", domain=".tiktok.com", max_age=31536000)


def universal(scope: dict[str, Any]) -> str:
    context = {"webapp.app-context": {"language": "en", "region": "GB", "appId": 1988, "user": None}, "webapp.biz-context": {"os": "linux"}}
    value = escaped_json({"__DEFAULT_SCOPE__": context | scope})
    return f'<script id="__UNIVERSAL_DATA_FOR_REHYDRATION__" type="application/json">{value}</script>'


def sigi(value: dict[str, Any], *, entities: bool) -> str:
    text = escaped_json({"AppContext": {"appContext": {"language": "en"}}, **value})
    return f'<script id="SIGI_STATE" type="application/json">{html.escape(text) if entities else text}</script>'


def video_data(site: Site, post: Post) -> str:
    code, message = STATUS.get(post.fault, (0, ""))
    item = item_of(site, post) if not code else None
    if post.layout == "sigi":
        flat = item and item | {
            "author": post.user.handle,
            "nickname": post.user.nickname,
            "authorId": post.user.id,
            "authorSecId": post.user.sec_id,
        }
        users = {post.user.handle: author_of(post.user)}
        return sigi(
            {
                "ItemModule": {post.id: flat} if flat else {},
                "UserModule": {"users": users},
                "VideoPage": {"statusCode": code, "statusMsg": message},
            },
            entities=int(post.id) % 2 == 0,
        )
    if post.layout == "next":
        props = {"statusCode": code, "statusMsg": message, "itemInfo": {"itemStruct": item} if item else {}}
        return f'<script id="__NEXT_DATA__" type="application/json">{escaped_json({"props": {"pageProps": props}, "page": "/share/video"})}</script>'
    detail = (
        {"statusCode": code, "statusMsg": message, "itemInfo": {"itemStruct": item}} if item else {"statusCode": code, "statusMsg": message}
    )
    canonical = {"canonical": post.url}
    return universal({"webapp.video-detail": detail, "seo.abtest": canonical})


@routes.at(r"/(?:@(?P<handle>[^/]*)/(?:video|photo)|share/video|embed(?:/v2)?)/(?P<id>\d+)/?")
def video(site: Site, request: Request, match: re.Match[str]) -> Response:
    post = site.corpus.find("tiktok", match["id"])
    if post is None:
        return document(
            site, "TikTok", universal({"webapp.video-detail": {"statusCode": 10204, "statusMsg": "item doesn't exist"}}), gone()
        )
    if post.fault == "challenge" and not solved(request):
        site.log("challenge", request, post=post)
        return Response.page(challenge_page())
    if response := site.page_fault(request, post):
        return response
    for name in ("private", "deleted", "region", "age_wall", "slideshow", "ad", "disallowed"):
        site.strikes(name, post, request)
    if post.fault in STATUS or post.fault == "age_wall":
        return document(site, "TikTok", video_data(site, post), notice(post))
    return document(site, f"{post.title[:60]} | TikTok", video_data(site, post), player(site, post))


def gone() -> str:
    return '<main><p class="notice">Video currently unavailable</p></main>'


def notice(post: Post) -> str:
    texts = {
        "private": "This video is private",
        "deleted": "Video currently unavailable",
        "region": "This video is not available in your country or region",
        "age_wall": "This post may not be comfortable for some audiences. Log in to make the most of your experience.",
    }
    return f'<main><p class="notice">{texts[post.fault]}</p></main>'


def player(site: Site, post: Post) -> str:
    parts = {
        "src": attribute(media.link(site, post)),
        "poster": attribute(media.cover(post)),
        "caption": "".join(
            [
                f"<span>{attribute(post.title)} </span>",
                *(f'<a data-e2e="search-common-link" href="/tag/{attribute(tag)}">#{attribute(tag)} </a>' for tag in post.hashtags),
            ]
        ),
        "handle": attribute(post.user.handle),
        "nickname": attribute(post.user.nickname),
        "likes": counted(post.counts["likes"], language="en"),
        "comments": counted(post.counts["comments"], language="en"),
        "track": attribute(post.track),
    }
    return fill(asset("tiktok_player.html"), **parts)


@routes.at(r"/tag/(?P<tag>[^/]+)/?")
def tag(site: Site, request: Request, match: re.Match[str]) -> Response:
    name = match["tag"]
    views = sum(post.counts["plays"] for post in site.corpus.tagged("tiktok", name))
    head = f'<h1 data-e2e="challenge-title">#{attribute(name)}</h1><h2 data-e2e="challenge-vvcount"><strong>{counted(views, language="en")} views</strong></h2>'
    scope = {"webapp.challenge-detail": {"challengeInfo": {"challenge": {"id": challenge_id(name), "title": name}}, "statusCode": 0}}
    query = {"challengeID": challenge_id(name), "challengeName": name}
    return list_page(site, request, f"#{name}", scope, head, kind="challenge", api="/api/challenge/item_list/", query=query, term=name)


@routes.at(r"/search(?:/video|/top)?/?")
def search(site: Site, request: Request, match: re.Match[str]) -> Response:
    text = request.query.get("q", "")
    head = f"<h1>{attribute(text)}</h1>"
    return list_page(
        site, request, f"Find '{text}'", {}, head, kind="search_top", api="/api/search/item/full/", query={"keyword": text}, term=text
    )


@routes.at(r"/(?:explore|foryou)?/?")
def explore(site: Site, request: Request, match: re.Match[str]) -> Response:
    board = site.corpus.board("tiktok", site.today())
    chips = "".join(
        f'<a class="chip" data-e2e="explore-category-chip" href="/tag/{attribute(urllib.parse.quote(word))}">#{attribute(word)}</a>'
        for word in board
    )
    return list_page(
        site, request, "Explore", {}, f"<nav>{chips}</nav>", kind="explore", api="/api/explore/item_list/", query={"categoryType": "120"}
    )


@routes.at(r"/@(?P<handle>[^/]+)/?")
def user(site: Site, request: Request, match: re.Match[str]) -> Response:
    posts = site.corpus.by_user("tiktok", match["handle"])
    if not posts:
        body = "<main><p class='notice'>Couldn't find this account</p></main>"
        return document(site, "TikTok", universal({"webapp.user-detail": {"statusCode": 10221, "statusMsg": "user not found"}}), body)
    owner = posts[0].user
    detail = {
        "statusCode": 0,
        "userInfo": {
            "user": author_of(owner),
            "stats": {"videoCount": len(posts)},
            "statsV2": {"videoCount": str(len(posts))},
            "itemList": [],
        },
    }
    head = f'<h1 data-e2e="user-title">{attribute(owner.handle)}</h1><h2 data-e2e="user-subtitle">{attribute(owner.nickname)}</h2>'
    query = {"secUid": owner.sec_id}
    return list_page(
        site, request, owner.nickname, {"webapp.user-detail": detail}, head, kind="user-post", api="/api/post/item_list/", query=query
    )


def list_page(
    site: Site,
    request: Request,
    title: str,
    scope: dict[str, Any],
    head: str,
    *,
    kind: str,
    api: str,
    query: dict[str, str],
    term: str = "",
) -> Response:
    if term and site.is_struck_list("captcha", "tiktok", term) and site.log("captcha", request):
        return document(site, "TikTok", "", asset("tiktok_captcha.html"))
    config = {
        "platform": "tiktok",
        "api": api,
        "query": query | {"count": str(PAGE_SIZE)},
        "kind": kind,
        "token": site.sign("bogus", request.host),
        "loginAfter": 1 if "login_modal" in site.faults else 0,
    }
    grid = f'<div class="grid" data-e2e="{kind}-item-list"></div>'
    body = f'<main>{head}{grid}<div class="spinner" hidden></div><p class="end" hidden>No more</p></main>'
    if "login_modal" in site.faults:
        site.log("login_modal", request)
    data = (
        universal(scope)
        + f'<script id="list-config" type="application/json">{escaped_json(config)}</script><script src="/static/lists.js"></script>'
    )
    return document(site, f"{title} | TikTok", data, body)


# --- calls of the page's own script -----------------------------------------------------------------------------
def reply(site: Site, request: Request, posts: list[Post], *, key: str = "itemList", term: str = "") -> Response:
    """One batch; an unsigned call gets what the platform gives: 200 and nothing."""
    if site.demands("unsigned_api", request, missing=request.query.get("X-Bogus") != site.sign("bogus", request.host)):
        return Response(200, b"", "application/json")
    site.wait()
    batch, cursor, more = batch_of(site, request, "tiktok", posts, start=request.number("cursor"), size=PAGE_SIZE, term=term)
    value: dict[str, Any] = {"statusCode": 0, "status_code": 0, "cursor": str(cursor), key: [item_of(site, post) for post in batch]}
    value |= {"hasMore": more, "extra": {"logid": "20250709"}} if key == "itemList" else {"has_more": int(more), "rid": "2025070912345"}
    return Response.json(value)


@routes.at(r"/api/challenge/detail/")
def challenge_detail(site: Site, request: Request, match: re.Match[str]) -> Response:
    name = request.query.get("challengeName", "")
    return Response.json(
        {
            "statusCode": 0,
            "challengeInfo": {
                "challenge": {"id": challenge_id(name), "title": name},
                "stats": {"videoCount": len(site.corpus.tagged("tiktok", name))},
            },
        }
    )


@routes.at(r"/api/challenge/item_list/")
def challenge_items(site: Site, request: Request, match: re.Match[str]) -> Response:
    wanted = request.query.get("challengeID", "")
    name = next((tag for post in site.corpus.of("tiktok") for tag in post.hashtags if challenge_id(tag) == wanted), "")
    return reply(site, request, site.corpus.tagged("tiktok", name), term=name)


@routes.at(r"/api/search/(?:item|general)/full/")
def search_items(site: Site, request: Request, match: re.Match[str]) -> Response:
    text = request.query.get("keyword", "")
    return reply(site, request, site.corpus.search("tiktok", text), key="item_list", term=text)


@routes.at(r"/api/(?:explore|recommend)/item_list/")
def explore_items(site: Site, request: Request, match: re.Match[str]) -> Response:
    board = site.corpus.board("tiktok", site.today())
    posts = {post.id: post for word in board for post in site.corpus.tagged("tiktok", word)[:2]}
    return reply(site, request, list(posts.values()))


@routes.at(r"/api/(?:post|creator)/item_list/")
def user_items(site: Site, request: Request, match: re.Match[str]) -> Response:
    return reply(site, request, site.corpus.by_user("tiktok", request.query.get("secUid", "")))


# --- the rest ---------------------------------------------------------------------------------------------------
@routes.at(r"/t/(?P<code>\w+)/?")
def short_path(site: Site, request: Request, match: re.Match[str]) -> Response:
    return short_link(site, match["code"])


def short_link(site: Site, code: str) -> Response:
    post = site.short_codes.get(code)
    if post is None or post.platform != "tiktok":
        return Response.redirect("https://www.tiktok.com/?_r=1")
    return Response.redirect(f"https://www.tiktok.com/@{post.user.handle}/video/{post.id}?_r=1&_t={short_code(post)}", status=301)


@routes.at(r"/login/?")
def login(site: Site, request: Request, match: re.Match[str]) -> Response:
    return document(site, "Log in | TikTok", "", '<main><h1 data-e2e="login-title">Log in to TikTok</h1></main>')


@routes.at(r"/aweme/v1/play/")
def broken_play(site: Site, request: Request, match: re.Match[str]) -> Response:
    """The address on the site's own host that some pages list: it answers with a page, never with a video."""
    return document(site, "TikTok", "", "<main></main>")


@routes.at(r"/robots\.txt")
def robots_txt(site: Site, request: Request, match: re.Match[str]) -> Response:
    return robots(
        site,
        "tiktok",
        lambda post: [f"/@{post.user.handle}/video/{post.id}", f"/@/video/{post.id}", f"/share/video/{post.id}", f"/embed/{post.id}"],
    )


@routes.at(r"/static/(?P<name>[a-z]+\.(?:js|css))")
def static(site: Site, request: Request, match: re.Match[str]) -> Response:
    kind = "text/javascript" if match["name"].endswith("js") else "text/css"
    return Response(200, asset(match["name"]).encode(), f"{kind}; charset=utf-8", [("Cache-Control", "max-age=600")])


def challenge_page() -> str:
    salt = b"replica"
    goal = hashlib.sha256(salt + str(CHALLENGE_NUMBER).encode()).digest()
    puzzle = {"v": {"a": base64.b64encode(salt).decode(), "c": base64.b64encode(goal).decode()}, "s": "replica"}
    code = base64.b64encode(json.dumps(puzzle).encode()).decode()
    return fill(asset("tiktok_challenge.html"), puzzle=code)


def solved(request: Request) -> bool:
    try:
        answer = json.loads(base64.b64decode(request.cookies.get("_wafchallengeid", "")))
        return base64.b64decode(answer["d"]) == str(CHALLENGE_NUMBER).encode()
    except (ValueError, KeyError, TypeError):
        return False
