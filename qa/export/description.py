"""What is said of a release as a whole; its clips are in clips.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Description:
    """What a release is, apart from its clips. `facts` are numbers for the card (people, agreement, table version …)."""

    variant: str
    title: str
    seed: int
    media: str = "link"
    formats: tuple[str, ...] = ()
    short: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def with_media(self) -> bool:
        """Whether the clips lie in the folder."""
        return self.media in ("link", "copy")
