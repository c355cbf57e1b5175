"""Douyin as a visitor's browser meets it: percent-encoded RENDER_DATA under a changing key, the mobile share page, virtualised lists."""

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
from demo.replica.site import Site, short_code
from demo.replica.tiktok import static

HOSTS = ("www.douyin.com", "douyin.com", "v.douyin.com", "www.iesdouyin.com", "iesdouyin.com", "aweme.snssdk.com")
MESSAGES = {
    "private": ("status_self_see", "抱歉，作品不见了", "作者已将该作品设为私密，无法观看", "作品已设为私密"),
    "deleted": ("status_deleted", "抱歉，作品不见了", "作品已被删除，去看看其他作品吧", "作品已删除"),
    "region": ("region_limit", "该作品暂时无法观看", "该作品在你所在的地区暂不可用", "该作品在你所在的地区暂不可用"),
}
PAGE_SIZE = {"search": 10, "user": 18}
routes = Routes()


def owns(host: str) -> bool:
    return host in HOSTS


def serve(site: Site, request: Request) -> Response:
    if request.host == "v.douyin.com":
        return short_link(site, request)
    return routes.serve(site, request) or document(
        site, request, "抖音", "", '<main><p class="notice">你要观看的内容不存在</p></main>', status=404
    )


# --- records ----------------------------------------------------------------------------------------------------
def uri(address: str) -> str:
    return urllib.parse.urlsplit(address).path.strip("/")


def tag_id(tag: str) -> str:
    return str(16 * 10**14 + int(hashlib.sha256(tag.encode()).hexdigest()[:12], 16) % 10**14)


def text_extra(post: Post) -> list[dict[str, Any]]:
    caption = post.caption
    starts = [caption.rfind(f"#{tag}") for tag in post.hashtags]
    return [
        {"start": start, "end": start + len(tag) + 1, "type": 1, "hashtag_name": tag, "hashtag_id": tag_id(tag), "is_commerce": False}
        for tag, start in zip(post.hashtags, starts, strict=True)
    ]


def play_address(site: Site, post: Post) -> dict[str, Any]:
    code = media.media_code(post)
    return {
        "uri": code,
        "url_list": [
            *media.links(site, post),
            f"https://www.douyin.com/aweme/v1/play/?video_id={code}&line=0&file_id=0&sign=0&is_play_url=1&source=PackSourceEnum",
        ],
        "width": post.width,
        "height": post.height,
        "url_key": f"{code}_h264_720p_{int(post.size * 8 / max(post.duration_s, 0.1))}",
        "data_size": post.size,
    }


