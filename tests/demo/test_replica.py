"""The replica as a program meets it: shapes, demands, ranges, expiry, faults and their log."""

import base64
import datetime
import html
import http.client
import json
import re
import shutil
import urllib.parse
from dataclasses import replace

import pytest

from crawler.platforms import PLATFORMS
from demo.replica import douyin, media, tiktok
from demo.replica.server import ReplicaServer
from demo.replica.site import short_code
from tests.demo.conftest import Visitor, first, planted

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148"


def script(text: str, name: str) -> str:
    return re.search(rf'<script id="{name}"[^>]*>(.*?)</script>', text, re.S)[1]


def healthy(server, platform: str, **wanted):
    return first(server, platform, expected="accepted", fault="", **wanted)


# --- TikTok -----------------------------------------------------------------------------------------------------
def test_a_tiktok_page_holds_its_record_with_escaped_slashes(replica, visitor):
    post = healthy(replica, "tiktok", layout="universal")
    answer = visitor.get(post.url)
    text = script(answer.text, "__UNIVERSAL_DATA_FOR_REHYDRATION__")
    item = json.loads(text)["__DEFAULT_SCOPE__"]["webapp.video-detail"]["itemInfo"]["itemStruct"]
    assert (item["id"], item["desc"], item["createTime"]) == (post.id, post.caption, str(post.created))
    assert item["stats"]["diggCount"] == post.counts["likes"]
    assert [tag["hashtagName"] for tag in item["textExtra"]] == post.hashtags
    assert "\\u002F" in text
    assert "\\u0026" in text
    assert "tt_chain_token=" in answer.cookies()


def test_the_sigi_layout_names_its_author_by_a_plain_string(replica, visitor):
    post = healthy(replica, "tiktok", layout="sigi")
    state = json.loads(html.unescape(script(visitor.get(post.url).text, "SIGI_STATE")))
    assert state["ItemModule"][post.id]["author"] == post.user.handle
    assert state["UserModule"]["users"][post.user.handle]["secUid"] == post.user.sec_id


def test_every_second_sigi_page_is_written_in_entities(replica, visitor):
    pages = [
        script(tiktok.video_data(replica.site, post), "SIGI_STATE") for post in replica.site.corpus.of("tiktok") if post.layout == "sigi"
    ]
    assert {"&quot;" in page for page in pages} == {True, False}


def test_the_oldest_layout_is_next_data(replica, visitor):
    post = healthy(replica, "tiktok", layout="next")
    props = json.loads(script(visitor.get(post.url).text, "__NEXT_DATA__"))["props"]["pageProps"]
    assert props["itemInfo"]["itemStruct"]["id"] == post.id


@pytest.mark.parametrize(("fault", "code"), [("private", 10216), ("deleted", 10204), ("region", 10231)])
def test_a_tiktok_post_that_is_not_to_be_seen_says_why_by_its_code(replica, fault, code):
    post = first(replica, "tiktok")
    shown = tiktok.video_data(replica.site, type(post)(**{**vars(post), "fault": fault, "layout": "universal"}))
    detail = json.loads(script(shown, "__UNIVERSAL_DATA_FOR_REHYDRATION__"))["__DEFAULT_SCOPE__"]["webapp.video-detail"]
    assert detail["statusCode"] == code
    assert "itemInfo" not in detail


@pytest.mark.parametrize("layout", ["universal", "sigi", "next"])
@pytest.mark.parametrize(("fault", "outcome"), [("private", "private"), ("deleted", "gone"), ("region", "region")])
def test_every_layout_names_what_became_of_a_post(replica, layout, fault, outcome):
    shown = tiktok.video_data(replica.site, replace(first(replica, "tiktok"), fault=fault, layout=layout))
    assert PLATFORMS["tiktok"].video_page(shown, "", author_key="key").outcome == outcome


