"""What a clip may show that not everyone wants to see: the content flags, and which of the cleaning's checks mean them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FLAGS = ("nsfw", "violence", "gore", "self-harm", "hate", "drugs", "text")
OF_CHECK = {"image-nsfw": "nsfw", "violence": "violence"}
OF_WORDS = {"sexual": "nsfw", "violence": "violence", "hate": "hate", "self-harm": "self-harm", "drugs": "drugs"}


def content_flags(check: str, evidence: Mapping[str, Any]) -> list[str]:
    """The flags that a doubtful check stands for. A doubt that is not about content (a likely duplicate, say) has none."""
    if check == "text-lexicon":
        categories = [hit[0] for hit in evidence.get("hits", []) if hit]
        return list(dict.fromkeys(OF_WORDS.get(category, "text") for category in categories)) or ["text"]
    return [OF_CHECK[check]] if check in OF_CHECK else []
