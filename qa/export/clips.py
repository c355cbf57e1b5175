"""One row of a release, and how it looks in each table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLASSES = ("Excitation", "Fear", "Neutral", "Relaxation", "Sadness", "Tension")
SPLITS = ("train", "test")


@dataclass(frozen=True, slots=True)
class Clip:
    """A labelled video as it is released. No name, address or author is among its fields (docs/responsible-use.md)."""

    file_name: str
    label: str
    split: str
    platform: str
    duration_s: float | None
    frames: int | None
    width: int | None
    height: int | None
    fps: float | None
    sha256: str
    size_bytes: int
    decided_by: str
    votes: tuple[str, ...]
    vote_rungs: tuple[str, ...]
    adjectives: tuple[str, ...]
    confidences: tuple[float | None, ...]
    posterior: tuple[float, ...]
    difficulty: float | None
    term: str
    stage: str
    source: Path
    media_key: str = ""  # s3://bucket/key, in a release whose clips stay in the bucket

    @property
    def name(self) -> str:
        """The eight digits that name the clip."""
        return Path(self.file_name).stem

    def fields(self) -> dict[str, Any]:
        """The row as metadata.jsonl has it; `file_name` first, as folder loaders want it."""
        return {
            "file_name": self.file_name,
            "label": self.label,
            "class_id": CLASSES.index(self.label),
            "platform": self.platform,
            "duration_s": self.duration_s,
            "frames": self.frames,
            "width": self.width,
            "height": self.height,
            "fps": self.fps,
            "decided_by": self.decided_by,
            "votes": list(self.votes),
            "vote_rungs": list(self.vote_rungs),
            "adjectives": list(self.adjectives),
            "confidences": list(self.confidences),
            "posterior": list(self.posterior),
            "difficulty": self.difficulty,
            "term": self.term,
            "stage": self.stage,
            "sha256": self.sha256,
            **({"media_key": self.media_key} if self.media_key else {}),
        }


#: What each column means; the card, the datasheet and croissant.json are written from it.
COLUMNS = {
    "file_name": "name of the clip: eight digits in the order of acceptance",
    "label": "emotion decided by the ladder of votes",
    "class_id": "0–5 in the order Excitation, Fear, Neutral, Relaxation, Sadness, Tension",
    "platform": "platform the clip is from",
    "duration_s": "length in seconds",
    "frames": "number of video frames",
    "width": "width in pixels",
    "height": "height in pixels",
    "fps": "frames per second",
    "decided_by": "rung of the ladder that decided: member, leader, exchange or expert",
    "votes": "emotions voted for, in the order of the ladder",
    "vote_rungs": "rung of each vote",
    "adjectives": "adjective chosen in each vote (its key in the adjective table; empty for imported votes)",
    "confidences": "stated confidence of each vote, 0–1",
    "posterior": "probability of each class by Dawid–Skene over all votes; a second opinion, the label is the vote's",
    "difficulty": "how hard GLAD finds the clip to label, 1/β: 0.37 before any vote, more is harder; a second opinion as well",
    "term": "search term that found the clip",
    "stage": "crawl stage that found the clip",
    "sha256": "sha256 of the clip",
}


def columns(media: str) -> dict[str, str]:
    """Those of a release whose clips come this way."""
    return COLUMNS | ({"media_key": "where the clip lies: s3://bucket/key"} if media == "s3" else {})