def test_a_tiktok_list_starts_empty_and_its_call_wants_the_pages_signature(replica, visitor):
    tag = max(
        {tag for post in replica.site.corpus.of("tiktok") for tag in post.hashtags},
        key=lambda tag: len(replica.site.corpus.tagged("tiktok", tag)),
    )
    page = visitor.get(f"https://www.tiktok.com/tag/{tag}").text
    assert '<div class="grid" data-e2e="challenge-item-list"></div>' in page
    config = json.loads(script(page, "list-config"))
    query = {**config["query"], "cursor": "0"}
    assert visitor.get(f"https://www.tiktok.com{config['api']}?{urllib.parse.urlencode(query)}").body == b""
    assert planted(replica, "unsigned_api")
    ids, cursor, more = [], 0, True
    while more:
        query |= {"cursor": cursor, "X-Bogus": config["token"]}
        reply = visitor.get(f"https://www.tiktok.com{config['api']}?{urllib.parse.urlencode(query)}").json()
        ids += [item["id"] for item in reply["itemList"]]
        cursor, more = reply["cursor"], reply["hasMore"]
    assert len(ids) > tiktok.PAGE_SIZE
    assert ids == [post.id for post in replica.site.corpus.tagged("tiktok", tag)]


def test_a_program_gets_the_challenge_and_who_solves_it_the_page(replica, visitor):
    post = first(replica, "tiktok", fault="challenge")
    page = visitor.get(post.url).text
    assert "Please wait..." in page
    puzzle = re.search(r'id="cs" class="([^"]+)"', page)[1]
    answer = json.loads(base64.b64decode(puzzle)) | {"d": base64.b64encode(b"3571").decode()}
    cookie = base64.b64encode(json.dumps(answer).encode()).decode()
    assert post.id in visitor.get(post.url, Cookie=f"_wafchallengeid={cookie}").text
    assert planted(replica, "challenge")[0]["id"] == post.id


# --- Douyin -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("layout", "key", "app"), [("render_43", "43", "app"), ("render_41", "41", "app"), ("render_old", "C_20", "1")])
def test_render_data_is_percent_encoded_under_a_changing_key(replica, visitor, layout, key, app):
    post = next(
        post for post in replica.site.corpus.of("douyin") if post.layout == layout and post.fault in ("", "trap_title", "reupload_exact")
    )
    text = script(visitor.get(post.url).text, "RENDER_DATA")
    assert text.startswith("%7B%22")
    state = json.loads(urllib.parse.unquote(text))
    detail = state[key]["aweme"]["detail"]
    assert app in state
    assert (detail["awemeId"], detail["desc"], detail["video"]["duration"]) == (post.id, post.caption, round(post.duration_s * 1000))
    assert detail["video"]["playAddr"][0]["src"].startswith("//v3-web.douyinvod.com/")


def test_the_share_page_holds_router_data(replica, visitor):
    post = healthy(replica, "douyin")
    page = visitor.get(f"https://www.iesdouyin.com/share/video/{post.id}/").text
    value = json.loads(re.search(r"window\._ROUTER_DATA = (.*?)</script>", page, re.S)[1])
    assert value["loaderData"]["video_(id)/page"]["videoInfoRes"]["item_list"][0]["aweme_id"] == post.id


def test_a_douyin_post_that_is_not_to_be_seen_is_an_empty_list_with_a_reason(replica, visitor):
    post = next(post for post in replica.site.corpus.of("douyin") if post.fault in douyin.MESSAGES)
    page = visitor.get(f"https://www.iesdouyin.com/share/video/{post.id}/").text
    result = json.loads(re.search(r"window\._ROUTER_DATA = (.*?)</script>", page, re.S)[1])["loaderData"]["video_(id)/page"]["videoInfoRes"]
    assert result["item_list"] == []
    assert result["filter_list"][0]["detail_msg"]
    assert visitor.get(f"https://www.douyin.com/aweme/v1/web/aweme/detail/?aweme_id={post.id}").json()["aweme_detail"] is None
    assert {line["id"] for line in planted(replica, post.fault)} >= {post.id}