def aweme_of(site: Site, post: Post) -> dict[str, Any]:
    """The post in the dialect of the web API: snake_case, milliseconds."""
    address, counts, duration_ms = play_address(site, post), post.counts, round(post.duration_s * 1000)
    picture = {"uri": uri(media.cover(post)), "url_list": [media.cover(post)]}
    aweme: dict[str, Any] = {
        "aweme_id": post.id,
        "aweme_type": 0,
        "desc": post.caption,
        "caption": post.title,
        "item_title": "",
        "create_time": post.created,
        "duration": duration_ms,
        "author": {
            "uid": post.user.id,
            "sec_uid": post.user.sec_id,
            "short_id": "0",
            "unique_id": post.user.handle,
            "nickname": post.user.nickname,
            "follower_count": 0,
        },
        "author_user_id": int(post.user.id),
        "music": {
            "id": int(tag_id(post.track)),
            "title": post.track,
            "author": post.user.nickname,
            "play_url": {"uri": "", "url_list": []},
            "duration": round(post.duration_s),
        },
        "text_extra": text_extra(post),
        "video_tag": [{"tag_id": 2000 + len(post.hashtags), "tag_name": "随拍", "level": 1}, {"tag_id": 0, "tag_name": "", "level": 2}],
        "statistics": {
            "aweme_id": post.id,
            "digg_count": counts["likes"],
            "comment_count": counts["comments"],
            "share_count": counts["shares"],
            "collect_count": counts["saves"],
            "play_count": 0,
        },
        "status": {"is_delete": False, "private_status": 0, "allow_share": True, "is_prohibited": False},
        "share_url": f"https://www.iesdouyin.com/share/video/{post.id}/?region=CN&mid=1&u_code=0&from_aid=6383",
        "is_ads": post.fault == "ad",
        "region": "CN",
        "ip_attribution": "浙江",
        "images": None,
        "video": {
            "play_addr": address,
            "cover": picture,
            "origin_cover": picture,
            "dynamic_cover": picture,
            "width": post.width,
            "height": post.height,
            "ratio": "720p",
            "duration": duration_ms,
            "format": "mp4",
            "bit_rate": [
                {
                    "gear_name": "normal_720_0",
                    "quality_type": 10,
                    "bit_rate": int(post.size * 8 / max(post.duration_s, 0.1)),
                    "is_h265": 0,
                    "is_bytevc1": 0,
                    "FPS": 15,
                    "format": "mp4",
                    "play_addr": address,
                }
            ],
            "download_addr": {
                "uri": address["uri"],
                "url_list": [f"https://aweme.snssdk.com/aweme/v1/playwm/?video_id={address['uri']}&ratio=720p&line=0"],
            },
            "has_watermark": True,
        },
        "anchor_info": json.dumps(
            {"extra": json.dumps({"webRid": "730125", "note": '他说："好"'}, ensure_ascii=False)}, ensure_ascii=False
        ),
    }
    if post.fault == "slideshow":
        shot = {"uri": picture["uri"], "url_list": picture["url_list"], "width": 1080, "height": 1920}
        aweme |= {"aweme_type": 68, "images": [shot] * 3, "duration": 0}
        aweme["video"] |= {
            "bit_rate": [],
            "duration": 0,
            "play_addr": {"uri": "https://sf5-hl-cdn-tos.douyinstatic.com/obj/ies-music/1.mp3", "url_list": []},
        }
    return aweme


def camel_of(site: Site, post: Post) -> dict[str, Any]:
    """The post in the dialect of RENDER_DATA: camelCase, milliseconds, protocol-relative addresses."""
    aweme, counts = aweme_of(site, post), post.counts
    address = [{"src": url.removeprefix("https:")} for url in aweme["video"]["play_addr"]["url_list"]]
    duration_ms = aweme["video"]["duration"]
    rates = [
        {
            "bitRate": rate["bit_rate"],
            "gearName": rate["gear_name"],
            "isH265": 0,
            "width": post.width,
            "height": post.height,
            "playAddr": address,
            "dataSize": post.size,
        }
        for rate in aweme["video"]["bit_rate"]
    ]
    return {
        "awemeId": post.id,
        "awemeType": aweme["aweme_type"],
        "groupId": post.id,
        "desc": post.caption,
        "createTime": post.created,
        "authorInfo": {"uid": post.user.id, "secUid": post.user.sec_id, "uniqueId": post.user.handle, "nickname": post.user.nickname},
        "authorUserId": int(post.user.id),
        "textExtra": [
            {
                "start": extra["start"],
                "end": extra["end"],
                "type": 1,
                "hashtagName": extra["hashtag_name"],
                "hashtagId": extra["hashtag_id"],
            }
            for extra in aweme["text_extra"]
        ],
        "videoTag": [{"tagId": 2001, "tagName": "随拍", "level": 1}],
        "video": {
            "width": post.width,
            "height": post.height,
            "ratio": "720p",
            "duration": duration_ms,
            "playAddr": address,
            "playApi": f"//www.douyin.com/aweme/v1/play/?video_id={media.media_code(post)}&line=0",
            "bitRateList": rates,
            "cover": media.cover(post).removeprefix("https:"),
            "originCover": media.cover(post).removeprefix("https:"),
            "coverUrlList": [media.cover(post)],
        },
        "stats": {
            "diggCount": counts["likes"],
            "commentCount": counts["comments"],
            "shareCount": counts["shares"],
            "collectCount": counts["saves"],
            "playCount": 0,
        },
        "music": {"id": tag_id(post.track), "title": post.track, "author": post.user.nickname},
        "isAds": aweme["is_ads"],
        "images": aweme["images"] and [{"uri": shot["uri"], "urlList": shot["url_list"]} for shot in aweme["images"]],
        "anchorInfo": aweme["anchor_info"],
        "isPrivate": False,
    }


