"""The closer look at two clips: their frame hashes side by side, and one clip's pictures laid over the other's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from crawler.rules import duplicates

RATIO = 0.8  # Lowe's test: the best match must be clearly better than the second
MIN_POINTS = 8
REPROJECTION = 2.5  # pixels of the small pictures
PAIRS_LOOKED_AT = 5  # pairs of frames with most matches
OVERLAP_LEAST = 0.12  # of the stored picture
FEATURE_NAMES = ("points", "descriptors", "frames", "times", "pictures")
Features = dict[str, np.ndarray]


@dataclass(frozen=True)
class Look:
    """What is kept of a clip to compare it with others: frame hashes (N, 32), their moments (N,), local features."""

    hashes: np.ndarray
    times: np.ndarray
    features: Features | None = None
    sound: np.ndarray | None = None  # (M,) uint32


def compared(mine: Look, other: int, theirs: Look) -> duplicates.Likeness:
    """How the stored clip `other` resembles this one, by hashes and by local features; where that is doubtful, by its sound too."""
    hashes = duplicates.compare(mine.hashes, mine.times, theirs.hashes, theirs.times)
    inliers, agreements = same_scene(mine.features, theirs.features) if mine.features and theirs.features else (0, [])
    agreement = duplicates.second_best(agreements)
    seen = duplicates.Likeness(other, **hashes, inliers=inliers, agreement=agreement)
    if duplicates.judge(seen)[0] != duplicates.DOUBTFUL or mine.sound is None or theirs.sound is None:
        return seen
    return replace(seen, sound=duplicates.sound_alike(mine.sound, theirs.sound))


def load_features(path: Path) -> Features | None:
    """Local features and small pictures as examine stored them; None when the file is missing or spoilt."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            features = {name: stored[name] for name in FEATURE_NAMES}
            # Files of before 2026-11-22 do not say how strong their points are: then the first ones count.
            return {**features, "responses": stored["responses"] if "responses" in stored.files else np.zeros(len(features["frames"]))}
    except (OSError, ValueError, KeyError, BadZipFile):
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
