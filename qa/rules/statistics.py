"""What the dataset looks like in numbers: Tab. II, Tab. III and Fig. 5 (Sec. III-F).

A statistic is one pure function on arrays; docs/add-a-statistic.md lists what else to touch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHORT_S = 30.0  # Fig. 5 (c): 72.81 % of the paper's videos last 0–30 s
BIN_S = 10.0


@dataclass(frozen=True)
class EmotionRow:
    """One row of Tab. II; seconds are None where no video has a known duration, frames where none are known."""

    emotion: str
    videos: int
    total_s: float
    shortest_s: float | None
    longest_s: float | None
    average_s: float | None
    frames: int


def emotion_rows(
    labels: NDArray[np.integer], durations_s: NDArray[np.float64], frames: NDArray[np.float64], *, emotions: Sequence[str]
) -> list[EmotionRow]:
    """Tab. II: a row per emotion and "Overall". labels: class ids; unknown durations and frames are NaN and do not count."""
    rows = [_row(name, durations_s[labels == i], frames[labels == i]) for i, name in enumerate(emotions)]
    return [*rows, _row("Overall", durations_s, frames)]


def _row(emotion: str, durations_s: NDArray[np.float64], frames: NDArray[np.float64]) -> EmotionRow:
    known = durations_s[~np.isnan(durations_s)]
    shortest, longest, average = (float(known.min()), float(known.max()), float(known.mean())) if known.size else (None, None, None)
    return EmotionRow(emotion, len(durations_s), float(known.sum()), shortest, longest, average, int(np.nansum(frames)))


@dataclass(frozen=True)
class PlatformRow:
    """One column pair of Tab. III: how many raw and labelled videos come from a platform, and their shares."""

    platform: str
    raw: int
    raw_share: float
    labelled: int
    labelled_share: float


def platform_rows(raw: Mapping[str, int], labelled: Mapping[str, int]) -> list[PlatformRow]:
    """Tab. III, with a last row "Sum"; shares are 0 where there is nothing yet."""
    all_raw, all_labelled = sum(raw.values()), sum(labelled.values())
    rows = [
        PlatformRow(
            name, raw.get(name, 0), _share(raw.get(name, 0), all_raw), labelled.get(name, 0), _share(labelled.get(name, 0), all_labelled)
        )
        for name in dict.fromkeys([*raw, *labelled])
    ]
    return [*rows, PlatformRow("Sum", all_raw, _share(all_raw, all_raw), all_labelled, _share(all_labelled, all_labelled))]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


@dataclass(frozen=True)
class DurationHistogram:
    """Fig. 5 (c): videos per bin; edges has one value more. `short_share`: the part of 30 s or less."""

    edges_s: list[float]
    videos: list[int]
    short_share: float


def duration_histogram(durations_s: NDArray[np.float64], *, bin_s: float = BIN_S) -> DurationHistogram:
    known = durations_s[~np.isnan(durations_s)]
    if not known.size:
        return DurationHistogram([0.0, bin_s], [0], 0.0)
    num_bins = max(1, int(np.ceil(known.max() / bin_s)))
    videos, edges = np.histogram(known, bins=num_bins, range=(0, num_bins * bin_s))
    return DurationHistogram(edges.tolist(), videos.tolist(), float((known <= SHORT_S).mean()))


def cross_table(rows: Sequence[str], columns: Sequence[str]) -> list[tuple[str, str, int]]:
    """How often each pair occurs, sorted; the long form that CSV and charts want."""
    return sorted((row, column, count) for (row, column), count in Counter(zip(rows, columns, strict=True)).items())


WORD = re.compile(r"[一-鿿]+|[^\W\d_][\w'’-]+", re.UNICODE)
CHINESE = re.compile(r"[一-鿿]")
DULL = frozenset(
    "the and for in of to on at is it me my we so be no if by do go up as an or he she am us get got just like can will one new day more with this that you your from are was not all but out how what when who why our has have had its his her they them #fyp fyp "
    "foryou foryoupage viral trending 我们 他们 你们 一个 这个 那个 什么 没有 就是 不是 可以 自己 这样 怎么 今天 视频 抖音 快手 热门 上热门".split()
)


def word_counts(texts: Iterable[Sequence[str]], *, limit: int = 80) -> list[tuple[str, int]]:
    """Fig. 5 (a): the most frequent words, each counted once per video; texts: the words of each video. Ties in alphabetical order."""
    counts = Counter(word for words in texts for word in {word.casefold() for word in words} if len(word) > 1 and word not in DULL)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit]


def words_of(text: str) -> tuple[list[str], list[str]]:
    """The text's words, and its runs of Chinese characters, which have no spaces and are cut by a segmenter."""
    found = WORD.findall(text)
    return [word for word in found if not CHINESE.match(word)], [run for run in found if CHINESE.match(run)]