def missing(post: Post) -> dict[str, str]:
    reason, title, message, notice = MESSAGES[post.fault]
    return {"aweme_id": post.id, "filter_reason": reason, "detail_msg": message, "notice": title, "icon": "", "hint": notice}


# --- pages ------------------------------------------------------------------------------------------------------
def document(site: Site, request: Request, title: str, data: str, body: str, *, status: int = 200) -> Response:
    response = Response.page(fill(asset("douyin.html"), title=attribute(title), data=data, body=body), status=status)
    domain = ".iesdouyin.com" if "iesdouyin" in request.host else ".douyin.com"
    response.cookie("ttwid", f"1%7C{site.sign('dy')}", domain=domain, max_age=31536000)
    return response.cookie("__ac_nonce", f"0{site.sign('nonce')[:20]}", domain=domain, max_age=1800)


def render_data(layout: str, part: dict[str, Any]) -> str:
    """RENDER_DATA: percent-encoded JSON whose page key is a number that changes from build to build."""
    key = {"render_43": "43", "render_41": "41", "render_old": "C_20"}.get(layout, "44")
    app = {"user": {"isLogin": False}, "odin": {"user_id": "0"}, "abTest": json.dumps({"exp": "a/b"})}
    whole = {"_location": "/video", ("1" if layout == "render_old" else "app"): app, key: part}
    text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
    return f'<script id="RENDER_DATA" type="application/json">{urllib.parse.quote(text, safe="")}</script>'


@routes.at(r"/(?:video|note|slides)/(?P<id>\d+)/?")
def video(site: Site, request: Request, match: re.Match[str]) -> Response:
    post = site.corpus.find("douyin", match["id"])
    if post is None:
        return document(
            site, request, "抖音", render_data("", {"aweme": {"detail": None}}), '<main><p class="notice">抱歉，作品不见了</p></main>'
        )
    if response := site.page_fault(request, post):
        return response
    for name in ("private", "deleted", "region", "slideshow", "ad", "disallowed", "no_detail"):
        site.strikes(name, post, request)
    if post.fault in MESSAGES:
        state = {
            "aweme": {
                "awemeId": post.id,
                "detail": None,
                "filterDetail": {"filterReason": missing(post)["filter_reason"], "detailMsg": missing(post)["detail_msg"]},
            }
        }
        notice = f'<main><p class="notice">{MESSAGES[post.fault][1]}<br>{MESSAGES[post.fault][2]}</p></main>'
        return document(site, request, "抖音", render_data(post.layout, state), notice)
    detail = None if post.fault == "no_detail" else camel_of(site, post)
    data = render_data(post.layout, {"aweme": {"awemeId": post.id, "detail": detail}, "comment": None})
    return document(site, request, f"{post.title[:60]} - 抖音", data, player(site, post))


def player(site: Site, post: Post) -> str:
    tags = "".join(
        f'<a href="//www.douyin.com/search/{attribute(urllib.parse.quote(tag))}">#{attribute(tag)} </a>' for tag in post.hashtags
    )
    picture = f'<video controls preload="none" src="{attribute(media.link(site, post).removeprefix("https:"))}" poster="{attribute(media.cover(post))}"></video>'
    return (
        f'<main class="player"><div data-e2e="feed-active-video" data-e2e-vid="{post.id}">{picture}</div><section>'
        f'<h1 data-e2e="video-desc"><span>{attribute(post.title)} </span>{tags}</h1><p data-e2e="feed-video-nickname">@{attribute(post.user.nickname)}</p>'
        f'<p><span data-e2e="video-player-digg">{counted(post.counts["likes"], language="zh")}</span> 赞</p><a data-e2e="user-info" href="//www.douyin.com/user/{post.user.sec_id}">主页</a></section></main>'
    )


