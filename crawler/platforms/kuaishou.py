"""Kuaishou: an Apollo cache in a script that removes itself, the mobile page's INIT_STATE, and cards without addresses."""

from __future__ import annotations

import re
from urllib.parse import unquote

from crawler.platforms.adapter import Adapter
from crawler.platforms.outcomes import Failure, Outcome, PostRef
from crawler.platforms.rulebook import Document, error_in, walk

SLIDESHOW_TYPES = {"VERTICAL_ATLAS", "HORIZONTAL_ATLAS", "SINGLE_PICTURE", "MULTI_IMAGE"}


class Kuaishou(Adapter):
    name = "kuaishou"

    def refusal(self, document: Document) -> Failure | None:
        item = document.item if isinstance(document.item, dict) else {}
        if item.get("photoType") in SLIDESHOW_TYPES or next(walk(item, "ext_params > atlas"), None):
            return Failure(Outcome.NOT_VIDEO, "slideshow", document.rule.name)
        if self.is_advertisement(item):
            return Failure(Outcome.NOT_VIDEO, "advertisement", document.rule.name)
        return error_in(document)

    def listed_posts(self, document: Document) -> list[PostRef]:
        """The rule's posts, and those that the trending board names only inside a poster's percent-encoded address."""
        posters = [value for value in walk(document.item, "items > * > poster", document.whole) if isinstance(value, str)]
        keys = [match[1] for poster in posters if (match := re.search(r"clientCacheKey=(\w+?)(?:_ccc)?(?:\.|&|$)", unquote(poster)))]
        return super().listed_posts(document) + [self.ref(key, "") for key in keys if re.fullmatch(self.facts["id_pattern"], key)]
