"""When two clips are the same: frame hashes and their eight orientations, how matches must line up, and what is then decided.

Thresholds were set on 2026-11-22 on one half of the sample clips and are measured on the other (benchmarks/bench_duplicates.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

BITS = 256
QUALITY = 12  # frames plainer than this resemble too many others to say anything
NEAR = 60  # bits; a frame at this distance or closer counts as the same picture
LOOSE = 72  # bits; a clip with a frame this close is worth a closer look
SHARE_SAME = 0.8  # of the query's frames, near ones
SHARE_LONG, FRAMES_LONG, NEAR_LONG = 0.4, 8, 24  # or fewer, when many follow one another and one is all but the same
SHARE_SEEN, FRAMES_SEEN = 0.2, 5  # or fewer still, when the pictures agree too
SHARE_DOUBT = 0.3
# Few near frames are enough when they come at the same moments: re-timed copies show other frames of a fast scene.
NEAR_STEP, FRAMES_STEP, SPAN_STEP = 40, 4, 0.65  # bits; frames that keep one pace; of the shorter clip's length that they reach over
STEP_LEAST_S, STEP_SLACK_S = 3.0, 0.15
PACES = (0.5, 2.0)  # of an edited copy
STEP_LOOKED_AT = 24  # frames, the nearest ones
AGREE_SAME = 0.8  # correlation of two pictures laid over one another
AGREE_SURE = 0.95  # two excerpts of one film with the same still scene reached 0.945 with 32 points: they are for people to judge
AGREE_DOUBT = 0.5
INLIERS = 12  # local features that one transformation explains
INLIERS_SAME = 35
FRAMES_SAME = 2  # matches that must follow one another in both clips
CLOSER_LOOKS = 20
DOUBTFUL = 1  # judge's rank of a pair for people
SOUND_SAME = 0.8  # of the bits of two fingerprints laid over one another; unrelated sound agrees in half
SOUND_LEAST = 24  # words, three seconds, that must lie over one another
SOUND_SHARE = 0.6  # and so much of the shorter one
SOUND_PLAIN = 8  # different words; a hum or silence has fewer and resembles every other


@dataclass(frozen=True)
class Likeness:
    """How one stored clip resembles the new one."""

    other: int
    same_bytes: bool = False
    same_frames: bool = False
    share: float = 0.0  # of the new clip's frames that have a near frame there
    nearest: int = BITS
    in_order: int = 0  # near frames that follow one another in both
    in_step: float = 0.0  # of the shorter clip's length, over which near frames keep one pace
    inliers: int = 0  # local features that one transformation explains
    agreement: float = 0.0  # of the second-best pair of frames, laid over one another
    sound: float | None = None  # bits that agree; None where nothing can be compared


@dataclass(frozen=True)
class Same:
    other: int
    how: str
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Doubt:
    other: int
    how: str
    evidence: dict[str, Any] = field(default_factory=dict)


def decide(likenesses: list[Likeness]) -> Same | Doubt | None:
    """Same, Doubt (a person compares them side by side) or None, from the strongest evidence. Sound confirms a doubt to people and decides nothing."""
    judged = [(rank, likeness, how) for likeness in likenesses for rank, how in [judge(likeness)] if rank]
    if not judged:
        return None
    rank, best, how = max(judged, key=lambda item: (item[0], item[1].agreement, item[1].share, -item[1].other))
    evidence = {
        "share": round(best.share, 3),
        "nearest": best.nearest,
        "in_order": best.in_order,
        "in_step": round(best.in_step, 3),
        "inliers": best.inliers,
        "agreement": best.agreement,
        **({} if best.sound is None else {"sound": best.sound}),
    }
    return (Doubt if rank == DOUBTFUL else Same)(best.other, how, evidence)


def judge(likeness: Likeness) -> tuple[int, str]:
    """(4 same file … 2 same by looks, 1 doubtful, 0 different; how it was seen)."""
    if likeness.same_bytes:
        return 4, "same file"
    if likeness.same_frames:
        return 3, "same pictures in another file"
    if same_pictures(likeness):
        return 2, "same pictures, edited"
    if same_hashes(likeness):
        return 2, "frame hashes"
    if likeness.in_step >= SPAN_STEP:
        return 2, "the same frames at the same moments"
    confirmed = ", and the same sound" if (likeness.sound or 0.0) >= SOUND_SAME else ""
    if likeness.agreement >= AGREE_DOUBT and likeness.inliers >= INLIERS:
        return DOUBTFUL, f"alike in part{confirmed}"
    if likeness.share >= SHARE_DOUBT and likeness.in_order >= FRAMES_SAME:
        return DOUBTFUL, f"some frames alike{confirmed}"
    return 0, ""


def same_pictures(likeness: Likeness) -> bool:
    """Whether pictures laid over one another agree, and enough points, or frames in order, say that this is no still scene met twice."""
    if likeness.agreement >= AGREE_SURE and likeness.inliers >= INLIERS:
        return True
    in_order = likeness.share >= SHARE_SEEN and likeness.in_order >= FRAMES_SEEN
    return likeness.agreement >= AGREE_SAME and likeness.inliers >= (INLIERS if in_order else INLIERS_SAME)


def same_hashes(likeness: Likeness) -> bool:
    """Whether frames alone say so; an opening that two clips share is too short a part of either."""
    long = likeness.share >= SHARE_LONG and likeness.in_order >= FRAMES_LONG and likeness.nearest <= NEAR_LONG
    return long or (likeness.share >= SHARE_SAME and likeness.in_order >= FRAMES_SAME)


def sound_alike(left: np.ndarray, right: np.ndarray) -> float | None:
    """The share of bits that agree where two fingerprints, (N,) and (M,) uint32, agree best; None where one of them says nothing."""
    if min(len(np.unique(left)), len(np.unique(right))) < SOUND_PLAIN:
        return None
    least = max(SOUND_LEAST, int(SOUND_SHARE * min(len(left), len(right))))
    if min(len(left), len(right)) < least:
        return None
    best = 0.0
    for shift in range(least - len(left), len(right) - least + 1):
        mine, yours = left[max(0, -shift) :], right[max(0, shift) :]
        both = min(len(mine), len(yours))
        best = max(best, 1 - float(np.bitwise_count(mine[:both] ^ yours[:both]).mean()) / 32)
    return round(best, 3)


def orientations(hashes: np.ndarray) -> np.ndarray:
    """(8, N, 32): the hashes of all flips and quarter turns, from the bits alone.

    Mirroring a picture turns the sign of every second cosine term, so it turns those bits (the median is close to zero);
    transposing it transposes the 16 × 16 terms.
    """
    bits = np.unpackbits(hashes, axis=1).reshape(-1, 16, 16).astype(bool)
    # Terms are numbered from 1, so positions 0, 2, 4 … hold the odd ones, which a mirror turns.
    odd = np.arange(16) % 2 == 0
    variants = []
    for turned in (bits, bits.transpose(0, 2, 1)):
        for rows in (False, True):
            for columns in (False, True):
                mask = (odd[:, None] & rows) ^ (odd[None, :] & columns)
                variants.append(np.packbits((turned ^ mask).reshape(-1, BITS), axis=1))
    return np.stack(variants)


def distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Hamming distances (N, M) between hashes (N, 32) and (M, 32)."""
    return np.bitwise_count(left.view(np.uint64)[:, None, :] ^ right.view(np.uint64)[None, :, :]).sum(axis=2, dtype=np.int32)