@routes.at(r"/share/(?:video|note|slides)/(?P<id>\d+)/?")
def share(site: Site, request: Request, match: re.Match[str]) -> Response:
    post = site.corpus.find("douyin", match["id"])
    if post is not None:
        if response := site.page_fault(request, post):
            return response
        for name in ("private", "deleted", "region", "slideshow", "ad", "disallowed"):
            site.strikes(name, post, request)
    if post is None or post.fault in MESSAGES:
        gone = (
            missing(post)
            if post
            else {"aweme_id": match["id"], "filter_reason": "status_deleted", "detail_msg": "作品不存在", "notice": "抱歉，作品不见了"}
        )
        result: dict[str, Any] = {"item_list": [], "filter_list": [gone]}
    else:
        result = {"item_list": [aweme_of(site, post)], "filter_list": []}
    page = "note_(id)/page" if post and post.fault == "slideshow" else "video_(id)/page"
    value = {
        "loaderData": {"video_layout": None, page: {"ua": request.agent, "isSpider": False, "videoInfoRes": {"status_code": 0, **result}}},
        "errors": None,
    }
    data = f"<script>window._ROUTER_DATA = {escaped_json(value)}</script>"
    return document(
        site,
        request,
        "抖音",
        data,
        player(site, post) if post and result["item_list"] else '<main><p class="notice">抱歉，作品不见了</p></main>',
    )


@routes.at(r"/search/(?P<text>[^/]+)/?")
def search(site: Site, request: Request, match: re.Match[str]) -> Response:
    text = match["text"]
    return list_page(
        site,
        request,
        text,
        kind="search",
        api="/aweme/v1/web/general/search/single/",
        query={"keyword": text, "count": "10", "search_channel": "aweme_video_web", "sort_type": "0", "publish_time": "0"},
        term=text,
    )


@routes.at(r"/user/(?P<sec>[\w-]+)/?")
def user(site: Site, request: Request, match: re.Match[str]) -> Response:
    posts = site.corpus.by_user("douyin", match["sec"])
    if not posts:
        return document(site, request, "抖音", render_data("", {"user": None}), '<main><p class="notice">用户不存在</p></main>')
    return list_page(
        site,
        request,
        posts[0].user.nickname,
        kind="user",
        api="/aweme/v1/web/aweme/post/",
        query={"sec_user_id": match["sec"], "count": "18"},
    )


@routes.at(r"/(?:hot|discover|jingxuan)?(?:/\d+)?/?")
def hot(site: Site, request: Request, match: re.Match[str]) -> Response:
    if request.query.get("modal_id", "").isdigit():
        return Response.redirect(f"https://www.douyin.com/video/{request.query['modal_id']}")
    return document(
        site,
        request,
        "抖音热榜",
        '<script src="/static/hot.js"></script>',
        '<main><h1>抖音热榜</h1><ul class="hot-list" data-e2e="hot-list"></ul></main>',
    )


def list_page(site: Site, request: Request, title: str, *, kind: str, api: str, query: dict[str, str], term: str = "") -> Response:
    if term and site.is_struck_list("captcha", "douyin", term) and site.log("captcha", request):
        return document(site, request, "验证码中间页", "", asset("douyin_captcha.html"))
    login_after = 1 if "login_modal" in site.faults and site.log("login_modal", request) else 0
    config = {
        "platform": "douyin",
        "api": api,
        "query": query,
        "kind": kind,
        "token": site.sign("bogus", "douyin"),
        "loginAfter": login_after,
    }
    name = "user-post-list" if kind == "user" else "scroll-list"
    inner = f'<ul class="virtual" data-e2e="{"scroll-list" if kind == "user" else name}"></ul>'
    box = f'<div data-e2e="user-post-list" class="mwo84cvf">{inner}</div>' if kind == "user" else inner
    data = (
        render_data("", {"defaultSearchParams": query})
        + f'<script id="list-config" type="application/json">{escaped_json(config)}</script><script src="/static/lists.js"></script>'
    )
    return document(
        site,
        request,
        f"{title} - 抖音",
        data,
        f'<main><h1>{attribute(title)}</h1>{box}<div class="spinner" hidden></div><p class="end" hidden>暂时没有更多了</p></main>',
    )


# --- calls ------------------------------------------------------------------------------------------------------
def unsigned(site: Site, request: Request) -> bool:
    return site.demands("unsigned_api", request, missing=request.query.get("a_bogus") != site.sign("bogus", "douyin"))