def test_the_hot_list_is_the_days_board(replica, visitor):
    words = visitor.get("https://www.douyin.com/aweme/v1/web/hot/search/list/?detail_list=1&source=6&board_type=0").json()["data"][
        "word_list"
    ]
    assert [word["word"] for word in words] == replica.site.corpus.board("douyin", datetime.datetime.now(datetime.UTC).date())
    assert [word["position"] for word in words] == list(range(1, len(words) + 1))


def test_search_results_are_mixed_with_what_is_no_video(replica, visitor):
    word = replica.site.corpus.board("douyin", replica.site.today())[0]
    config = json.loads(script(visitor.get(f"https://www.douyin.com/search/{urllib.parse.quote(word)}").text, "list-config"))
    query = urllib.parse.urlencode(config["query"] | {"offset": 0, "a_bogus": config["token"]})
    data = visitor.get(f"https://www.douyin.com{config['api']}?{query}").json()["data"]
    assert {entry["type"] for entry in data} == {1, 996}


# --- Kuaishou ---------------------------------------------------------------------------------------------------
def apollo(page: str) -> str:
    return re.search(r"window\.__APOLLO_STATE__=(.*?);\(function\(\)", page, re.S)[1]


def test_the_apollo_state_is_a_script_that_removes_itself(replica, visitor):
    post = healthy(replica, "kuaishou", layout="apollo")
    page = visitor.get(post.url).text
    client = json.loads(apollo(page))["defaultClient"]
    photo = client[f"VisionVideoDetailPhoto:{post.id}"]
    assert (photo["caption"], photo["duration"], photo["timestamp"]) == (post.caption, round(post.duration_s * 1000), post.created * 1000)
    assert photo["manifest"]["type"] == "json"
    assert "removeChild(s);}());</script>" in page


def test_some_apollo_states_hold_bare_undefined(replica, visitor):
    post = healthy(replica, "kuaishou", layout="apollo_undefined")
    state = apollo(visitor.get(post.url).text)
    assert '"photoH265Url":undefined' in state
    with pytest.raises(json.JSONDecodeError):
        json.loads(state)


def test_the_kuaishou_board_has_a_pinned_entry_before_the_words(replica, visitor):
    client = json.loads(apollo(visitor.get("https://www.kuaishou.com/?isHome=1").text))["defaultClient"]
    board = next(value for key, value in client.items() if key.startswith("$ROOT_QUERY.visionHotRank("))
    items = [client[item["id"]] for item in board["items"]]
    assert items[0]["tagType"] == "置顶"
    assert [item["name"] for item in items[1:]] == replica.site.corpus.board("kuaishou", replica.site.today())
    assert items[1]["poster"].startswith("https%3A%2F%2F")


def test_the_kuaishou_share_page_hides_its_photo_under_a_random_key(replica, visitor):
    post = healthy(replica, "kuaishou")
    page = visitor.get(f"https://v.m.chenzhongtech.com/fw/photo/{post.id}").text
    state = json.loads(re.search(r"window\.INIT_STATE = (.*?)</script>", page, re.S)[1])
    photo = next(entry["photo"] for entry in state.values() if "result" in entry and "photo" in entry)
    assert (photo["photoId"], photo["likeCount"]) == (post.id, post.counts["likes"])


def test_an_unsigned_kuaishou_list_says_fifty(visitor):
    reply = visitor.get("https://www.kuaishou.com/rest/v/search/feed", method="POST", body=b'{"keyword":"x"}')
    assert reply.json()["result"] == 50


# --- awkward titles ---------------------------------------------------------------------------------------------
def test_awkward_titles_arrive_as_they_are_and_break_no_page(replica, visitor):
    trapped = [post for post in replica.site.corpus.posts if post.fault == "trap_title"]
    assert trapped
    for post in trapped:
        page = visitor.get(post.url).text
        assert "<script>alert(1)" not in page
        if post.platform == "kuaishou":
            state = json.loads(apollo(page).replace(":undefined", ":null"))
            assert state["defaultClient"][f"VisionVideoDetailPhoto:{post.id}"]["caption"] == post.caption


