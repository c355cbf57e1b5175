"""What a crawler found, beside what there was to find: recall, what it should not have taken, and every planted fault by name."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The causes that a crawler writes before the colon of its reason, in the words of truth.json.
CAUSES = {
    "too-short": {"short"},
    "too-long": {"long"},
    "not-video": {"not_video"},
    "flagged": {"review"},
    "duplicate?": {"duplicate"},
    "robots": {"disallowed"},
    "html-body": {"refused"},
    "redirect-loop": {"refused"},
    "off-site-redirect": {"refused"},
    "guard": {"refused"},
    "captcha": {"blocked"},
    "challenge": {"blocked"},
}
FORBIDDEN = {"private", "disallowed", "gone", "region", "login"}
# A wall that a real browser passes by itself is no failure when it was passed.
ALSO_RIGHT = {"challenge": {"accepted", "duplicate"}, "disallowed": {"undiscovered"}}


@dataclass(frozen=True)
class Found:
    """One post as a crawler left it. state: accepted, review, dropped, failed, or any state on the way; reason: cause[: detail]."""

    platform: str
    id: str
    state: str
    reason: str = ""

    @property
    def key(self) -> str:
        return f"{self.platform}:{self.id}"

    @property
    def outcomes(self) -> set[str]:
        """What happened, in truth.json's words."""
        cause = self.reason.split(":", 1)[0].strip()
        if self.state == "accepted":
            return {"accepted"}
        if self.state == "review" and cause != "duplicate?":
            return {"review"}
        return CAUSES.get(cause, {cause or self.state})


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def compare(found: Iterable[Found], truth: dict[str, Any], *, stages: int = 2) -> dict[str, Any]:
    """The comparison as plain values.

    recall: share of the posts that `stages` rounds of terms lead to (those that robots.txt closes do not count) of which the crawler knows.
    leaked: forbidden posts that were accepted. strangers: posts that do not exist. wrong: posts whose outcome is not the expected one.
    copies: re-uploads of one clip of which not exactly one was kept. faults: per planted fault, how many and what was reported.
    """
    rows = {row.key: row for row in found}
    posts = {f"{post['platform']}:{post['id']}": post for post in truth["posts"]}
    reachable = [key for key, post in posts.items() if 0 < post["depth"] <= stages and post["expected"] != "disallowed"]
    missed = [key for key in reachable if key not in rows]
    families = families_of(posts)
    copied = {key for family in families for key in family}
    return {
        "posts": len(posts),
        "reachable": len(reachable),
        "discovered": len(rows),
        "recall": (len(reachable) - len(missed)) / len(reachable) if reachable else 1.0,
        "missed": missed,
        "strangers": sorted(set(rows) - set(posts)),
        "leaked": [key for key, row in rows.items() if key in posts and posts[key]["expected"] in FORBIDDEN and row.state == "accepted"],
        "wrong": [
            verdict(key, posts[key], rows.get(key)) for key in reachable if key not in copied and not is_right(posts[key], rows.get(key))
        ],
        "copies": [line for family in families if (line := family_fault(family, posts, rows))],
        "faults": faults_of(posts, rows),
        "outcomes": dict(Counter(outcome for row in rows.values() for outcome in row.outcomes)),
    }


def is_right(post: dict[str, Any], row: Found | None) -> bool:
    outcomes = row.outcomes if row else {"undiscovered"}
    return bool(outcomes & ({post["expected"]} | ALSO_RIGHT.get(post["fault"], set())))


def verdict(key: str, post: dict[str, Any], row: Found | None) -> dict[str, str]:
    reported = f"{row.state} {row.reason}".strip() if row else "undiscovered"
    return {"post": key, "fault": post["fault"], "expected": post["expected"], "reported": reported, "url": post["url"]}


def families_of(posts: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Keys of posts that show the same clip, originals first."""
    families: dict[str, list[str]] = defaultdict(list)
    for key, post in posts.items():
        if post["duplicate_of"]:
            families[post["duplicate_of"]].append(key)
    return [[original, *copies] for original, copies in families.items()]


def family_fault(family: list[str], posts: dict[str, dict[str, Any]], rows: dict[str, Found]) -> dict[str, Any] | None:
    """What is wrong with one family: exactly one of those found is to be kept, the others named duplicates."""
    reported = {key: rows[key].outcomes if key in rows else {"undiscovered"} for key in family}
    kept = [key for key, outcomes in reported.items() if "accepted" in outcomes]
    others = [key for key, outcomes in reported.items() if key not in kept and not outcomes & {"duplicate", "undiscovered"}]
    if (len(kept) == 1 and not others) or all(outcomes == {"undiscovered"} for outcomes in reported.values()):
        return None
    return {
        "family": family,
        "kept": kept,
        "edits": [posts[key]["edit"] for key in family],
        "reported": {key: sorted(value) for key, value in reported.items()},
    }


def faults_of(posts: dict[str, dict[str, Any]], rows: dict[str, Found]) -> dict[str, dict[str, Any]]:
    faults: dict[str, dict[str, Any]] = {}
    copied = {key for family in families_of(posts) for key in family}
    for key, post in posts.items():
        if post["fault"]:
            entry = faults.setdefault(post["fault"], {"planted": 0, "expected": post["expected"], "right": 0, "reported": Counter()})
            entry["planted"] += 1
            # Of one clip's uploads any may be the kept one; `copies` says whether exactly one was.
            either = key in copied and key in rows and bool(rows[key].outcomes & {"accepted", "duplicate"})
            entry["right"] += is_right(post, rows.get(key)) or either
            entry["reported"].update(rows[key].outcomes if key in rows else {"undiscovered"})
    return {name: {**entry, "reported": dict(entry["reported"])} for name, entry in faults.items()}
