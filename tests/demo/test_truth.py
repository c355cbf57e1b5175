import pytest

from demo.replica.truth import Found, compare


def post(number: int, **changes):
    record = {
        "platform": "tiktok",
        "id": str(number),
        "url": f"https://www.tiktok.com/@a/video/{number}",
        "fault": "",
        "expected": "accepted",
        "depth": 1,
        "duplicate_of": "",
        "edit": "",
    }
    return {**record, **changes}


TRUTH = {
    "posts": [
        post(1),
        post(2, depth=2),
        post(3, depth=3),
        post(4, fault="private", expected="private"),
        post(5, fault="disallowed", expected="disallowed"),
        post(6, fault="too_short", expected="short"),
        post(7, fault="reupload_edit", expected="duplicate", duplicate_of="tiktok:1", edit="crop"),
    ]
}
PERFECT = {
    "1": ("accepted", ""),
    "2": ("accepted", ""),
    "4": ("failed", "private: statusCode is 10216"),
    "6": ("dropped", "too-short: 1.00 s, at least 2.46"),
    "7": ("dropped", "duplicate: of 1 (frame hashes)"),
}


def judged(**changes):
    rows = {**PERFECT, **changes}
    return compare([Found("tiktok", key, *row) for key, row in rows.items() if row], TRUTH)


def test_a_perfect_crawl_has_nothing_to_complain_about():
    result = judged()
    assert (result["recall"], result["reachable"], result["discovered"]) == (1.0, 5, 5)
    assert not any(result[name] for name in ("missed", "strangers", "leaked", "wrong", "copies"))
    assert result["faults"]["too_short"] == {"planted": 1, "expected": "short", "right": 1, "reported": {"short": 1}}


def test_what_was_not_found_is_named():
    result = judged(**{"2": None})
    assert (result["missed"], result["recall"]) == (["tiktok:2"], 0.8)
    assert [line["reported"] for line in result["wrong"]] == ["undiscovered"]


def test_a_private_or_disallowed_post_that_was_kept_is_a_leak():
    assert judged(**{"4": ("accepted", "")})["leaked"] == ["tiktok:4"]
    assert judged(**{"5": ("accepted", "")})["leaked"] == ["tiktok:5"]


def test_a_post_that_does_not_exist_is_a_stranger():
    assert judged(**{"99": ("accepted", "")})["strangers"] == ["tiktok:99"]


def test_a_fault_under_another_name_is_wrong():
    line = judged(**{"6": ("dropped", "corrupt: 1.00 of 3 s decode")})["wrong"][0]
    assert (line["fault"], line["expected"], line["reported"]) == ("too_short", "short", "dropped corrupt: 1.00 of 3 s decode")


def test_a_fault_is_right_when_the_posts_copy_was_kept_in_its_place():
    truth = {"posts": [post(1, fault="empty_200"), post(2, fault="reupload_exact", expected="duplicate", duplicate_of="tiktok:1")]}
    result = compare([Found("tiktok", "1", "dropped", "duplicate: of 2 (same file)"), Found("tiktok", "2", "accepted")], truth)
    assert [fault["right"] for fault in result["faults"].values()] == [1, 1]
    assert not result["copies"]


@pytest.mark.parametrize(
    ("original", "copy", "fine"),
    [
        (("accepted", ""), ("dropped", "duplicate: of 1 (same file)"), True),
        (("dropped", "duplicate: of 2 (same file)"), ("accepted", ""), True),
        (("accepted", ""), ("review", "duplicate?: 1 (alike in part)"), True),
        (("accepted", ""), ("accepted", ""), False),
        (("dropped", "duplicate: of 2"), ("dropped", "duplicate: of 1"), False),
        (("accepted", ""), ("failed", "gone: 404"), False),
    ],
)
def test_of_one_clips_uploads_exactly_one_is_kept(original, copy, fine):
    assert (judged(**{"1": original, "7": copy})["copies"] == []) == fine
