"""A server and workers that are killed in the middle of the work lose no vote that was confirmed, and give nothing twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import bench_annotate


@pytest.mark.slow
def test_no_confirmed_vote_is_lost_when_the_server_and_the_workers_are_killed(tmp_path: Path) -> None:
    environment = bench_annotate.site_environment(tmp_path, "")
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    assert os.environ["EMOTIONS_VAR"] != str(tmp_path)
    filled = bench_annotate.fill(environment, 400)
    survived = bench_annotate.survive(environment, filled["tokens"][:6], kills=2, seconds=2)
    assert survived["confirmed"] > 0
    assert survived["tasks_begun_by_killed_workers"] > 0
    after = bench_annotate.check(environment)
    wrong = ("lost_votes", "duplicate_assignments", "videos_without_a_sample", "samples_without_three_seats")
    assert {name: after[name] for name in wrong} == dict.fromkeys(wrong, 0)
    assert after["votes"] >= survived["confirmed"]
