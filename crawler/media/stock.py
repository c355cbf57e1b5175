"""The stock of stored clips that a new one is compared with: which of them are worth a closer look."""

from __future__ import annotations

import os
from pathlib import Path
from threading import RLock, get_ident
from typing import Any
from zipfile import BadZipFile

import numpy as np

from crawler.media.index import BitIndex
from crawler.media.likeness import Features, mirror
from crawler.rules import duplicates

FORMAT = 1  # of the file that a stock is kept in; another one is not read
HASH_TABLES, SIGN_TABLES = 10, 4
SIGNS = 128  # bits of a local feature: each of its values above or below their median
STRONGEST = 24  # local features of a picture that enter and ask
SIGN_NEAR = 30
SIGN_CLEAR = 1.12  # how much farther the nearest feature of any other clip must be
VOTES_LEAST = 4
VOTED = 6  # clips with most votes that get a closer look
ASKING = 8  # frames of a new clip that ask, each in eight orientations
HELD = 64  # frames of a stored clip that answer
STILL = 10  # bits; a frame this close to the one before adds nothing


class Stock:
    """Frame hashes and local features of all clips that entered, and the place of the last of them."""

    def __init__(self) -> None:
        self.hashes, self.signs = BitIndex(duplicates.BITS, HASH_TABLES), BitIndex(SIGNS, SIGN_TABLES)
        self.clips: set[int] = set()
        self.last = 0
        self.lock = RLock()  # a stage takes several videos at once, each in a thread of its own

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def num_bytes(self) -> int:
        return self.hashes.num_bytes + self.signs.num_bytes

    def add(self, clip: int, hashes: np.ndarray, features: Features | None = None, *, place: int = 0) -> None:
        """hashes (N, 32) in order of time. Harmless when the clip is there already."""
        held, described = spread(moving(hashes), HELD), signs(strongest(features))
        with self.lock:
            if clip not in self.clips:
                self.hashes.add(held, np.full(len(held), clip))
                self.signs.add(described, np.full(len(described), clip))
                self.clips.add(clip)
            self.last = max(self.last, place)

    def remove(self, clips: set[int]) -> None:
        """Leaves no trace of the clips, which were taken down."""
        with self.lock:
            for index in (self.hashes, self.signs):
                index.remove(clips)
            self.clips -= clips

    def candidates(self, hashes: np.ndarray, features: Features | None = None) -> list[int]:
        """Clips worth comparing: those that share most local features, then those with a close frame in any orientation."""
        with self.lock:
            return list(dict.fromkeys(self._voted(features) + self._close(hashes)))[: duplicates.CLOSER_LOOKS]

    def _close(self, hashes: np.ndarray) -> list[int]:
        questions = duplicates.orientations(spread(moving(hashes), ASKING)).reshape(-1, duplicates.BITS // 8)
        _, owners, distances = self.hashes.near(questions, duplicates.LOOSE)
        clips, which = np.unique(owners, return_inverse=True)
        nearest = np.full(len(clips), duplicates.BITS)
        np.minimum.at(nearest, which, distances)
        return [int(clip) for clip in clips[np.lexsort((clips, nearest))]]

    def _voted(self, features: Features | None) -> list[int]:
        """Clips by how many of the new one's local features have their clear nearest there, as it is or mirrored."""
        described = strongest(features)
        votes: dict[int, int] = {}
        for questions in (signs(described), signs(mirror(described))):
            for clip, count in zip(*np.unique(self._clear(questions), return_counts=True), strict=True):
                votes[int(clip)] = max(int(count), votes.get(int(clip), 0))
        ranked = sorted((clip for clip in votes if votes[clip] >= VOTES_LEAST), key=lambda clip: (-votes[clip], clip))
        return ranked[:VOTED]

    def _clear(self, questions: np.ndarray) -> np.ndarray:
        """The owner of each question's nearest feature, where every other clip's are clearly farther."""
        rows, owners, distances = self.signs.near(questions, int(SIGN_NEAR * SIGN_CLEAR) + 1)
        best, rival = np.full(len(questions), SIGNS), np.full(len(questions), SIGNS)
        np.minimum.at(best, rows, distances)
        owner = np.zeros(len(questions), np.int64)
        owner[rows[distances == best[rows]]] = owners[distances == best[rows]]
        others = owners != owner[rows]
        np.minimum.at(rival, rows[others], distances[others])
        return owner[(best <= SIGN_NEAR) & (rival >= best * SIGN_CLEAR)]

    # --- on disk ------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Writes all that cannot be computed again quickly; whoever reads meanwhile sees the old file or the new one."""
        with self.lock:
            (hashes, hash_owners), (described, sign_owners) = self.hashes.entries(), self.signs.entries()
            whole: dict[str, Any] = {"format": FORMAT, "last": self.last, "clips": np.array(sorted(self.clips), np.int64)}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.stem}.{os.getpid()}.{get_ident()}.tmp")
        with partial.open("wb") as file:
            np.savez(file, hashes=hashes, hash_owners=hash_owners, signs=described, sign_owners=sign_owners, **whole)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Stock:
        """The stock as it was saved; an empty one when there is no file, or one that is spoilt or of another format."""
        stock = cls()
        try:
            with np.load(path, allow_pickle=False) as stored:
                if int(stored["format"]) != FORMAT:
                    return stock
                stock.hashes.add(stored["hashes"], stored["hash_owners"])
                stock.signs.add(stored["signs"], stored["sign_owners"])
                stock.clips, stock.last = set(stored["clips"].tolist()), int(stored["last"])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return cls()
        return stock


def moving(hashes: np.ndarray) -> np.ndarray:
    """The hashes without those that repeat the one before."""
    if len(hashes) < 2:
        return hashes
    apart = np.bitwise_count(hashes[1:] ^ hashes[:-1]).sum(axis=1)
    return hashes[np.concatenate([[True], apart > STILL])]


def spread(hashes: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the hashes, evenly over the clip."""
    return hashes if len(hashes) <= most else hashes[np.linspace(0, len(hashes) - 1, most).round().astype(int)]


def strongest(features: Features | None) -> np.ndarray:
    """(n, 128) descriptors of each picture's strongest points."""
    if features is None or not len(features["descriptors"]):
        return np.zeros((0, SIGNS), np.uint8)
    # By picture, the strongest first; a point's rank is its distance from the first of its picture.
    order = np.lexsort((-features["responses"], features["frames"]))
    first = np.searchsorted(features["frames"][order], features["frames"][order], "left")
    return features["descriptors"][order[np.arange(len(order)) - first < STRONGEST]]


def signs(descriptors: np.ndarray) -> np.ndarray:
    """(N, 16) uint8: each SIFT value above or below its descriptor's median."""
    if not len(descriptors):
        return np.zeros((0, SIGNS // 8), np.uint8)
    return np.packbits(descriptors > np.median(descriptors, axis=1, keepdims=True), axis=1)
