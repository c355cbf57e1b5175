"""What can be asked of stages and videos; nothing is written here."""

from crawler.selectors.collection import funnel, hosts, rule_matches, stages_all, terms_blocked, terms_heaviest, visits_failed
from crawler.selectors.long_lists import KeyedPages, LongList, is_large, remembered
from crawler.selectors.review import (
    decision_last,
    decisions_latest,
    doubts,
    is_veiled,
    resembled,
    review_oldest,
    reviews_left,
    reviews_waiting,
    sound_of,
    standing,
    strip_of,
    video_after,
    videos_in_review,
)
from crawler.selectors.videos import clip_of, clip_url, copies_dropped, copy_kept, video_named, videos_ready

__all__ = [
    "KeyedPages",
    "LongList",
    "clip_of",
    "clip_url",
    "copies_dropped",
    "copy_kept",
    "decision_last",
    "decisions_latest",
    "doubts",
    "funnel",
    "hosts",
    "is_large",
    "is_veiled",
    "remembered",
    "resembled",
    "review_oldest",
    "reviews_left",
    "reviews_waiting",
    "rule_matches",
    "sound_of",
    "stages_all",
    "standing",
    "strip_of",
    "terms_blocked",
    "terms_heaviest",
    "video_after",
    "video_named",
    "videos_in_review",
    "videos_ready",
    "visits_failed",
]
