"""Kuaishou as a visitor's browser meets it: an Apollo state whose script removes itself, cards without addresses, the mobile share page."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.parse
from typing import Any

from demo.replica import media
from demo.replica.corpus import Post
from demo.replica.http import Request, Response, asset, attribute, counted, escaped_json, fill
from demo.replica.lists import batch_of, robots
from demo.replica.routes import Routes
from demo.replica.site import Site
from demo.replica.tiktok import static

HOSTS = ("www.kuaishou.com", "kuaishou.com", "v.kuaishou.com", "v.m.chenzhongtech.com", "m.gifshow.com", "live.kuaishou.com")
MESSAGES = {"private": (21, "该作品为私密作品"), "deleted": (22, "作品已删除"), "region": (23, "该作品在你所在的地区暂不可用")}
PAGE_SIZE = 20
REMOVE_SELF = ";(function(){var s;(s=document.currentScript||document.scripts[document.scripts.length-1]).parentNode.removeChild(s);}());"
routes = Routes()


def owns(host: str) -> bool:
    return host in HOSTS


def serve(site: Site, request: Request) -> Response:
    if request.host == "v.kuaishou.com":
        return short_link(site, request.path.strip("/").removeprefix("f/"))
    return routes.serve(site, request) or document(site, request, "快手", {}, '<main><p class="notice">页面不存在</p></main>', status=404)


# --- records ----------------------------------------------------------------------------------------------------
def photo_of(site: Site, post: Post) -> dict[str, Any]:
    """The post as `photo` of the desktop's lists and detail page; durations and times in milliseconds, shown counters as text."""
    first, second = media.links(site, post)
    representation = {
        "id": 1,
        "url": first,
        "backupUrl": [second],
        "width": post.width,
        "height": post.height,
        "codecs": "avc1.640020,mp4a.40.2",
        "qualityType": "720p",
        "qualityLabel": "高清",
        "frameRate": 15,
        "avgBitrate": int(post.size * 8 / max(post.duration_s, 0.1) / 1000),
    }
    return {
        "id": post.id,
        "caption": post.caption,
        "originCaption": post.caption,
        "duration": round(post.duration_s * 1000),
        "timestamp": post.created * 1000,
        "likeCount": counted(post.counts["likes"], language="zh"),
        "realLikeCount": post.counts["likes"],
        "viewCount": counted(post.counts["plays"], language="zh"),
        "commentCount": post.counts["comments"],
        "photoUrl": first,
        "photoH265Url": "",
        "coverUrl": media.cover(post),
        "animatedCoverUrl": "",
        "videoRatio": round(post.height / max(1, post.width), 4),
        "width": post.width,
        "height": post.height,
        "liked": False,
        "manifest": {
            "version": "1.0.0",
            "businessType": 2,
            "adaptationSet": [{"id": 1, "duration": round(post.duration_s * 1000), "representation": [representation]}],
        },
    }


def author_of(post: Post) -> dict[str, Any]:
    return {"id": post.user.id, "name": post.user.nickname, "following": False, "headerUrl": media.cover(post), "headerUrls": None}


def feed_of(site: Site, post: Post) -> dict[str, Any]:
    tags = [{"type": 1, "name": tag} for tag in post.hashtags]
    return {"type": 1, "author": author_of(post), "photo": photo_of(site, post), "tags": tags, "canAddComment": 1}


def apollo_detail(site: Site, post: Post) -> dict[str, Any]:
    """The normalised cache entries of one detail page."""
    root = f'visionVideoDetail({{"page":"search","photoId":"{post.id}"}})'
    photo_key, author_key, tags_key = (
        f"VisionVideoDetailPhoto:{post.id}",
        f"VisionVideoDetailAuthor:{post.user.id}",
        f"$ROOT_QUERY.{root}.tags",
    )
    reference = {"type": "id", "generated": True, "id": f"$ROOT_QUERY.{root}", "typename": "VisionVideoDetailResult"}
    if post.fault in MESSAGES:
        status, message = MESSAGES[post.fault]
        return {
            f"$ROOT_QUERY.{root}": {"status": status, "type": None, "author": None, "photo": None, "tags": None, "errorMsg": message},
            "ROOT_QUERY": {root: reference},
        }
    photo = photo_of(site, post)
    photo["manifest"] = {"type": "json", "json": photo["manifest"]}
    return {
        photo_key: photo | {"__typename": "VisionVideoDetailPhoto"},
        author_key: author_of(post) | {"__typename": "VisionVideoDetailAuthor"},
        **{
            f"{tags_key}.{place}": {"type": 1, "name": tag, "__typename": "VisionVideoDetailTags"}
            for place, tag in enumerate(post.hashtags)
        },
        f"$ROOT_QUERY.{root}": {
            "status": 1,
            "type": 1,
            "author": {"type": "id", "generated": False, "id": author_key, "typename": "VisionVideoDetailAuthor"},
            "photo": {"type": "id", "generated": False, "id": photo_key, "typename": "VisionVideoDetailPhoto"},
            "tags": [{"type": "id", "generated": True, "id": f"{tags_key}.{place}"} for place in range(len(post.hashtags))],
            "danmakuSwitch": True,
            "__typename": "VisionVideoDetailResult",
        },
        "ROOT_QUERY": {root: reference},
    }


