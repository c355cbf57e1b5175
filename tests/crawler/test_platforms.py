"""Every saved page through its platform's adapter; then the traps of decoding, one by one, and pages nobody has seen."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.platforms import PLATFORMS, Failure, ListPage, Outcome, VideoPage, decoding, rulebook
from crawler.platforms.adapter import COUNTS

PAGES = Path(__file__).parent.parent / "fixtures" / "pages"
CASES = sorted(path.parent for path in PAGES.glob("*/*/expected.json"))
VIDEO_KEYS = set(VideoPage.__dataclass_fields__) - {"platform", "raw"}
LIST_KEYS = {"posts", "titles", "words", "ended", "rule_version"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_a_saved_page_reads_as_expected(case):
    expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    kind, url = expected.pop("kind"), expected.pop("url")
    adapter, text = PLATFORMS[case.parent.name], (case / "page.html").read_text(encoding="utf-8")
    found = adapter.video_page(text, url, author_key="key") if kind == "video" else adapter.list_page(text, url, kind)
    assert described(found) == expected
    if "video" in expected:
        assert set(expected["video"]) == VIDEO_KEYS, "unknown or missing keys in expected.json"
    elif "list" in expected:
        assert set(expected["list"]) == LIST_KEYS, "unknown or missing keys in expected.json"


def described(found):
    if isinstance(found, Failure):
        return {"failure": str(found.outcome)}
    if isinstance(found, ListPage):
        words = [[word.text, word.rank, word.heat] for word in found.words]
        posts = {"posts": [post.platform_id for post in found.posts], "titles": [post.title for post in found.posts]}
        return {"list": {**posts, "words": words, "ended": found.ended, "rule_version": found.rule_version}}
    whole = asdict(found)
    whole = {key: list(value) if isinstance(value, tuple) else value for key, value in whole.items() if key in VIDEO_KEYS}
    return {
        "video": {**whole, "author_hash": bool(found.author_hash), "published_at": found.published_at and found.published_at.isoformat()}
    }


def test_each_platform_has_cases_for_two_layouts_and_every_failure():
    for platform in PLATFORMS:
        expected = [json.loads((case / "expected.json").read_text(encoding="utf-8")) for case in CASES if case.parent.name == platform]
        assert len({page["video"]["rule_version"] for page in expected if "video" in page}) >= 2
        assert {"gone", "private", "captcha", "blocked", "rule-failed"} <= {page.get("failure") for page in expected}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_kind_of_list_has_cases_of_two_layouts(platform):
    """By rule; Kuaishou's board kept its record and changed the key it lies under, so that one rule reads both."""
    layouts: dict[str, set[str]] = {}
    for case in CASES:
        expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))
        if case.parent.name == platform and "list" in expected:
            rule = expected["list"]["rule_version"]
            layouts.setdefault(expected["kind"], set()).add(case.name if rule == "kuaishou/trending.2021-06-apollo" else rule)
    assert {kind: len(found) >= 2 for kind, found in layouts.items()} == dict.fromkeys(set(rulebook.KINDS) - {"video"}, True)


READ = {
    "locate": {"script_id", "var_name", "body", "decode", "root_paths", "store"},
    "fields": {"id", "title", "hashtags", "author", "published_at", "duration_s", "width", "height", *COUNTS},
    "lists": {"posts", "words", "links", "ids", "word_texts", "skip", "ends", "more", "click"},
    "media": {"entries", "entry_urls", "entry_labels", "direct", "prefer", "reject"},
}


def unread(rule: dict) -> set[str]:
    """Keys of a rule file that no code reads."""
    said = {name: set(rule[name]) for name in ("fields", "lists", "media")} | {"locate": {key for place in rule["locate"] for key in place}}
    return {f"{part}: {key}" for part, keys in said.items() for key in keys - READ[part]}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_rule_file_names_itself_and_compiles(platform):
    for kind in rulebook.KINDS:
        for rule in rulebook.rules_for(platform, kind):
            assert (rule.data["platform"], rule.data["page_kind"]) == (platform, kind)
            assert set(rule.data) - {"item", "url_patterns"} == {
                "platform",
                "page_kind",
                "version",
                "valid_from",
                "locate",
                "fields",
                "lists",
                "media",
                "errors",
            }
            assert unread(rule.data) == set(), f"{rule.name} says what no code reads"
            for locate in rule.data["locate"]:
                assert set(locate["decode"]) <= set(decoding.DECODERS), rule.name
            for outcomes in rule.data["errors"].values():
                assert set(outcomes.values()) <= set(Outcome), rule.name


