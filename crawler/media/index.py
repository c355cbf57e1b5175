"""Search among millions of short binary codes: locality-sensitive hashing on stretches of bits, exact distances among what it finds.

A code is entered in several tables, each sorted by sixteen of its bits; whoever shares one of these stretches with a question is compared
with it. Codes near the question share one with high probability (at 50 of 256 differing bits and sixteen tables 0.4 for one
frame of a clip, and a clip has many). Tables are kept in segments that double in size, so that a code can be added at any time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KEY_BITS = 16
CROWD = 300  # codes that share a stretch; beyond, the stretch is a plain picture's or a straight edge's and says nothing


@dataclass
class Segment:
    """codes (n, words) uint64, owners (n,) int32; per table the keys in order (tables, n) and whose they are (tables, n)."""

    codes: np.ndarray
    owners: np.ndarray
    keys: np.ndarray
    places: np.ndarray


class BitIndex:
    """Codes of one length, each owned by a clip."""

    def __init__(self, bits: int, tables: int, *, seed: int = 0) -> None:
        if bits % 64 or tables * KEY_BITS > bits:
            raise ValueError(f"{tables} tables of {KEY_BITS} bits do not fit into codes of {bits} bits, a multiple of 64")
        self.bits, self.tables = bits, tables
        # Neighbouring bits say nearly the same; a fixed shuffle gives each table bits from everywhere.
        self.order = np.random.default_rng(seed).permutation(bits)[: tables * KEY_BITS]
        self.segments: list[Segment] = []

    def __len__(self) -> int:
        return sum(len(segment.owners) for segment in self.segments)

    @property
    def num_bytes(self) -> int:
        return sum(array.nbytes for segment in self.segments for array in vars(segment).values())

    def add(self, codes: np.ndarray, owners: np.ndarray) -> None:
        """codes (n, bits / 8) uint8, owners (n,) clip ids."""
        if not len(codes):
            return
        self.segments.append(self._sorted(np.ascontiguousarray(codes).view(np.uint64), owners.astype(np.int32)))
        while len(self.segments) > 1 and len(self.segments[-2].owners) <= 2 * len(self.segments[-1].owners):
            last, before = self.segments.pop(), self.segments.pop()
            codes, owners = np.concatenate([before.codes, last.codes]), np.concatenate([before.owners, last.owners])
            self.segments.append(self._sorted(codes, owners))

    def remove(self, owners: set[int]) -> None:
        """Leaves nothing of these owners."""
        codes, whose = self.entries()
        stay = ~np.isin(whose, list(owners))
        self.segments = []
        self.add(codes[stay], whose[stay])

    def entries(self) -> tuple[np.ndarray, np.ndarray]:
        """(codes (n, bits / 8) uint8, owners (n,)): all that was added."""
        codes = [segment.codes for segment in self.segments] or [np.zeros((0, self.bits // 64), np.uint64)]
        owners = [segment.owners for segment in self.segments] or [np.zeros(0, np.int32)]
        return np.concatenate(codes).view(np.uint8), np.concatenate(owners)

    def near(self, questions: np.ndarray, within: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(question, owner, distance) of the codes found at most `within` bits from a question (m, bits / 8); some pairs more than once."""
        asked = np.ascontiguousarray(questions).view(np.uint64)
        keys = self._keys(asked)
        found = [self._near(segment, asked, keys, within) for segment in self.segments if len(asked)]
        if not found:
            return np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64)
        rows, owners, distances = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return rows, owners, distances

    def _near(self, segment: Segment, asked: np.ndarray, keys: np.ndarray, within: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows, places = [], []
        for table in range(self.tables):
            low = np.searchsorted(segment.keys[table], keys[table], "left")
            count = np.searchsorted(segment.keys[table], keys[table], "right") - low
            count[count > CROWD] = 0
            total = int(count.sum())
            if total:
                steps = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
                rows.append(np.repeat(np.arange(len(asked), dtype=np.int32), count))
                places.append(segment.places[table][np.repeat(low, count) + steps])
        if not rows:
            return np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64)
        row, place = np.concatenate(rows), np.concatenate(places)
        # Whole rows at once: each code is one visit to memory, which is what a search of millions waits for.
        differing = np.bitwise_count(np.take(segment.codes, place, axis=0) ^ np.take(asked, row, axis=0))
        apart = differing[:, 0].astype(np.int64)
        for word in range(1, self.bits // 64):
            apart += differing[:, word]
        close = apart <= within
        return row[close], segment.owners[place[close]], apart[close]

    def _sorted(self, codes: np.ndarray, owners: np.ndarray) -> Segment:
        keys = self._keys(codes)
        places = np.argsort(keys, axis=1, kind="stable").astype(np.uint32)
        return Segment(codes, owners, np.take_along_axis(keys, places, axis=1), places)

    def _keys(self, codes: np.ndarray) -> np.ndarray:
        """(tables, n) uint16: the stretches of each code, a slice of codes at a time, because bits take eight times the room."""
        keys = np.empty((self.tables, len(codes)), np.uint16)
        for start in range(0, len(codes), 1 << 16):
            some = slice(start, start + (1 << 16))
            bits = np.unpackbits(codes[some].view(np.uint8), axis=1)[:, self.order]
            keys[:, some] = np.packbits(np.ascontiguousarray(bits), axis=1).view(np.uint16).T
        return keys
