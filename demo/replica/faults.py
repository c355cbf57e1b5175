"""Everything that can go wrong on the replica, by name: what is planted, whom it strikes, and what a good crawler makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Where(Enum):
    POST = "post"  # the post itself is unfit: its file, its title, its state
    COPY = "copy"  # an extra post that shows an earlier clip again
    PAGE = "page"  # the page or its list answers badly, once
    MEDIA = "media"  # the media host answers badly
    LIST = "list"  # a list misbehaves for as long as one scrolls
    WALL = "wall"  # the visitor is stopped
    DEMAND = "demand"  # not planted: what every request must bring


@dataclass(frozen=True)
class Fault:
    name: str
    where: Where
    expected: str  # the outcome that the post should have; see OUTCOMES
    share: float = 0.0  # of the posts, at least one
    quick: bool = True  # part of the default set: costs a crawler no patience and stops no stage
    platforms: tuple[str, ...] = ("tiktok", "douyin", "kuaishou")


# What may become of a post.
OUTCOMES = (
    "accepted",
    "review",  # unsafe words: a person decides
    "duplicate",
    "corrupt",
    "short",
    "long",
    "not_video",  # a slideshow or an advertisement
    "gone",
    "private",
    "region",
    "login",
    "disallowed",  # robots.txt
    "refused",  # led off the platform, or round in circles, or to something that is no video
    "blocked",  # challenge, captcha, login wall
)

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        # the posts
        Fault("reupload_edit", Where.COPY, "duplicate", 0.05),
        Fault("reupload_exact", Where.COPY, "duplicate", 0.03),
        Fault("corrupt_bits", Where.COPY, "corrupt", 0.013),
        Fault("truncated", Where.COPY, "corrupt", 0.026),
        Fault("too_short", Where.COPY, "short", 0.013),
        Fault("too_long", Where.COPY, "long", 0.013),
        Fault("zero_seconds", Where.COPY, "short", 0.006, quick=False),
        Fault("slideshow", Where.COPY, "not_video", 0.026, platforms=("tiktok", "douyin")),
        Fault("ad", Where.COPY, "not_video", 0.02, platforms=("tiktok", "douyin")),
        Fault("private", Where.COPY, "private", 0.02),
        Fault("deleted", Where.COPY, "gone", 0.026),
        Fault("region", Where.COPY, "region", 0.013, platforms=("tiktok", "douyin")),
        Fault("age_wall", Where.COPY, "login", 0.013, platforms=("tiktok",)),
        Fault("disallowed", Where.COPY, "disallowed", 0.026),
        Fault("unsafe_title", Where.POST, "review", 0.026),
        Fault("trap_title", Where.POST, "accepted", 0.06),
        # pages
        Fault("empty_200", Where.PAGE, "accepted", 0.02),
        Fault("rate_limited", Where.PAGE, "accepted", 0.013),
        Fault("rate_limited_silent", Where.PAGE, "accepted", 0.013),
        Fault("no_detail", Where.PAGE, "accepted", 0.03, platforms=("douyin",)),
        # media
        Fault("expired_link", Where.MEDIA, "accepted", 0.03),
        Fault("dead_mirror", Where.MEDIA, "accepted", 0.04),
        Fault("length_mismatch", Where.MEDIA, "accepted", 0.02),
        Fault("cut_60", Where.MEDIA, "accepted", 0.03),
        Fault("no_range", Where.MEDIA, "accepted", 0.02),
        Fault("range_416", Where.MEDIA, "accepted", 0.013),
        Fault("wrong_type", Where.MEDIA, "accepted", 0.02),
        Fault("redirect_chain", Where.MEDIA, "accepted", 0.06),
        Fault("slow_drip", Where.MEDIA, "accepted", 0.01, quick=False),
        Fault("html_as_mp4", Where.COPY, "refused", 0.013),
        Fault("redirect_loop", Where.COPY, "refused", 0.013),
        Fault("offsite_redirect", Where.COPY, "refused", 0.013),
        # lists
        Fault("duplicate_page", Where.LIST, "accepted", quick=False),
        Fault("endless_list", Where.LIST, "accepted", quick=False),
        # walls
        Fault("challenge", Where.WALL, "blocked", 0.02, quick=False, platforms=("tiktok",)),
        Fault("captcha", Where.WALL, "blocked", quick=False),
        Fault("login_modal", Where.WALL, "blocked", quick=False),
        # what every visitor must bring; logged when it is missing
        Fault("user_agent_403", Where.DEMAND, ""),
        Fault("referer_403", Where.DEMAND, ""),
        Fault("cookie_403", Where.DEMAND, ""),
        Fault("unsigned_api", Where.DEMAND, ""),
        Fault("signature_403", Where.DEMAND, ""),
        Fault("expired_403", Where.DEMAND, ""),
        Fault("hurry_429", Where.DEMAND, ""),
    )
}
QUICK = frozenset(name for name, fault in FAULTS.items() if fault.quick)
ALL = frozenset(FAULTS)


def chosen(text: str) -> frozenset[str]:
    """The fault names that a command line asks for: "quick" (the default), "all", "none" (demands stay), or a list of names.

    "all" leaves out the walls that stop a whole stage (captcha, login_modal): ask for those by name.
    Raises ValueError for an unknown name.
    """
    demands = frozenset(name for name, fault in FAULTS.items() if fault.where is Where.DEMAND)
    if text in ("quick", ""):
        return QUICK
    if text == "all":
        return ALL - {"captcha", "login_modal"}
    if text == "none":
        return demands
    names = frozenset(part.strip() for part in text.split(",") if part.strip())
    if unknown := names - ALL:
        raise ValueError(f"unknown fault {', '.join(sorted(unknown))}; known: {', '.join(FAULTS)}")
    return names | demands