@pytest.mark.parametrize(
    ("message", "outcome"), [("item doesn't exist", Outcome.GONE), ("", Outcome.BLOCKED), ("url doesnt match", Outcome.BLOCKED)]
)
def test_tiktoks_word_for_a_blocked_address_is_not_taken_for_a_deleted_post(message, outcome):
    """10204 is sent for both; who trusts the number alone takes a whole collection down when TikTok blocks the server."""
    record = {"__DEFAULT_SCOPE__": {"webapp.video-detail": {"statusCode": 10204, "statusMsg": message}}}
    page = f'<script id="__UNIVERSAL_DATA_FOR_REHYDRATION__" type="application/json">{json.dumps(record)}</script>'
    found = PLATFORMS["tiktok"].video_page(page, "", author_key="key")
    assert isinstance(found, Failure)
    assert found.outcome is outcome


def test_personal_details_stay_out_of_the_stored_record():
    case = PAGES / "tiktok" / "video-universal"
    page = PLATFORMS["tiktok"].video_page((case / "page.html").read_text(encoding="utf-8"), "", author_key="key")
    stored = json.dumps(page.raw, ensure_ascii=False)
    assert "Nick" not in stored
    assert "MS4wLjABAAAAxyz" not in stored
    assert "13812345678" not in stored
    assert "@somebody" not in stored


@pytest.mark.parametrize(
    ("platform", "record"),
    [
        ("tiktok", {"music": {"title": "song", "authorName": "Nick Name"}, "textExtra": [{"hashtagName": "joy", "user_id": "Nick"}]}),
        ("douyin", {"music": {"title": "song", "owner_nickname": "Nick", "ownerHandle": "Nick"}, "text_extra": [{"hashtag_name": "joy", "user_id": "Nick"}]}),
        ("douyin", {"shareInfo": {"shareUrl": "/?uid=Nick"}, "Nickname": "Nick", "uid": "Nick", "poi_id": "Nick"}),
        ("kuaishou", {"share_info": "userId=Nick&photoId=3x", "user_name": "Nick", "soundTrack": {"name": "song", "user": {"name": "Nick"}}}),
        ("kuaishou", {"caption": "song @Nick", "by @Nick": 1}),
    ],
)  # fmt: skip
def test_no_name_is_left_in_a_record_in_either_dialect_nor_of_whose_sound_it_is(platform, record):
    kept = rulebook.without_personal(record, PLATFORMS[platform].personal)
    assert "Nick" not in json.dumps(kept)
    assert "joy" in json.dumps(kept) or "joy" not in json.dumps(record)


def test_a_long_text_without_an_address_in_it_is_cleaned_at_once():
    assert len(decoding.clean_title("a." * 200_000)) == decoding.MAX_TITLE


def test_the_author_is_a_keyed_hash_that_differs_by_key_and_platform():
    assert decoding.keyed_hash("a", "tiktok", "x") == decoding.keyed_hash("a", "tiktok", "x")
    assert (
        len({decoding.keyed_hash("a", "tiktok", "x"), decoding.keyed_hash("b", "tiktok", "x"), decoding.keyed_hash("a", "douyin", "x")})
        == 3
    )
    assert decoding.keyed_hash("a", "tiktok", "") == ""


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.2万", 12_000), ("3.4亿", 340_000_000), ("1.1M", 1_100_000), ("12,345", 12_345), ("2.5k", 2_500), ("1,2M", 1_200_000), ("3千", 3_000), ("2.5百万", 2_500_000), ("10万+", 100_000), ("1.2萬", 12_000), ("3億", 300_000_000), ("1,234,567", 1_234_567), (7, 7), ("0", 0), ("many", None), (None, None), (True, None)],
)  # fmt: skip
def test_counters_as_platforms_write_them(text, number):
    assert decoding.counter(text) == number


