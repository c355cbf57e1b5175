"""Words in what the author wrote about the video."""

from __future__ import annotations

from crawler.models import Check, Video
from crawler.moderation.finding import Finding
from crawler.rules import lexicon


def text_lexicon(video: Video) -> Finding:
    """Listed words in the title and the hashtags, Chinese and English, also spaced, disguised or in pinyin."""
    return judged(lexicon.screen(video.title, tuple(video.hashtags)), "text")


def judged(hits: list[lexicon.Hit], where: str) -> Finding:
    if not hits:
        return Finding(Check.Verdict.PASS)
    categories = sorted({hit.category for hit in hits})
    return Finding(Check.Verdict.REVIEW, f"{where}: {', '.join(categories)}", {"hits": [[hit.category, hit.word] for hit in hits]})