@routes.at(r"/aweme/v1/web/hot/search/list/")
def hot_list(site: Site, request: Request, match: re.Match[str]) -> Response:
    """The trending board; this call asks for no signature and no cookie."""
    words = [
        {
            "position": place,
            "sentence_id": tag_id(word)[:7],
            "word": word,
            "hot_value": 12_000_000 - 370_000 * place,
            "view_count": sum(post.counts["plays"] for post in site.corpus.tagged("douyin", word)),
            "video_count": len(site.corpus.tagged("douyin", word)),
            "event_time": int(site.clock()) - 3600 * place,
            "word_cover": {"uri": "", "url_list": []},
            "label": 0,
        }
        for place, word in enumerate(site.corpus.board("douyin", site.today()), start=1)
    ]
    return Response.json(
        {
            "status_code": 0,
            "data": {"word_list": words, "trending_list": [], "active_time": str(site.today())},
            "extra": {"now": int(site.clock() * 1000)},
        }
    )


@routes.at(r"/aweme/v1/web/aweme/detail/")
def detail(site: Site, request: Request, match: re.Match[str]) -> Response:
    post = site.corpus.find("douyin", request.query.get("aweme_id", ""))
    if post is None:
        return Response.json(
            {"status_code": 0, "aweme_detail": None, "filter_detail": {"filter_reason": "status_deleted", "detail_msg": "作品不存在"}}
        )
    if response := site.page_fault(request, post):
        return response
    for name in ("private", "deleted", "region", "slideshow", "ad", "disallowed"):
        site.strikes(name, post, request)
    if post.fault in MESSAGES:
        return Response.json({"status_code": 0, "aweme_detail": None, "filter_detail": missing(post)})
    return Response.json({"status_code": 0, "aweme_detail": aweme_of(site, post)})


@routes.at(r"/aweme/v1/web/(?:general/search/single|search/item)/")
def search_items(site: Site, request: Request, match: re.Match[str]) -> Response:
    if unsigned(site, request):
        return Response(200, b"", "application/json")
    site.wait()
    text = request.query.get("keyword", "")
    start = request.number("offset")
    batch, cursor, more = batch_of(
        site, request, "douyin", site.corpus.search("douyin", text), start=start, size=PAGE_SIZE["search"], term=text
    )
    data: list[dict[str, Any]] = [{"type": 1, "aweme_info": aweme_of(site, post)} for post in batch]
    if not start:
        data.insert(min(2, len(data)), {"type": 996, "sub_card_list": [], "doc_type": 340})
    return Response.json(
        {"status_code": 0, "data": data, "cursor": cursor, "has_more": int(more), "log_pb": {"impr_id": site.sign("search", text)[:24]}}
    )


@routes.at(r"/aweme/v1/web/aweme/post/")
def user_items(site: Site, request: Request, match: re.Match[str]) -> Response:
    if unsigned(site, request):
        return Response(200, b"", "application/json")
    site.wait()
    posts = site.corpus.by_user("douyin", request.query.get("sec_user_id", ""))
    batch, cursor, more = batch_of(site, request, "douyin", posts, start=request.number("max_cursor"), size=PAGE_SIZE["user"])
    return Response.json(
        {
            "status_code": 0,
            "aweme_list": [aweme_of(site, post) for post in batch],
            "has_more": int(more),
            "max_cursor": cursor,
            "min_cursor": 0,
        }
    )


@routes.at(r"/aweme/v1/play(?:wm)?/")
def play(site: Site, request: Request, match: re.Match[str]) -> Response:
    return media.play_redirect(site, request)


# --- the rest ---------------------------------------------------------------------------------------------------
def short_link(site: Site, request: Request) -> Response:
    """A phone is sent to the share page, a desktop to the site."""
    post = site.short_codes.get(request.path.strip("/"))
    if post is None or post.platform != "douyin":
        return Response.redirect("https://www.douyin.com/")
    phone = f"https://www.iesdouyin.com/share/video/{post.id}/?region=CN&mid={tag_id(post.track)}&u_code={short_code(post)}"
    return Response.redirect(phone if request.is_mobile else f"https://www.douyin.com/video/{post.id}?previous_page=app_code_link")


@routes.at(r"/robots\.txt")
def robots_txt(site: Site, request: Request, match: re.Match[str]) -> Response:
    return robots(
        site,
        "douyin",
        lambda post: [
            f"/video/{post.id}",
            f"/note/{post.id}",
            f"/share/video/{post.id}",
            f"/aweme/v1/web/aweme/detail/?aweme_id={post.id}",
        ],
    )


routes.at(r"/static/(?P<name>[a-z]+\.(?:js|css))")(static)
