"""Every text of the pages exists in Simplified Chinese, and the compiled catalogue is the one that the source says."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

from django.utils.translation.template import templatize

from config.settings import BASE_DIR

FOLDER = BASE_DIR / "locale" / "zh_Hans" / "LC_MESSAGES"
APPS = ("config", "crawler", "annotation", "qa", "training")
CALLS = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy"}
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[-0-9.]*[sdf]")


def catalogue() -> dict[str, str]:
    with (FOLDER / "django.mo").open("rb") as file:
        entries = gettext.GNUTranslations(file)._catalog
    return {(key[0] if isinstance(key, tuple) else key): text for key, text in entries.items() if key}


def source_entries() -> dict[str, str]:
    """msgid (with its context) → text, of the .po file; one line each, as it is kept."""
    found = {}
    for block in (FOLDER / "django.po").read_text(encoding="utf-8").split("\n\n"):
        fields = {
            name: ast.literal_eval(text) for name, text in re.findall(r'^(msgctxt|msgid|msgstr(?:\[0\])?) (".*")$', block, re.MULTILINE)
        }
        if fields.get("msgid"):
            context = f"{fields['msgctxt']}\x04" if "msgctxt" in fields else ""
            found[context + fields["msgid"]] = fields.get("msgstr", fields.get("msgstr[0]", ""))
    return found


def texts_of_code(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in CALLS and node.args:
            if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
                yield node.args[0].value


def texts_of_template(source: str) -> Iterator[str]:
    for call in re.findall(r"(?<![np])(?:n?gettext)\(u?(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")", templatize(source)):
        yield ast.literal_eval(call.partition("(")[2])


def texts() -> dict[str, Path]:
    found = {}
    folders = [BASE_DIR / app for app in APPS] + [BASE_DIR / "templates"]
    for path in (path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".html")):
        read = texts_of_code if path.suffix == ".py" else texts_of_template
        found.update({text: path for text in read(path.read_text(encoding="utf-8")) if text.strip()})
    return found


def test_every_text_has_a_chinese_translation() -> None:
    known = catalogue()
    missing = {text: path.relative_to(BASE_DIR) for text, path in texts().items() if not known.get(text)}
    assert missing == {}, "run makemessages -l zh_Hans --no-location --no-wrap, translate, then compilemessages"


def test_the_compiled_catalogue_is_up_to_date() -> None:
    assert catalogue() == source_entries()


def test_translations_keep_their_placeholders() -> None:
    wrong = [text for text, zh in catalogue().items() if sorted(PLACEHOLDER.findall(text)) != sorted(PLACEHOLDER.findall(zh))]
    assert wrong == []
