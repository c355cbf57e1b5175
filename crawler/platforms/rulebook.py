"""Reads pages by rules that are data: one JSON file per platform, page kind and version (docs/add-a-platform.md).

A path is written "a > b > * > 0": keys, list positions, * for every child, ~regex for every key that matches.
Apollo references ({"type": "id"} and {"__ref"}) and nested blobs ({"type": "json"}) are followed on the way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree
from lxml import html as lxml_html

from crawler.platforms import decoding
from crawler.platforms.outcomes import Failure, Outcome
from crawler.rules import robots

FOLDER = Path(__file__).parent / "rules"
LISTS = ("trending", "tag", "search", "user")
KINDS = (*LISTS, "video")
MAX_REFERENCES = 20


@dataclass(frozen=True)
class Rule:
    """One rule file: how one layout of one kind of page is read."""

    platform: str
    kind: str
    version: str
    data: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.platform}/{self.kind}.{self.version}"

    @property
    def reads_calls(self) -> bool:
        """Whether it reads replies to calls of a page's own script, not pages."""
        return any("body" in place for place in self.data["locate"])

    @property
    def call_patterns(self) -> list[str]:
        return self.data.get("url_patterns", []) if self.reads_calls else []

    @property
    def page_patterns(self) -> list[str]:
        return [] if self.reads_calls else self.data.get("url_patterns", [])


@dataclass(frozen=True)
class Document:
    """A page's embedded JSON as one rule found it: where references are looked up, the root with its codes, the record itself."""

    rule: Rule
    whole: Any
    root: Any
    item: Any


@cache
def platform_facts(platform: str) -> dict[str, Any]:
    """Hosts, address templates, id pattern, walls, personal keys: what all page kinds of a platform share."""
    return json.loads((FOLDER / platform / "platform.json").read_text(encoding="utf-8"))


@cache
def rules_for(platform: str, kind: str) -> tuple[Rule, ...]:
    """The platform's rules for this kind of page, newest layout first. Raises LookupError when there are none."""
    found = []
    for path in (FOLDER / platform).glob(f"{kind}.*.json"):
        data = json.loads(path.read_text(encoding="utf-8"))
        found.append(Rule(platform, kind, data["version"], data))
    if not found:
        raise LookupError(f"no rule file {platform}/{kind}.*.json")
    return tuple(sorted(found, key=lambda rule: (rule.data["valid_from"], rule.version), reverse=True))


# --- paths ------------------------------------------------------------------------------------------------------


def walk(value: Any, path: str, store: Any = None) -> Iterator[Any]:
    """Every value the path leads to, in order; nothing when it leads nowhere. store: where references are looked up."""
    values = [follow(value, store)]
    for step in path.split(" > ") if path else []:
        values = [follow(child, store) for parent in values for child in children(parent, step)]
    yield from values


def children(parent: Any, step: str) -> list[Any]:
    if step == "*":
        return list(parent.values()) if isinstance(parent, dict) else flat(parent) if isinstance(parent, list) else []
    if isinstance(parent, list):
        return [parent[int(step)]] if step.isdigit() and int(step) < len(parent) else []
    if not isinstance(parent, dict):
        return []
    if step.startswith("~"):
        return [child for key, child in parent.items() if re.search(step[1:], key)]
    return [parent[step]] if step in parent else []


def flat(items: list[Any]) -> list[Any]:
    """The list without one level of nesting: some builds wrap each entry in a list of its own."""
    return [entry for item in items for entry in (item if isinstance(item, list) else [item])]


def follow(value: Any, store: Any) -> Any:
    for _ in range(MAX_REFERENCES):  # references may run in a circle
        if not isinstance(value, dict):
            return value
        if value.get("type") == "json" and "json" in value:
            return value["json"]
        key = value.get("__ref") or (value.get("id") if value.get("type") == "id" else None)
        if not isinstance(key, str) or not isinstance(store, dict) or key not in store:
            return value
        value = store[key]
    return None