# --- links ------------------------------------------------------------------------------------------------------
def test_short_links_lead_to_the_post(replica, visitor):
    tik, dou, kuai = (healthy(replica, platform) for platform in ("tiktok", "douyin", "kuaishou"))
    assert f"/video/{tik.id}" in visitor.get(f"https://vm.tiktok.com/{short_code(tik)}/").headers["Location"]
    assert visitor.get(f"https://v.douyin.com/{short_code(dou)}/").headers["Location"].startswith(f"https://www.douyin.com/video/{dou.id}")
    assert "iesdouyin.com/share/video/" in visitor.get(f"https://v.douyin.com/{short_code(dou)}/", User_Agent=PHONE).headers["Location"]
    assert f"chenzhongtech.com/fw/photo/{kuai.id}" in visitor.get(f"https://v.kuaishou.com/f/{short_code(kuai)}").headers["Location"]


@pytest.mark.parametrize("host", ["www.tiktok.com", "www.douyin.com", "www.kuaishou.com"])
def test_robots_closes_the_posts_of_those_who_opted_out(replica, visitor, host):
    text = visitor.get(f"https://{host}/robots.txt").text
    assert text.startswith("User-agent: *")
    for post in replica.site.corpus.of(host.split(".")[1]):
        path = urllib.parse.urlsplit(post.url).path
        assert (f"Disallow: {path}\n" in text) == (post.fault == "disallowed")


def test_an_unknown_host_is_misdirected(visitor):
    assert visitor.get("https://live.kuaishou.com/robots.txt").status == 200
    assert visitor.get("https://v9.douyin.com/").status == 421


# --- media ------------------------------------------------------------------------------------------------------
def clip_headers(post) -> dict[str, str]:
    return {"Referer": post.url, "Cookie": "tt_chain_token=x"}


def test_media_comes_whole_in_parts_and_not_beyond_its_end(replica, visitor):
    post = healthy(replica, "tiktok")
    url, headers, body = media.link(replica.site, post), clip_headers(post), replica.site.body_path(post).read_bytes()
    whole = visitor.get(url, **headers)
    assert (whole.status, whole.body, whole.headers["Content-Type"]) == (200, body, "video/mp4")
    middle = visitor.get(url, Range="bytes=100-299", **headers)
    assert (middle.status, middle.body, middle.headers["Content-Range"]) == (206, body[100:300], f"bytes 100-299/{len(body)}")
    assert visitor.get(url, Range="bytes=-50", **headers).body == body[-50:]
    assert visitor.get(url, Range=f"bytes={len(body)}-", **headers).status == 416
    head = visitor.get(url, method="HEAD", **headers)
    assert (head.body, head.headers["Content-Length"]) == (b"", str(len(body)))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"User_Agent": "python-requests/2.34"}, "user_agent_403"),
        ({"Referer": "https://example.org/"}, "referer_403"),
        ({"Cookie": "a=b"}, "cookie_403"),
    ],
)
def test_media_is_refused_to_whom_lacks_a_browsers_name_the_page_or_its_cookie(replica, visitor, change, fault):
    post = healthy(replica, "tiktok")
    before = len(planted(replica, fault))
    assert visitor.get(media.link(replica.site, post), **{**clip_headers(post), **change}).status == 403
    assert len(planted(replica, fault)) == before + 1


def test_a_forged_link_is_refused(replica, visitor):
    for platform in ("tiktok", "douyin", "kuaishou"):
        post = healthy(replica, platform)
        url = media.link(replica.site, post).replace(
            media.media_code(post), media.media_code(first(replica, platform, fault="redirect_chain"))
        )
        assert visitor.get(url, **clip_headers(post)).status == 403