def hot_rank(site: Site) -> dict[str, Any]:
    """The trending board as the home page's cache holds it: a pinned entry that is no trend, then the day's words."""
    root = 'visionHotRank({"page":"home","platform":"web"})' if site.today().toordinal() % 2 else 'visionHotRank({"page":"home"})'
    words = site.corpus.board("kuaishou", site.today())
    entries: list[dict[str, Any]] = [
        {
            "rank": 0,
            "id": "VisionHotRankItem:pinned",
            "name": "快手社区公约",
            "hotValue": None,
            "tagType": "置顶",
            "poster": "",
            "photoIds": {"type": "json", "json": []},
        }
    ]
    for place, word in enumerate(words):
        posts = site.corpus.tagged("kuaishou", word)
        poster = urllib.parse.quote(media.cover(posts[0]), safe="") if posts else ""
        ids = {"type": "json", "json": [post.id for post in posts[:1]]}
        entries.append(
            {
                "rank": place + 1,
                "id": f"VisionHotRankItem:{word}",
                "name": word,
                "hotValue": f"{1135.3 - 31.7 * place:.1f}万",
                "tagType": None,
                "poster": poster,
                "photoIds": ids,
            }
        )
    items = [{"type": "id", "generated": False, "id": entry["id"], "typename": "VisionHotRankItem"} for entry in entries]
    board = {"result": 1, "pcursor": "", "webPageArea": "homexxbrilliant", "items": items, "__typename": "VisionHotRankResult"}
    reference = {"type": "id", "generated": True, "id": f"$ROOT_QUERY.{root}", "typename": "VisionHotRankResult"}
    return {
        **{entry["id"]: {**entry, "__typename": "VisionHotRankItem"} for entry in entries},
        f"$ROOT_QUERY.{root}": board,
        "ROOT_QUERY": {root: reference},
    }


# --- pages ------------------------------------------------------------------------------------------------------
def document(
    site: Site,
    request: Request,
    title: str,
    cache: dict[str, Any],
    body: str,
    *,
    status: int = 200,
    extra: str = "",
    undefined: bool = False,
) -> Response:
    state = escaped_json({"defaultClient": {"$ROOT_QUERY.activity": {"banner": None}, **cache}, "clients": {}})
    if undefined:  # as the platform's own serialiser leaves it: no JSON any more
        state = state.replace('"photoH265Url":""', '"photoH265Url":undefined').replace(
            '"animatedCoverUrl":""', '"animatedCoverUrl":undefined'
        )
    data = f"<script>window.__APOLLO_STATE__={state}{REMOVE_SELF}</script>" if cache else ""
    response = Response.page(fill(asset("kuaishou.html"), title=attribute(title), data=data + extra, body=body), status=status)
    for name, value in (
        ("did", f"web_{site.sign('did')}"),
        ("didv", "1751000000000"),
        ("kpf", "PC_WEB"),
        ("kpn", "KUAISHOU_VISION"),
        ("clientid", "3"),
    ):
        response.cookie(name, value, domain=".chenzhongtech.com" if "chenzhongtech" in request.host else ".kuaishou.com")
    return response


@routes.at(r"/short-video/(?P<id>\w+)/?")
def video(site: Site, request: Request, match: re.Match[str]) -> Response:
    post = site.corpus.find("kuaishou", match["id"])
    if post is None:
        return document(site, request, "快手", {}, '<main><p class="notice">作品不存在</p></main>')
    if response := site.page_fault(request, post):
        return response
    for name in ("private", "deleted", "region", "disallowed"):
        site.strikes(name, post, request)
    body = f'<main><p class="notice">{MESSAGES[post.fault][1]}</p></main>' if post.fault in MESSAGES else player(site, post)
    return document(site, request, f"{post.title[:60]}-快手", apollo_detail(site, post), body, undefined=post.layout == "apollo_undefined")


