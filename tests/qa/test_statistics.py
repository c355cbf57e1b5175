import numpy as np
import pandas as pd
import pytest

from qa.rules import statistics as rule

EMOTIONS = ("Excitation", "Fear", "Neutral", "Relaxation", "Sadness", "Tension")
PAPER = (11739, 954, 8795, 2214, 2090, 2204)


def test_table_2_equals_pandas_and_its_videos_sum_to_the_papers():
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(6), PAPER)
    durations, frames = rng.uniform(2.46, 163.77, len(labels)), rng.integers(60, 5000, len(labels)).astype(float)
    rows = rule.emotion_rows(labels, durations, frames, emotions=EMOTIONS)
    reference = pd.DataFrame({"label": labels, "s": durations, "frames": frames}).groupby("label")
    for i, row in enumerate(rows[:-1]):
        seconds = reference["s"].get_group(i)
        assert (row.total_s, row.shortest_s, row.longest_s, row.average_s) == pytest.approx(
            (seconds.sum(), seconds.min(), seconds.max(), seconds.mean())
        )
        assert row.frames == reference["frames"].get_group(i).sum()
    assert [row.videos for row in rows] == [*PAPER, 27_996]


def test_unknown_durations_do_not_count_and_an_empty_emotion_has_none():
    rows = rule.emotion_rows(np.array([0, 0]), np.array([4.0, np.nan]), np.array([np.nan, 120.0]), emotions=EMOTIONS[:2])
    assert (rows[0].videos, rows[0].average_s, rows[0].frames) == (2, 4.0, 120)
    assert (rows[1].videos, rows[1].shortest_s) == (0, None)


def test_table_3_has_the_papers_shares():
    rows = rule.platform_rows(
        {"douyin": 15_977, "kuaishou": 10_000, "tiktok": 7_600}, {"douyin": 12_395, "kuaishou": 8_264, "tiktok": 7_337}
    )
    assert [(round(100 * row.raw_share, 2), round(100 * row.labelled_share, 2)) for row in rows[:3]] == [
        (47.58, 44.27),
        (29.78, 29.52),
        (22.63, 26.21),  # the paper prints 22.64 so that its shares sum to 100
    ]
    assert (rows[3].raw, rows[3].labelled) == (33_577, 27_996)


def test_an_empty_table_has_no_shares_to_divide():
    assert rule.platform_rows({}, {})[-1].raw_share == 0


def test_the_histogram_counts_each_video_once_and_tells_the_short_ones():
    found = rule.duration_histogram(np.array([3.0, 29.9, 30.0, 30.1, 163.77, np.nan]))
    assert sum(found.videos) == 5
    assert found.short_share == pytest.approx(3 / 5)
    assert found.edges_s[-1] == 170


def test_words_count_once_per_video_and_dull_ones_not():
    assert rule.word_counts([["Dance", "dance", "fyp"], ["dance", "Cat"], ["cat"]]) == [("cat", 2), ("dance", 2)]


def test_chinese_runs_are_kept_apart_for_the_segmenter():
    assert rule.words_of("Cat 跳舞视频 #dance2023") == (["Cat", "dance2023"], ["跳舞视频"])


def test_cross_table():
    assert rule.cross_table(["a", "a", "b"], ["x", "x", "y"]) == [("a", "x", 2), ("b", "y", 1)]
