"""What every platform's adapter does with the rules; a platform's own file adds only what rules cannot say."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote, unquote_plus

from crawler.platforms import decoding, rulebook
from crawler.platforms.outcomes import Failure, ListPage, Outcome, PostRef, TrendingWord, VideoPage
from crawler.platforms.rulebook import Document

COUNTS = ("likes", "comments", "shares", "plays", "saves")
CLOCK_TOLERANCE = timedelta(days=2)  # an id is given when the upload begins, the post is dated when it is published


class Adapter:
    """Text in; a VideoPage, a ListPage or a Failure out. Holds no state and asks nobody."""

    name = ""
    ids_hold_time = False

    def __init__(self) -> None:
        self.facts = rulebook.platform_facts(self.name)
        self.base: str = self.facts["base"]
        self.personal = frozenset(rulebook.plain_key(key) for key in self.facts["personal_keys"])

    # --- addresses ---

    def address(self, kind: str, subject: str = "") -> str:
        """Where a page of this kind is. Raises LookupError for a kind this platform has not."""
        if kind not in self.facts["addresses"]:
            raise LookupError(f"{self.name} has no address for {kind!r}")
        return self.facts["addresses"][kind].format(subject=quote(subject, safe=""))

    def other_addresses(self, post: str) -> list[str]:
        """Further pages that show the same post, for when the first one shows nothing."""
        return [address.format(subject=post) for address in self.facts.get("other_pages", [])]

    def post_id(self, url: str) -> str:
        """The post's id in an address, "" when it is no post's address."""
        for pattern in self.facts["post_patterns"]:
            match = re.search(pattern, url)
            if match:
                return match["id"]
        return ""

    def page_named(self, url: str) -> tuple[str, str]:
        """The kind of page that an address names, and its subject (a post's id, a user, a word); ("", "") for a short link."""
        if post := self.post_id(url):
            return "video", post
        for kind in rulebook.LISTS:
            for pattern in (pattern for rule in rulebook.rules_for(self.name, kind) for pattern in rule.page_patterns):
                if match := re.search(pattern, url):
                    return kind, unquote_plus(match.groupdict().get("subject") or "")
        return "", ""

    def allows(self, host: str) -> bool:
        """Whether this host belongs to the platform (pages and media)."""
        return any(host == suffix or host.endswith("." + suffix) for suffix in self.facts["hosts"])

    def media_headers(self, page_url: str) -> dict[str, str]:
        return {name: value.format(page=page_url, base=self.base) for name, value in self.facts["media_headers"].items()}

    # --- one post ---

    def video_page(self, text: str, url: str, *, author_key: str) -> VideoPage | Failure:
        """The post on this page. Only a missing id fails it; every other field tolerates absence."""
        tree = rulebook.tree_of(text)
        refusal: Failure | None = None
        for document in rulebook.documents(text, tree, rulebook.rules_for(self.name, "video")):
            error = self.refusal(document)
            page = error or self.page_from(document, url, author_key)
            if isinstance(page, VideoPage):
                return page
            refusal = refusal or page
        wall = rulebook.wall_in(text, tree, self.name)
        return refusal or wall or Failure(Outcome.RULE_FAILED, "no rule found the post's record in the page")

    def refusal(self, document: Document) -> Failure | None:
        """Why this record is no video of ours; adapters add what a code in the rules cannot say."""
        return rulebook.error_in(document)

    def page_from(self, document: Document, url: str, author_key: str) -> VideoPage | None:
        fields = document.rule.data["fields"]
        found = {name: rulebook.field(document, spec) for name, spec in fields.items()}
        post, expected = found.get("id") or "", self.post_id(url)
        if not re.fullmatch(self.facts["id_pattern"], post) or (expected and post != expected):
            return None
        title = decoding.clean_title(found.get("title"))
        return VideoPage(
            platform=self.name,
            platform_id=post,
            url=self.address("video", post),
            rule_version=document.rule.name,
            title=title,
            hashtags=self.hashtags(found.get("hashtags") or [], title),
            author_hash=decoding.keyed_hash(author_key, self.name, found.get("author") or ""),
            published_at=found.get("published_at"),
            duration_s=found.get("duration_s"),
            width=found.get("width"),
            height=found.get("height"),
            counts={name: found[name] for name in COUNTS if found.get(name) is not None},
            media=rulebook.media_urls(document, self.base),
            notes=self.notes(post, found),
            raw=self.raw(document),
        )

    def hashtags(self, listed: list[str], title: str) -> tuple[str, ...]:
        tags = [decoding.clean_title(tag).lstrip("#＃").strip() for tag in listed] + decoding.hashtags_in(title)
        return tuple(dict.fromkeys(tag[:100] for tag in tags if tag))[:50]

    def notes(self, post: str, found: dict[str, Any]) -> tuple[str, ...]:
        said, by_id = found.get("published_at"), decoding.id_time(post) if self.ids_hold_time else None
        if said and by_id and abs(said - by_id) > CLOCK_TOLERANCE:
            return (f"the id was given on {by_id:%Y-%m-%d}, the page says {said:%Y-%m-%d}",)
        return ()

    def raw(self, document: Document) -> dict[str, Any]:
        if not isinstance(document.item, dict):
            return {}
        spec = self.facts.get("own_sound")
        record = rulebook.without_own_sound(document.item, spec) if spec else document.item
        return rulebook.without_personal(record, self.personal)

    # --- a list of posts ---

    def list_page(self, text: str, url: str, kind: str) -> ListPage | Failure:
        """The posts and trending words that the page shows now, from its record and from what is drawn on it.

        A page with neither is a wall, an honest empty list (it says so), or a rule that failed; never silence.
        """
        tree = rulebook.tree_of(text)
        rules = rulebook.rules_for(self.name, kind)
        posts: dict[str, PostRef] = {}
        words: dict[str, TrendingWord] = {}
        matched: list[str] = []
        ended = False
        for document in rulebook.documents(text, tree, rules):
            error = rulebook.error_in(document)
            if error:
                return error
            matched.append(document.rule.name)
            ended = ended or self.says_end(document)
            self._collect(posts, self.listed_posts(document))
            self._collect(words, self.listed_words(document))
        for rule in rules:
            drawn_posts, drawn_words = self.drawn(tree, rule)
            if drawn_posts or drawn_words:
                matched.append(rule.name)
            self._collect(posts, drawn_posts)
            self._collect(words, drawn_words)
        ended = ended or any(tree is not None and tree.xpath(path) for rule in rules for path in rule.data["lists"].get("ends", []))
        if not posts and not words:
            wall = rulebook.wall_in(text, tree, self.name)
            if wall or not (ended or matched):
                return wall or Failure(Outcome.RULE_FAILED, "no rule found a list in the page")
        return ListPage(tuple(posts.values()), tuple(words.values()), ended, matched[0] if matched else "")

    @staticmethod
    def _collect(into: dict[str, Any], found: list[Any]) -> None:
        for item in found:
            into.setdefault(item.platform_id if isinstance(item, PostRef) else item.text, item)

    def listed_posts(self, document: Document) -> list[PostRef]:
        spec = document.rule.data["lists"].get("posts", {})
        refs = []
        for item in (item for path in spec.get("items", []) for item in rulebook.walk(document.item, path, document.whole)):
            post = str(rulebook.first(item, spec["id"], document.whole) or "") if not isinstance(item, str) else item
            title = rulebook.first(item, spec.get("title", []), document.whole) if isinstance(item, dict) else ""
            if re.fullmatch(self.facts["id_pattern"], post):  # advertisements too: their own pages name them, as when they are only drawn
                refs.append(self.ref(post, title))
        return refs

    def listed_words(self, document: Document) -> list[TrendingWord]:
        spec = document.rule.data["lists"].get("words", {})
        words = []
        for place, item in enumerate(item for path in spec.get("items", []) for item in rulebook.walk(document.item, path, document.whole)):
            pinned = rulebook.first(item, spec.get("skip_if", []), document.whole)
            text = decoding.clean_title(rulebook.first(item, spec["text"], document.whole)).strip("#＃ ")
            if text and not (pinned and str(pinned) in spec.get("skip_values", [])):
                heat = decoding.counter(rulebook.first(item, spec.get("heat", []), document.whole)) or 0
                words.append(TrendingWord(text[:100], place + 1, heat))
        return words

    def drawn(self, tree: Any, rule: rulebook.Rule) -> tuple[list[PostRef], list[TrendingWord]]:
        """What the rule's XPaths see on the drawn page."""
        spec = rule.data["lists"]
        if tree is None:
            return [], []
        skip = {node for path in spec.get("skip", []) for node in tree.xpath(path)}
        refs = []
        for link in (link for path in spec.get("links", []) for link in tree.xpath(path)):
            if skip and skip.intersection(link.iterancestors()):
                continue
            post = self.post_id(decoding.full_url(link.get("href") or "", self.base))
            if post:
                refs.append(self.ref(post, " ".join(link.xpath(".//img/@alt"))))
        for value in (value for path in spec.get("ids", []) for value in tree.xpath(path)):
            if re.fullmatch(self.facts["id_pattern"], str(value)):
                refs.append(self.ref(str(value), ""))
        names = [decoding.clean_title(str(name)).strip("#＃ ") for path in spec.get("word_texts", []) for name in tree.xpath(path)]
        return refs, [TrendingWord(name[:100], place + 1) for place, name in enumerate(names) if name]

    def ref(self, post: str, title: Any) -> PostRef:
        return PostRef(self.name, post, self.address("video", post), decoding.clean_title(title))

    @staticmethod
    def says_end(document: Document) -> bool:
        """Whether a list's record says that nothing comes after it."""
        spec = document.rule.data["lists"].get("more", {})
        values = (value for path in spec.get("paths", []) for value in rulebook.walk(document.root, path))
        return any((json.dumps(value) if isinstance(value, bool) else str(value)) in spec["end_values"] for value in values)

    def lists_in(self, url: str, kind: str) -> bool:
        """Whether a call of the page's own script, by its address, brings a part of this kind of list."""
        return any(re.search(pattern, url) for rule in rulebook.rules_for(self.name, kind) for pattern in rule.call_patterns)

    def is_advertisement(self, item: Any) -> bool:
        return isinstance(item, dict) and any(item.get(key) for key in self.facts.get("advertisement_keys", []))

    def clickable(self, kind: str) -> dict[str, str] | None:
        """How cards without an address are opened: {card, close} as XPaths; None when cards carry addresses."""
        return next((rule.data["lists"]["click"] for rule in rulebook.rules_for(self.name, kind) if "click" in rule.data["lists"]), None)