def player(site: Site, post: Post) -> str:
    tags = "".join(
        f'<a href="/search/video?searchKey={attribute(urllib.parse.quote(tag))}">#{attribute(tag)} </a>' for tag in post.hashtags
    )
    picture = f'<video class="player-video" controls preload="none" src="{attribute(media.link(site, post))}" poster="{attribute(media.cover(post))}"></video>'
    return (
        f'<main class="player"><div>{picture}</div><section><p class="video-info-title">{attribute(post.title)} {tags}</p>'
        f'<a class="profile-user-name" href="/profile/{post.user.sec_id}">{attribute(post.user.nickname)}</a>'
        f'<p class="interactive-bar-item">{counted(post.counts["likes"], language="zh")}</p></section></main>'
    )


@routes.at(r"/fw/(?:photo|long-video)/(?P<id>\w+)/?")
def share(site: Site, request: Request, match: re.Match[str]) -> Response:
    post = site.corpus.find("kuaishou", match["id"])
    if post is not None:
        if response := site.page_fault(request, post):
            return response
        for name in ("private", "deleted", "region", "disallowed"):
            site.strikes(name, post, request)
    if post is None or post.fault in MESSAGES:
        entry: dict[str, Any] = {
            "result": MESSAGES[post.fault][0] if post else 22,
            "error_msg": MESSAGES[post.fault][1] if post else "作品不存在",
        }
    else:
        entry = {"result": 1, "photo": mobile_photo(site, post), "shareInfo": {"shareId": "17"}}
    key = hashlib.sha256(match["id"].encode()).hexdigest()[:16]  # the keys look random
    state = {f"tusjoh/rest/wd/{key}": {"result": 1, "config": {}}, f"tusjoh/{key[::-1]}": entry}
    data = f"<script>window.INIT_STATE = {escaped_json(state)}</script>"
    return document(
        site,
        request,
        "快手",
        {},
        player(site, post) if post and entry["result"] == 1 else '<main><p class="notice">作品已失效</p></main>',
        extra=data,
    )


def mobile_photo(site: Site, post: Post) -> dict[str, Any]:
    return {
        "photoId": post.id,
        "caption": post.caption,
        "userName": post.user.nickname,
        "userId": post.user.id,
        "userEid": post.user.sec_id,
        "timestamp": post.created * 1000,
        "duration": round(post.duration_s * 1000),
        "likeCount": post.counts["likes"],
        "viewCount": post.counts["plays"],
        "commentCount": post.counts["comments"],
        "shareCount": post.counts["shares"],
        "width": post.width,
        "height": post.height,
        "photoType": "VIDEO",
        "mainMvUrls": [{"cdn": media.MIRRORS["kuaishou"][place], "url": url} for place, url in enumerate(media.links(site, post))],
        "coverUrls": [{"cdn": "p2.a.kwimgs.com", "url": media.cover(post)}],
        "soundTrack": {"name": post.track},
        "ext_params": {"mtype": 3, "w": post.width, "h": post.height},
    }


@routes.at(r"/search/(?:video)?/?")
def search(site: Site, request: Request, match: re.Match[str]) -> Response:
    text = request.query.get("searchKey", "")
    return list_page(site, request, text, api="/rest/v/search/feed", query={"keyword": text, "page": "search"}, term=text)


@routes.at(r"/profile/(?P<id>\w+)/?")
def profile(site: Site, request: Request, match: re.Match[str]) -> Response:
    posts = site.corpus.by_user("kuaishou", match["id"])
    if not posts:
        return document(site, request, "快手", {}, '<main><p class="notice">用户不存在</p></main>')
    return list_page(site, request, posts[0].user.nickname, api="/rest/v/profile/feed", query={"user_id": match["id"], "page": "profile"})


@routes.at(r"/(?:brilliant|hot-board|new-reco)?/?")
def home(site: Site, request: Request, match: re.Match[str]) -> Response:
    rows = "".join(
        f'<li><b>{place}</b><a href="/search/video?searchKey={attribute(urllib.parse.quote(word))}">{attribute(word)}</a></li>'
        for place, word in enumerate(site.corpus.board("kuaishou", site.today()), start=1)
    )
    return document(site, request, "快手", hot_rank(site), f'<main><h1>快手热榜</h1><ul class="hot-list">{rows}</ul></main>')


