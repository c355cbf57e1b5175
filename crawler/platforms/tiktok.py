"""TikTok: three layouts of its page record (UNIVERSAL_DATA, SIGI_STATE, Next.js), addresses drawn as links."""

from __future__ import annotations

from crawler.platforms.adapter import Adapter
from crawler.platforms.outcomes import Failure, Outcome
from crawler.platforms.rulebook import Document, error_in


class TikTok(Adapter):
    name = "tiktok"
    ids_hold_time = True

    def refusal(self, document: Document) -> Failure | None:
        """The stated code; else a slideshow, an advertisement, or a classified post whose clip is withheld."""
        item = document.item if isinstance(document.item, dict) else {}
        if item.get("isContentClassified") and not item.get("video"):
            return Failure(Outcome.LOGIN, "age wall: classified content without its clip", document.rule.name)
        if item.get("imagePost"):
            return Failure(Outcome.NOT_VIDEO, "slideshow", document.rule.name)
        if self.is_advertisement(item):
            return Failure(Outcome.NOT_VIDEO, "advertisement", document.rule.name)
        return error_in(document)
