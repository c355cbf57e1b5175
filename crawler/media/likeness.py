"""The stock of stored clips that a new one is compared with, and the closer look at two of them by local features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from crawler.rules import duplicates

RATIO = 0.8  # Lowe's test: the best match must be clearly better than the second
MIN_POINTS = 8
REPROJECTION = 6.0
PAIRS_LOOKED_AT = 6  # pairs of frames with most matches


class Stock:
    """Frame hashes of all clips in one binary index (faiss); finds the clips that share a picture with a new one."""

    def __init__(self) -> None:
        import faiss

        self.index: Any = faiss.IndexBinaryFlat(duplicates.BITS)
        self.owners = np.zeros(0, np.int64)  # which clip each hash belongs to
        self.hashes: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.hashes)

    def add(self, clip: int, hashes: np.ndarray, times: np.ndarray) -> None:
        self.hashes[clip] = (hashes, times)
        if len(hashes):
            self.index.add(np.ascontiguousarray(hashes))
            self.owners = np.concatenate([self.owners, np.full(len(hashes), clip, np.int64)])

    def candidates(self, hashes: np.ndarray, *, count: int = duplicates.CLOSER_LOOKS) -> list[int]:
        """The clips whose nearest frame in any orientation is closest, at most `count`, closest first."""
        if not len(hashes) or not self.index.ntotal:
            return []
        # Every second frame asks: two per second find what four per second hold.
        queries = duplicates.orientations(hashes[::2]).reshape(-1, 32)
        found, places = self.index.search(np.ascontiguousarray(queries), min(8, self.index.ntotal))
        nearest: dict[int, int] = {}
        for distance, place in zip(found.ravel().tolist(), places.ravel().tolist(), strict=True):
            owner = int(self.owners[place])
            if distance <= duplicates.LOOSE and distance < nearest.get(owner, duplicates.BITS):
                nearest[owner] = distance
        return sorted(nearest, key=lambda clip: (nearest[clip], clip))[:count]


def load_features(path: Path) -> dict[str, np.ndarray] | None:
    """SIFT points, descriptors and their times as examine stored them; None when the file is missing or spoilt."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in ("points", "descriptors", "times")}
    except (OSError, ValueError, KeyError):
        return None


def same_scene(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> tuple[int, int]:
    """(inliers of the best pair of frames, pairs of frames with enough inliers), also against the mirrored left clip."""
    best = (0, 0)
    for mirrored in (False, True):
        best = max(best, _scenes(left, right, mirrored))
    return best


def _scenes(left: dict[str, np.ndarray], right: dict[str, np.ndarray], mirrored: bool) -> tuple[int, int]:
    import cv2

    descriptors = mirror(left["descriptors"]) if mirrored else left["descriptors"]
    if len(descriptors) < MIN_POINTS or len(right["descriptors"]) < MIN_POINTS:
        return 0, 0
    points = left["points"] * (np.array([-1, 1], np.float32) if mirrored else np.float32(1))
    pairs = sorted(_matches(descriptors, left["times"], right["descriptors"], right["times"]), key=len, reverse=True)
    inliers: list[int] = []
    for matched in pairs[:PAIRS_LOOKED_AT]:
        if len(matched) < MIN_POINTS:
            break
        source, target = points[matched[:, 0]], right["points"][matched[:, 1]]
        _, mask = cv2.estimateAffinePartial2D(source, target, method=cv2.RANSAC, ransacReprojThreshold=REPROJECTION)
        inliers.append(int(mask.sum()) if mask is not None else 0)
    return max(inliers, default=0), sum(count >= duplicates.INLIERS_DOUBT for count in inliers)


def _matches(left: np.ndarray, left_times: np.ndarray, right: np.ndarray, right_times: np.ndarray) -> list[np.ndarray]:
    """Per pair of frames, the (left, right) descriptors of which the nearest is clearly nearer than the second of the same frame."""
    mine, yours = left.astype(np.float32), right.astype(np.float32)
    squares = (mine**2).sum(axis=1)[:, None] + (yours**2).sum(axis=1)[None, :] - 2 * mine @ yours.T
    pairs = []
    for moment in np.unique(right_times):
        columns = np.flatnonzero(right_times == moment)
        if len(columns) < 2:
            continue
        block = squares[:, columns]
        order = np.argpartition(block, 1, axis=1)[:, :2]
        two = np.sort(np.take_along_axis(block, order, axis=1), axis=1)
        nearest = columns[block.argmin(axis=1)]
        clear = two[:, 0] < RATIO**2 * two[:, 1]
        for mine_at in np.unique(left_times):
            rows = np.flatnonzero(clear & (left_times == mine_at))
            pairs.append(np.stack([rows, nearest[rows]], axis=1))
    return pairs


def mirror(descriptors: np.ndarray) -> np.ndarray:
    """SIFT descriptors of the mirrored picture: its 4 × 4 cells change sides and its 8 directions turn round."""
    cells = descriptors.reshape(-1, 4, 4, 8)
    turned = cells[:, ::-1, :, :]
    return np.ascontiguousarray(turned[..., (8 - np.arange(8)) % 8].reshape(-1, 128))