def test_milliseconds_and_seconds_are_told_apart_by_the_rule():
    assert decoding.seconds(19782, "ms") == 19.782
    assert decoding.seconds("15", "s") == 15
    assert decoding.seconds(0, "s") is None
    assert decoding.moment(1_700_000_000_000, "ms") == decoding.moment("1700000000", "s") == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_an_id_holds_the_moment_of_its_upload():
    assert decoding.id_time("7525082444551310602").date().isoformat() == "2025-07-09"
    assert decoding.id_time("3xabc") is None


def test_braces_inside_strings_do_not_end_the_record():
    text = 'x = {"a": "}</script>{", "b": ["\\"}", {"c": 1}]};(function(){}());'
    assert json.loads(decoding.json_at(text, 4)) == {"a": "}</script>{", "b": ['"}', {"c": 1}]}
    with pytest.raises(ValueError, match="cut short"):
        decoding.json_at('{"a": "never closed', 0)


def test_undefined_becomes_null_outside_strings_only():
    assert json.loads(decoding.undefined_to_null('{"a":undefined,"b":[undefined, 1],"c":"is undefined, here"}')) == {
        "a": None,
        "b": [None, 1],
        "c": "is undefined, here",
    }


def test_chinese_titles_survive_escaped_slashes():
    assert decoding.decode('{"a":"海边 \\u002F \\u6d77"}', ["json"]) == {"a": "海边 / 海"}
    assert decoding.decode('"{\\"webRid\\": \\"7\\"}"', ["json"]) == {"webRid": "7"}


@pytest.mark.parametrize(
    ("title", "left"),
    [
        ("合作电话13812345678联系我", "合作电话联系我"),
        ("微信同号：13812345678，谢谢", "微信同号：，谢谢"),
        ("（+86）138 1234 5678", "（+86）"),
        ("ring +44 7911 123456 now", "ring now"),
        ("写信到 123456789@qq.com 吧", "写信到 吧"),
        ("看 @快乐小明🌸(O3xqmpn8fyw3zx5m) 的歌", "看 的歌"),
        ("@小明（3xqmpn8fyw3zx5m）好", "好"),
        ("2024年 第13812次 #13812345678", "2024年 第13812次 #13812345678"),
        ("7525082444551310602", "7525082444551310602"),
        ("今天@小明 (笑)", "今天 (笑)"),
    ],
)
def test_what_leads_to_a_person_leaves_the_title_whatever_stands_beside_it(title, left):
    assert decoding.clean_title(title) == left


def test_titles_lose_mentions_phones_and_direction_marks_but_keep_emoji():
    title = decoding.clean_title("看这里 @小明 138-1234-5678 call +1 555-123-4567 \u202eRTL\u200b 😀 #2024年 ../etc")
    assert "小明" not in title
    assert "1234" not in title
    assert "4567" not in title
    assert "\u202e" not in title
    assert "😀" in title
    assert "#2024年" in title
    assert len(decoding.clean_title("长" * 5000)) == decoding.MAX_TITLE


@pytest.mark.parametrize(
    ("platform", "url", "post"),
    [
        ("tiktok", "https://www.tiktok.com/@a.b/video/7525082444551310602?x=1", "7525082444551310602"),
        ("tiktok", "https://www.tiktok.com/@/photo/7525082444551310602", "7525082444551310602"),
        ("douyin", "https://www.douyin.com/jingxuan?modal_id=7301444403200000077", "7301444403200000077"),
        ("douyin", "https://www.iesdouyin.com/share/video/7301444403200000077/?region=CN", "7301444403200000077"),
        ("kuaishou", "https://v.m.chenzhongtech.com/fw/long-video/3xabc123def456g?x", "3xabc123def456g"),
        ("tiktok", "https://www.tiktok.com/tag/7525082444551310602", ""),
        ("douyin", "https://evil.example/video/7301444403200000077", ""),
    ],
)
def test_post_ids_in_addresses(platform, url, post):
    assert PLATFORMS[platform].post_id(url) == post