def test_links_expire(clips, tmp_path):
    now = [1_795_000_000.0]
    with ReplicaServer(clips, tmp_path, faults="none", link_ttl_s=60, clock=lambda: now[0]) as server:
        visitor = Visitor(server)
        urls = {}
        for platform in ("tiktok", "douyin", "kuaishou"):
            post = first(server, platform)
            urls[platform] = (post, media.link(server.site, post))
            assert visitor.get(urls[platform][1], **clip_headers(post)).status == 200
        now[0] += 61
        assert [visitor.get(url, **clip_headers(post)).status for post, url in urls.values()] == [403, 403, 410]


def test_an_expired_link_is_replaced_by_a_good_one_once_it_was_met(replica, visitor):
    post = next(post for post in replica.site.corpus.posts if post.fault == "expired_link")
    assert visitor.get(media.link(replica.site, post), **clip_headers(post)).status in (403, 410)
    assert visitor.get(media.link(replica.site, post), **clip_headers(post)).status == 200
    assert [line["id"] for line in planted(replica, "expired_link")] == [post.id]


def fetch(replica, visitor, fault: str, mirror: int = 0, **headers):
    post = next(post for post in replica.site.corpus.posts if post.fault == fault)
    answer = visitor.get(media.link(replica.site, post, mirror), **clip_headers(post), **headers)
    return answer, replica.site.body_path(post).read_bytes()


def test_the_first_mirror_is_dead_and_the_second_is_good(replica, visitor):
    assert fetch(replica, visitor, "dead_mirror")[0].status == 503
    answer, body = fetch(replica, visitor, "dead_mirror", mirror=1)
    assert answer.body == body


@pytest.mark.parametrize("fault", ["cut_60", "length_mismatch"])
def test_a_body_that_breaks_off_is_whole_the_next_time(replica, visitor, fault):
    with pytest.raises(http.client.IncompleteRead):
        fetch(replica, visitor, fault)
    answer, body = fetch(replica, visitor, fault)
    assert answer.body == body
    assert len(planted(replica, fault)) == 1


def test_a_range_may_be_ignored_or_refused_once(replica, visitor):
    for fault in ("no_range", "range_416"):
        with pytest.raises(http.client.IncompleteRead):
            fetch(replica, visitor, fault)
    answer, body = fetch(replica, visitor, "no_range", Range="bytes=1000-")
    assert (answer.status, answer.body) == (200, body)
    assert fetch(replica, visitor, "range_416", Range="bytes=1000-")[0].status == 416
    answer, body = fetch(replica, visitor, "range_416", Range="bytes=1000-")
    assert (answer.status, answer.body) == (206, body[1000:])


def test_a_page_may_pass_for_a_video_and_a_video_for_text(replica, visitor):
    answer, _ = fetch(replica, visitor, "html_as_mp4")
    assert (answer.headers["Content-Type"], answer.body[:9]) == ("video/mp4", b"<!DOCTYPE")
    answer, body = fetch(replica, visitor, "wrong_type")
    assert (answer.headers["Content-Type"], answer.body) == ("text/plain", body)


def test_redirects_chain_loop_and_leave_the_platform(replica, visitor):
    post = next(post for post in replica.site.corpus.posts if post.fault == "redirect_chain")
    url, hops = media.link(replica.site, post), 0
    while (answer := visitor.get(url, **clip_headers(post))).status in (301, 302):
        url, hops = answer.headers["Location"], hops + 1
    assert (answer.status, hops) == (200, 2)
    post = next(post for post in replica.site.corpus.posts if post.fault == "redirect_loop")
    url, seen = media.link(replica.site, post), []
    for _ in range(4):
        url = visitor.get(url, **clip_headers(post)).headers["Location"]
        seen.append(urllib.parse.urlsplit(url).hostname)
    assert len(set(seen)) == 2, "two mirrors send to each other"
    assert seen[:2] == seen[2:]
    assert "example.net" in fetch(replica, visitor, "offsite_redirect")[0].headers["Location"]


