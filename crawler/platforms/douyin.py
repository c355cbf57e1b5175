"""Douyin: percent-encoded RENDER_DATA whose page key changes between builds, and the share page's _ROUTER_DATA."""

from __future__ import annotations

from crawler.platforms.adapter import Adapter
from crawler.platforms.outcomes import Failure, Outcome
from crawler.platforms.rulebook import Document, error_in

SLIDESHOW_TYPES = {2, 68, 150}


class Douyin(Adapter):
    name = "douyin"
    ids_hold_time = True

    def refusal(self, document: Document) -> Failure | None:
        """The stated code; else a slideshow (its play address is the music) or an advertisement."""
        item = document.item if isinstance(document.item, dict) else {}
        kind = item.get("aweme_type", item.get("awemeType"))
        if item.get("images") or kind in SLIDESHOW_TYPES:
            return Failure(Outcome.NOT_VIDEO, "slideshow", document.rule.name)
        if self.is_advertisement(item):
            return Failure(Outcome.NOT_VIDEO, "advertisement", document.rule.name)
        return error_in(document)