@pytest.mark.parametrize(
    ("platform", "record", "stays"),
    [
        ("tiktok", {"music": {"title": "original sound - nick.77", "original": True, "duration": 7}}, False),
        ("tiktok", {"author": {"nickname": "Nick Name"}, "music": {"title": "оригинальный звук - Nick Name"}}, False),
        ("tiktok", {"author": {"nickname": "Nick Name"}, "music": {"title": "Für Elise", "original": False}}, True),
        ("douyin", {"author": {"nickname": "Nick Name"}, "music": {"title": "Nick Name创作的原声"}}, False),
        ("kuaishou", {"userName": "Nick Name", "soundTrack": {"name": "Nick Name的作品原声"}}, False),
        ("kuaishou", {"userName": "Nick Name", "soundTrack": {"name": "Für Elise"}}, True),
        ("tiktok", {"music": "a word"}, True),
    ],
)
def test_a_sound_that_is_named_after_its_maker_loses_its_name(platform, record, stays):
    adapter = PLATFORMS[platform]
    stored = adapter.raw(rulebook.Document(rulebook.rules_for(platform, "video")[0], record, record, record))
    assert "nick" not in json.dumps(stored, ensure_ascii=False).lower()
    assert (stored == {key: value for key, value in record.items() if key not in ("author", "userName")}) is stays


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_address_names_the_page_that_it_was_made_for(platform):
    """Whatever a stage can ask for by kind and subject can also be pasted as an address."""
    adapter = PLATFORMS[platform]
    post = "3xabc123def456g" if platform == "kuaishou" else "7301444403200000077"
    for kind, subject in (("video", post), ("user", "MS4wLjABAAAA-x.y_z"), ("tag", "老屋 回忆"), ("search", "a+b & #c"), ("trending", "")):
        assert adapter.page_named(adapter.address(kind, subject)) == (kind, subject)
    assert adapter.page_named(adapter.address("share", "ZS8abcdef")) == ("", "")


def test_what_meta_elements_ask_of_robots_is_read():
    page = '<head><meta name="Robots" content="noindex, NOAI"><meta name="googlebot" content="none"><meta name="emotionsresearchbot" content="noimageai"></head>'
    assert rulebook.wishes_in(page) == {"noindex", "noai", "noimageai"}
    assert rulebook.wishes_in("") == set()


@pytest.mark.parametrize("host", ["tiktok.com.evil.example", "eviltiktok.com", "douyin.com", ""])
def test_a_lookalike_host_is_not_the_platforms(host):
    assert not PLATFORMS["tiktok"].allows(host)


SNIPPETS = st.sampled_from(["<script id=\"RENDER_DATA\">", "</script>", "{", "}", "[", '"', "\\", "window.__APOLLO_STATE__=", "undefined", "%7B", "&quot;", "\x00", "window.INIT_STATE = ", "<div id=captcha_container>", ":", ","])  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.lists(SNIPPETS | st.text(max_size=20), max_size=30).map("".join), st.sampled_from(sorted(PLATFORMS)), st.sampled_from(rulebook.KINDS)
)
def test_no_page_however_broken_raises(text, platform, kind):
    adapter = PLATFORMS[platform]
    found = adapter.video_page(text, "", author_key="k") if kind == "video" else adapter.list_page(text, "", kind)
    assert isinstance(found, (Failure, VideoPage, ListPage))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "video", "itemInfo", "itemStruct", "type", "__ref", "stats", "author", "desc", "bitrateInfo", "statusCode"]), inner, max_size=5),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(JSON_VALUES)
def test_no_record_of_any_shape_raises(value):
    record = {"__DEFAULT_SCOPE__": {"webapp.video-detail": {"statusCode": 0, "itemInfo": {"itemStruct": value}}}}
    text = f'<script id="__UNIVERSAL_DATA_FOR_REHYDRATION__">{json.dumps(record).replace("<", "")}</script>'
    assert isinstance(PLATFORMS["tiktok"].video_page(text, "", author_key="k"), (Failure, VideoPage))
