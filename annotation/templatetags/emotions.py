"""An emotion as it is shown everywhere: its swatch and its name in the reader's language."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from annotation.rules import taxonomy
from annotation.views.words import EMOTION_NAMES, note_told

register = template.Library()


@register.filter
def emotion(key: str) -> SafeString | str:
    """`Fear` as <span class="emotion emotion-Fear">恐惧</span>; anything that is no emotion as a dash."""
    if key not in EMOTION_NAMES:
        return "–"
    return format_html('<span class="emotion emotion-{}">{}</span>', key, EMOTION_NAMES[key])


@register.filter
def emotion_name(key: str) -> str:
    """The name alone, in the reader's language."""
    return str(EMOTION_NAMES.get(key, key))


@register.filter
def adjective_name(key: str) -> str:
    """An adjective in the reader's language; a dash for an imported vote that had only an emotion."""
    try:
        found = taxonomy.adjective(key)
    except ValueError:
        return "–"
    return found.zh_hans if (get_language() or "").startswith("zh") else found.en


@register.filter
def note(text: str | None) -> str:
    """A note, reason, rung or kind of flag in the reader's language, as far as the site itself wrote it."""
    return note_told(text or "")