def test_a_page_is_empty_or_too_busy_once(replica, visitor):
    for fault, status, wait in (("empty_200", 200, None), ("rate_limited", 429, "1"), ("rate_limited_silent", 429, None)):
        post = next(post for post in replica.site.corpus.posts if post.fault == fault)
        answer = visitor.get(post.url)
        assert (answer.status, answer.headers["Retry-After"]) == (status, wait)
        assert post.id in visitor.get(post.url).text


def test_whoever_hurries_is_told_to_wait_every_other_time_for_how_long(clips, tmp_path):
    now = [1_795_000_000.0]
    with ReplicaServer(clips, tmp_path, faults="none", hurry_per_s=3, clock=lambda: now[0]) as server:
        visitor = Visitor(server)
        answers = [visitor.get("https://www.tiktok.com/explore") for _ in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        assert [answer.headers["Retry-After"] for answer in answers[3:]] == ["1", None]
        assert visitor.get("https://www.douyin.com/hot").status == 200
        now[0] += 1.1
        assert visitor.get("https://www.tiktok.com/explore").status == 200


# --- lists that misbehave ---------------------------------------------------------------------------------------
def pages_of_search(replica, visitor, word: str, count: int) -> list[dict]:
    replies = []
    for number in range(count):
        query = urllib.parse.urlencode({"keyword": word, "offset": number * 10, "a_bogus": replica.site.sign("bogus", "douyin")})
        replies.append(visitor.get(f"https://www.douyin.com/aweme/v1/web/general/search/single/?{query}").json())
    return replies


def test_one_list_repeats_itself_and_one_never_ends(replica, visitor):
    repeated, endless, *_ = replica.site.corpus.board("douyin", replica.site.today())
    ids = [
        [entry["aweme_info"]["aweme_id"] for entry in reply["data"] if entry["type"] == 1]
        for reply in pages_of_search(replica, visitor, repeated, 4)
    ]
    assert ids[0] == ids[1] == ids[3]
    replies = pages_of_search(replica, visitor, endless, 6)
    assert replies[-1]["data"] == []
    assert all(reply["has_more"] for reply in replies)
    assert planted(replica, "duplicate_page")
    assert planted(replica, "endless_list")


def test_walls_stand_only_where_they_were_asked_for(many_clips, tmp_path, replica, visitor):
    word = replica.site.corpus.board("douyin", replica.site.today())[2]
    assert "captcha_container" not in visitor.get(f"https://www.douyin.com/search/{urllib.parse.quote(word)}").text
    with ReplicaServer(many_clips, tmp_path, seed=3, faults="captcha") as server:
        word = server.site.corpus.board("douyin", server.site.today())[2]
        assert "captcha_container" in Visitor(server).get(f"https://www.douyin.com/search/{urllib.parse.quote(word)}").text


# --- the whole --------------------------------------------------------------------------------------------------
def test_truth_names_every_post_and_a_restart_serves_the_same(replica, many_clips, tmp_path):
    truth = json.loads(replica.truth.read_text(encoding="utf-8"))
    assert len(truth["posts"]) == len(replica.site.corpus.posts)
    assert {"platform", "id", "clip", "emotion", "keyword", "planted", "expected", "duplicate_of", "depth"} <= set(truth["posts"][0])
    shutil.copytree(replica.state, tmp_path / "state", ignore=shutil.ignore_patterns("planted.jsonl"))
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "state" / "bodies").iterdir()}
    authority = (tmp_path / "state" / "ca.pem").read_bytes()
    with ReplicaServer(many_clips, tmp_path / "state", seed=3, faults="all") as again:
        second = json.loads(again.truth.read_text(encoding="utf-8"))
        assert [post["id"] for post in second["posts"]] == [post["id"] for post in truth["posts"]]
        assert again.ca.read_bytes() == authority
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "state" / "bodies").iterdir()} == made


def test_a_challenge_id_is_the_tags_own(replica):
    tags = {tag for post in replica.site.corpus.posts for tag in post.hashtags}
    assert len({tiktok.challenge_id(tag) for tag in tags}) == len(tags) == len({douyin.tag_id(tag) for tag in tags})