def list_page(site: Site, request: Request, title: str, *, api: str, query: dict[str, str], term: str = "") -> Response:
    login_after = 1 if "login_modal" in site.faults and site.log("login_modal", request) else 0
    config = {"platform": "kuaishou", "api": api, "query": query, "kind": "search", "token": site.sign("falcon"), "loginAfter": login_after}
    data = f'<script id="list-config" type="application/json">{escaped_json(config)}</script><script src="/static/lists.js"></script>'
    body = f'<main><h1>{attribute(title)}</h1><div class="video-container grid"></div><div class="spinner" hidden></div><p class="end" hidden>没有更多了</p></main>'
    return document(site, request, f"{title}-快手", {"ROOT_QUERY": {}}, body, extra=data)


# --- calls ------------------------------------------------------------------------------------------------------
@routes.at(r"/rest/v/(?P<kind>search|profile)/feed")
def feed(site: Site, request: Request, match: re.Match[str]) -> Response:
    if site.demands("unsigned_api", request, missing=request.query.get("__NS_hxfalcon") != site.sign("falcon")):
        return Response.json({"result": 50, "error_msg": "签名验证失败"})
    site.wait()
    asked = posted(request)
    term = str(asked.get("keyword", ""))
    if term and site.is_struck_list("captcha", "kuaishou", term) and site.log("captcha", request):
        return Response.json(
            {
                "result": 2001,
                "error_msg": "antispam need captcha",
                "captchaConfig": json.dumps({"type": 2, "url": "//captcha.zt.kuaishou.com/iframe"}),
            }
        )
    posts = (
        site.corpus.search("kuaishou", term)
        if match["kind"] == "search"
        else site.corpus.by_user("kuaishou", str(asked.get("user_id", "")))
    )
    start = int(asked["pcursor"]) if str(asked.get("pcursor", "")).isdigit() else 0
    batch, cursor, more = batch_of(site, request, "kuaishou", posts, start=start, size=PAGE_SIZE, term=term)
    session = site.sign("session", term)[:20]
    return Response.json(
        {
            "result": 1,
            "feeds": [feed_of(site, post) for post in batch],
            "pcursor": str(cursor) if more else "no_more",
            "searchSessionId": session,
        }
    )


@routes.at(r"/graphql")
def graphql(site: Site, request: Request, match: re.Match[str]) -> Response:
    """What is left of the old calls: the detail and the board answer, the lists have moved and give nothing."""
    asked = posted(request)
    operation, variables = asked.get("operationName"), asked.get("variables") or {}
    if operation == "visionVideoDetail":
        post = site.corpus.find("kuaishou", str(variables.get("photoId", "")))
        if post and post.fault not in MESSAGES:
            return Response.json({"data": {"visionVideoDetail": feed_of(site, post) | {"status": 1}}})
        return Response.json(
            {"data": {"visionVideoDetail": {"status": MESSAGES[post.fault][0] if post else 22, "photo": None, "author": None}}}
        )
    if operation == "visionHotRank":
        items = [
            {"rank": place, "name": word, "hotValue": None}
            for place, word in enumerate(site.corpus.board("kuaishou", site.today()), start=1)
        ]
        return Response.json({"data": {"visionHotRank": {"result": 1, "items": items}}})
    return Response.json({"errors": [{"message": "operation is no longer served"}], "data": None})


def posted(request: Request) -> dict[str, Any]:
    try:
        value = json.loads(request.body or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


# --- the rest ---------------------------------------------------------------------------------------------------
def short_link(site: Site, code: str) -> Response:
    post = site.short_codes.get(code)
    if post is None or post.platform != "kuaishou":
        return Response.redirect("https://www.kuaishou.com/?isHome=1")
    kind = "long-video" if post.duration_s > 60 else "photo"
    return Response.redirect(
        f"https://v.m.chenzhongtech.com/fw/{kind}/{post.id}?userId={post.user.sec_id}&photoId={post.id}&cc=share_copylink"
    )


@routes.at(r"/robots\.txt")
def robots_txt(site: Site, request: Request, match: re.Match[str]) -> Response:
    return robots(site, "kuaishou", lambda post: [f"/short-video/{post.id}", f"/fw/photo/{post.id}", f"/fw/long-video/{post.id}"])


routes.at(r"/static/(?P<name>[a-z]+\.(?:js|css))")(static)