def compare(query: np.ndarray, query_times: np.ndarray, stored: np.ndarray, stored_times: np.ndarray) -> dict[str, Any]:
    """share, nearest, in_order and in_step, as Likeness has them, of a query against one stored clip, its best orientation."""
    if not len(query) or not len(stored):
        return {}
    tables = [distances(variant, stored) for variant in orientations(query)]
    table = max(tables, key=lambda found: (np.mean(found.min(axis=1) <= NEAR), -found.min()))
    nearest, moments = table.min(axis=1), stored_times[table.argmin(axis=1)]
    sharp = np.sort(np.argsort(nearest, kind="stable")[: min(STEP_LOOKED_AT, int((nearest <= NEAR_STEP).sum()))])
    length_s = float(min(np.ptp(query_times), np.ptp(stored_times)))
    return {
        "share": float(np.mean(nearest <= NEAR)),
        "nearest": int(nearest.min()),
        "in_order": rising(moments[nearest <= NEAR]),
        "in_step": stepping(query_times[sharp], moments[sharp]) / length_s if length_s >= STEP_LEAST_S else 0.0,
    }


def stepping(here: np.ndarray, there: np.ndarray) -> float:
    """Seconds of `here` (N,), rising, that the moments `there` (N,) keep up with at one pace; 0 where fewer than FRAMES_STEP do."""
    first, second = np.triu_indices(len(here), 1)
    apart = here[second] - here[first] >= 1.0  # nearer ones say little of the pace
    first, second = first[apart], second[apart]
    pace = (there[second] - there[first]) / (here[second] - here[first])
    likely = (pace >= PACES[0]) & (pace <= PACES[1])
    first, pace = first[likely], pace[likely]
    off = np.abs(there - there[first, None] - pace[:, None] * (here - here[first, None]))
    on = off <= STEP_SLACK_S
    on = on[on.sum(axis=1) >= FRAMES_STEP]
    if not len(on):
        return 0.0
    return float((np.where(on, here, -np.inf).max(axis=1) - np.where(on, here, np.inf).min(axis=1)).max())


def rising(times: np.ndarray) -> int:
    """Length of the longest strictly rising run of moments that need not be neighbours."""
    tails: list[float] = []
    for time in times:
        place = int(np.searchsorted(tails, time))
        tails[place : place + 1] = [float(time)]
    return len(tails)


def second_best(agreements: list[float]) -> float:
    """One pair of pictures may agree by chance (a title card); two hardly. A clip of one picture has but one."""
    return agreements[1] if len(agreements) > 1 else 0.0


def better(first: tuple[int, float], second: tuple[int, float]) -> bool:
    """Whether the first copy, as (pixels, bits per second), is the one to keep: clearly larger, or as large and less squeezed."""
    if first[0] != second[0]:
        return first[0] > second[0] * 1.1
    return first[1] > second[1] * 1.25
