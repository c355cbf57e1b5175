"""The stock of stored clips that a new one is compared with, and the closer look that lays one clip's pictures over another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from crawler.rules import duplicates

RATIO = 0.8  # Lowe's test: the best match must be clearly better than the second
MIN_POINTS = 8
REPROJECTION = 2.5  # pixels of the small pictures
PAIRS_LOOKED_AT = 5  # pairs of frames with most matches
OVERLAP_LEAST = 0.12  # of the stored picture
SIGNS = 128  # bits of a local feature: each of its values above or below their median
SIGN_NEAR = 30
SIGN_CLEAR = 1.12  # how much farther the nearest feature of any other clip must be
VOTES_LEAST = 8
VOTED = 4  # clips with most votes that get a closer look
FEATURE_NAMES = ("points", "descriptors", "frames", "times", "pictures")
Features = dict[str, np.ndarray]


class Stock:
    """Frame hashes and local features of all clips in two binary indexes (faiss)."""

    def __init__(self) -> None:
        import faiss

        self.index: Any = faiss.IndexBinaryFlat(duplicates.BITS)
        self.owners: list[np.ndarray] = []
        self.signs: Any = faiss.IndexBinaryFlat(SIGNS)
        self.sign_owners: list[np.ndarray] = []
        self.hashes: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.hashes)

    def add(self, clip: int, hashes: np.ndarray, times: np.ndarray, features: Features | None = None) -> None:
        self.hashes[clip] = (hashes, times)
        if len(hashes):
            self.index.add(np.ascontiguousarray(hashes))
            self.owners.append(np.full(len(hashes), clip, np.int64))
        if features is not None and len(features["descriptors"]):
            self.signs.add(signs(features["descriptors"]))
            self.sign_owners.append(np.full(len(features["descriptors"]), clip, np.int64))

    def candidates(self, hashes: np.ndarray, features: Features | None = None) -> list[int]:
        """Clips worth comparing: those with a close frame in any orientation, then those that share most local features."""
        close, voted = self._close(hashes), self._voted(features)
        return list(dict.fromkeys(close + voted))[: duplicates.CLOSER_LOOKS]

    def _close(self, hashes: np.ndarray) -> list[int]:
        if not len(hashes) or not self.index.ntotal:
            return []
        # Every second frame asks: two per second find what four per second hold.
        queries = duplicates.orientations(hashes[::2]).reshape(-1, 32)
        found, places = self.index.search(np.ascontiguousarray(queries), min(8, self.index.ntotal))
        owners = self._joined("owners")[places]
        near = found <= duplicates.LOOSE
        nearest: dict[int, int] = {}
        for owner, distance in zip(owners[near].tolist(), found[near].tolist(), strict=True):
            nearest[owner] = min(distance, nearest.get(owner, duplicates.BITS))
        return sorted(nearest, key=lambda clip: (nearest[clip], clip))

    def _voted(self, features: Features | None) -> list[int]:
        """Clips by how many of the new one's local features have their clear nearest there, mirrored ones too."""
        if features is None or not len(features["descriptors"]) or not self.signs.ntotal:
            return []
        votes: dict[int, int] = {}
        owners = self._joined("sign_owners")
        for descriptors in (features["descriptors"], mirror(features["descriptors"])):
            found, places = self.signs.search(signs(descriptors), min(6, self.signs.ntotal))
            owned = owners[places]
            other = np.where(owned != owned[:, :1], found, SIGNS).min(axis=1)  # the nearest of any other clip
            clear = (found[:, 0] <= SIGN_NEAR) & (other >= found[:, 0] * SIGN_CLEAR)
            for clip, count in zip(*np.unique(owned[clear, 0], return_counts=True), strict=True):
                votes[int(clip)] = max(int(count), votes.get(int(clip), 0))
        ranked = sorted((clip for clip in votes if votes[clip] >= VOTES_LEAST), key=lambda clip: (-votes[clip], clip))
        return ranked[:VOTED]

    def _joined(self, name: str) -> np.ndarray:
        parts = getattr(self, name)
        if len(parts) > 1:
            parts[:] = [np.concatenate(parts)]
        return parts[0]


def signs(descriptors: np.ndarray) -> np.ndarray:
    """(N, 16) uint8: each SIFT value above or below its descriptor's median."""
    return np.packbits(descriptors > np.median(descriptors, axis=1, keepdims=True), axis=1)


