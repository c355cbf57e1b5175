"""Edited copies of clips, from FFmpeg to the verdict: the small form of ./run bench duplicates."""

import pytest

from benchmarks import bench_duplicates as bench


@pytest.mark.slow
def test_edited_copies_are_found_and_originals_are_told_apart(tmp_path, settings):
    settings.VAR_DIR = tmp_path / "var"
    found = bench.measure_small(tmp_path / "clips")
    assert found["copies"] == 3 * len(bench.EDITS)
    assert set(found["edits"]) == set(bench.EDITS)
    assert found["false_pairs"] == []
    assert found["precision"] >= 0.99, found["missed"]
    assert found["recall"] >= 0.97, found["missed"]


def test_the_clips_that_set_thresholds_are_not_those_measured(tmp_path):
    clips = [tmp_path / f"{n}.mp4" for n in range(9)]
    asked = bench.measured(clips)
    assert len(asked) == 4
    assert all(clip not in asked for clip in clips[::2])