def first(value: Any, paths: list[str], store: Any = None) -> Any:
    """The first value, not null and not empty, that any of the paths leads to; None when all lead nowhere."""
    for path in paths:
        for found in walk(value, path, store):
            if found not in (None, "", [], {}):
                return found
    return None


# --- locating ---------------------------------------------------------------------------------------------------


def tree_of(text: str) -> Any:
    """The parsed page, or None for an empty or unparsable one. Network access is off and huge trees are refused."""
    if not text.strip():
        return None
    # Removed: characters that no XML tree may hold.
    text = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]", "", text)
    parser = lxml_html.HTMLParser(encoding="utf-8", no_network=True, huge_tree=False)
    try:
        return lxml_html.fromstring(text.encode("utf-8"), parser=parser)
    except (etree.LxmlError, ValueError, AssertionError):
        return None


def documents(text: str, tree: Any, rules: tuple[Rule, ...]) -> Iterator[Document]:
    """What each rule can locate in the page, newest rule first."""
    for rule in rules:
        for locate in rule.data.get("locate", []):
            for embedded in embedded_texts(text, tree, locate):
                try:
                    whole = decoding.decode(embedded, locate["decode"])
                except ValueError:
                    continue
                store = first(whole, locate["store"]) if "store" in locate else whole
                for root in (root for path in locate["root_paths"] for root in walk(whole, path, store)):
                    if isinstance(root, (dict, list)):
                        items = [item for path in rule.data.get("item", [""]) for item in walk(root, path, store)]
                        yield from (Document(rule, store, root, item) for item in items or [None])


def embedded_texts(text: str, tree: Any, locate: dict[str, Any]) -> Iterator[str]:
    """The places of the page that a locate entry names: a script by id, an assignment to a variable, an XPath."""
    if "script_id" in locate and tree is not None:
        for script in tree.xpath("//script[@id=$id]", id=locate["script_id"]):
            if script.text:
                yield script.text
    if "var_name" in locate:
        for match in re.finditer(re.escape(locate["var_name"]) + r"\s*=\s*(?=[\[{])", text):
            try:
                yield decoding.json_at(text, match.end())
            except ValueError:
                continue
    if locate.get("body") and text.lstrip()[:1] in ("{", "["):
        yield text


# --- fields -----------------------------------------------------------------------------------------------------


def field(document: Document, spec: dict[str, Any]) -> Any:
    """One field, cast as its specification says: text, count, integer, seconds, moment or texts; None when absent."""
    cast, unit = spec.get("cast", "text"), spec.get("unit", "s")
    if cast == "texts":
        return texts(document, spec["paths"])
    value = first(document.item, spec["paths"], document.whole)
    if value is None:
        return None
    if cast == "count":
        return decoding.counter(value)
    if cast == "seconds":
        return decoding.seconds(value, unit)
    if cast == "moment":
        return decoding.moment(value, unit)
    if cast == "integer":
        return int(value) if re.fullmatch(r"\d{1,9}", str(value), re.ASCII) else None
    return value if isinstance(value, str) else str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def texts(document: Document, paths: list[str]) -> list[str]:
    found = [value for path in paths for value in walk(document.item, path, document.whole)]
    return list(dict.fromkeys(value for value in found if isinstance(value, str) and value))


def media_urls(document: Document, base: str) -> tuple[str, ...]:
    """The clip's addresses, preferred codecs first; rejected ones (watermarked, unplayable, page addresses) left out."""
    spec = document.rule.data.get("media", {})
    ranked: list[tuple[int, int, str]] = []
    for entry in (entry for path in spec.get("entries", []) for entry in walk(document.item, path, document.whole)):
        labels = " ".join(str(value) for path in spec["entry_labels"] for value in walk(entry, path))
        urls = [url for path in spec["entry_urls"] for url in walk(entry, path)]
        addresses = [url for url in urls if isinstance(url, str)]
        ranked += [(preference(f"{labels} {url}", spec), len(ranked) + n, url) for n, url in enumerate(addresses)]
    for path in spec.get("direct", []):
        urls = list(walk(document.item, path, document.whole))
        ranked += [(len(spec.get("prefer", [])), 10**6 + n, url) for n, url in enumerate(urls) if isinstance(url, str)]
    kept = [decoding.full_url(url, base) for rank, _, url in sorted(ranked) if rank >= 0 and not rejected(url, spec)]
    return tuple(dict.fromkeys(url for url in kept if url))