def load_features(path: Path) -> Features | None:
    """Local features and small pictures as examine stored them; None when the file is missing or spoilt."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in FEATURE_NAMES}
    except (OSError, ValueError, KeyError):
        return None


def same_scene(left: Features, right: Features) -> tuple[int, list[float]]:
    """(most points that one transformation explains, how well each looked-at pair of pictures then agrees, best first).

    Also tried with the left clip mirrored. Agreement is the correlation of the overlapping parts, 1 for the same picture.
    """
    tried = [_overlay(left, right), _overlay(mirrored(left), right)]
    return max(tried, key=lambda found: (sum(sorted(found[1], reverse=True)[:2]), found[0]))


def _overlay(left: Features, right: Features) -> tuple[int, list[float]]:
    import cv2

    most, agreements = 0, []
    for mine, yours, pairs in _matches(left, right)[:PAIRS_LOOKED_AT]:
        if len(pairs) < MIN_POINTS:
            break
        source, target = left["points"][pairs[:, 0]], right["points"][pairs[:, 1]]
        turn, mask = cv2.estimateAffinePartial2D(source, target, method=cv2.RANSAC, ransacReprojThreshold=REPROJECTION)
        inliers = int(mask.sum()) if mask is not None else 0
        most = max(most, inliers)
        if turn is not None and inliers >= MIN_POINTS:
            agreements.append(_agreement(left["pictures"][mine], right["pictures"][yours], turn))
    return most, sorted(agreements, reverse=True)


def _agreement(left: np.ndarray, right: np.ndarray, turn: np.ndarray) -> float:
    """Correlation of the two pictures where they overlap after the turn; 0 when they hardly do."""
    import cv2

    size = right.shape[1], right.shape[0]
    cover = cv2.warpAffine(np.full(left.shape, 255, np.uint8), turn, size) > 250
    if cover.mean() < OVERLAP_LEAST:
        return 0.0
    laid = cv2.GaussianBlur(cv2.warpAffine(left, turn, size), (5, 5), 0)[cover].astype(np.float64)
    under = cv2.GaussianBlur(right, (5, 5), 0)[cover].astype(np.float64)
    if laid.std() < 3 or under.std() < 3:
        return 0.0
    return round(float(np.corrcoef(laid, under)[0, 1]), 3)


def _matches(left: Features, right: Features) -> list[tuple[int, int, np.ndarray]]:
    """(left frame, right frame, index pairs) of descriptors whose nearest is clearly nearer than the second of the same frame."""
    mine, yours = left["descriptors"].astype(np.float32), right["descriptors"].astype(np.float32)
    squares = (mine**2).sum(axis=1)[:, None] + (yours**2).sum(axis=1)[None, :] - 2 * mine @ yours.T
    pairs = []
    for frame in np.unique(right["frames"]):
        columns = np.flatnonzero(right["frames"] == frame)
        if len(columns) < 2:
            continue
        block = squares[:, columns]
        two = np.partition(block, 1, axis=1)[:, :2]
        nearest = columns[block.argmin(axis=1)]
        clear = two[:, 0] < RATIO**2 * two[:, 1]
        for other in np.unique(left["frames"]):
            rows = np.flatnonzero(clear & (left["frames"] == other))
            pairs.append((int(other), int(frame), np.stack([rows, nearest[rows]], axis=1)))
    return sorted(pairs, key=lambda found: len(found[2]), reverse=True)


def mirrored(features: Features) -> Features:
    """The features of the mirrored clip."""
    width = features["pictures"].shape[2]
    points = features["points"] * np.array([-1, 1], np.float32) + np.array([width, 0], np.float32)
    return {
        **features,
        "points": points,
        "descriptors": mirror(features["descriptors"]),
        "pictures": features["pictures"][:, :, ::-1].copy(),
    }


def mirror(descriptors: np.ndarray) -> np.ndarray:
    """SIFT descriptors of the mirrored picture: its 4 × 4 cells change sides and its 8 directions turn round."""
    cells = descriptors.reshape(-1, 4, 4, 8)
    turned = cells[:, ::-1, :, :]
    return np.ascontiguousarray(turned[..., (8 - np.arange(8)) % 8].reshape(-1, 128))