def preference(labels: str, spec: dict[str, Any]) -> int:
    """Place in the rule's order of preference, -1 for a rejected entry."""
    if rejected(labels, spec):
        return -1
    wishes = spec.get("prefer", [])
    return next((place for place, wish in enumerate(wishes) if re.search(wish, labels, re.IGNORECASE)), len(wishes))


def rejected(labels: str, spec: dict[str, Any]) -> bool:
    return any(re.search(pattern, labels, re.IGNORECASE) for pattern in spec.get("reject", []))


# --- failures ---------------------------------------------------------------------------------------------------


def error_in(document: Document) -> Failure | None:
    """The failure that the page's own record states: a status code, or a flag such as `isContentClassified`."""
    errors = document.rule.data.get("errors", {})
    for path, outcomes in errors.items():
        for value in walk(document.root, path, document.whole):
            name = outcomes.get(json.dumps(value) if isinstance(value, bool) else str(value))
            if name is None and isinstance(value, str) and value:
                name = next((out for text, out in outcomes.items() if text.startswith("~") and re.search(text[1:], value)), None)
            if name:
                return Failure(Outcome(name), f"{path} is {value}", document.rule.name)
    return None


def wall_in(text: str, tree: Any, platform: str) -> Failure | None:
    """The wall that stands where the page should be: captcha, login, challenge, region notice, missing post."""
    if not text.strip():
        return Failure(Outcome.BLOCKED, "the page is empty")
    for wall in platform_facts(platform)["walls"]:
        if "xpath" in wall and tree is not None and tree.xpath(wall["xpath"]):
            return Failure(Outcome(wall["outcome"]), wall["name"])
        if "text" in wall and re.search(wall["text"], text):
            return Failure(Outcome(wall["outcome"]), wall["name"])
    return None


def wishes_in(text: str) -> frozenset[str]:
    """What the page's meta elements ask of robots."""
    tree = tree_of(text)
    metas = [] if tree is None else tree.xpath("//meta[@name and @content]")
    return robots.wishes(meta.get("content") for meta in metas if meta.get("name").lower() in robots.NAMES)


def without_personal(value: Any, personal: frozenset[str]) -> Any:
    """The record without keys that describe a person, at any depth; every text is stripped as a title is, keys of what it strips too.

    personal: such keys as `plain_key` writes them, because one platform writes the same key in two dialects (secUid, sec_uid).
    """
    if isinstance(value, dict):
        kept = ((decoding.clean_title(key), child) for key, child in value.items() if plain_key(key) not in personal)
        return {key: without_personal(child, personal) for key, child in kept}
    if isinstance(value, list):
        return [without_personal(child, personal) for child in value]
    return decoding.clean_title(value) if isinstance(value, str) else value


def without_own_sound(item: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    """The record without the title of a sound that its author made, which bears their name: "original sound - Nick", in any language.

    spec: {record, title, flags, makers}: where the sound and its title are, what marks it as such, where its maker's names stand.
    """
    sound = item.get(spec["record"])
    if not isinstance(sound, dict) or not isinstance(sound.get(spec["title"]), str):
        return item
    names = [name for path in spec["makers"] for name in walk(item, path) if isinstance(name, str) and len(name.strip()) > 1]
    own = any(sound.get(flag) for flag in spec["flags"]) or any(name.strip() in sound[spec["title"]] for name in names)
    return {**item, spec["record"]: {key: value for key, value in sound.items() if key != spec["title"]}} if own else item


def plain_key(key: str) -> str:
    return key.replace("_", "").lower()
