"""A server that is killed in the middle of the work loses no vote that it confirmed, and gives nothing twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import bench_annotate


@pytest.mark.slow
def test_no_confirmed_vote_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    environment = bench_annotate.site_environment(tmp_path, "")
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    assert os.environ["EMOTIONS_VAR"] != str(tmp_path)
    filled = bench_annotate.fill(environment, 400)
    survived = bench_annotate.survive(environment, filled["tokens"][:6], kills=2, seconds=2)
    assert survived["confirmed"] > 0
    after = bench_annotate.check(environment)
    assert (after["lost_votes"], after["duplicate_assignments"]) == (0, 0)
    assert after["votes"] >= survived["confirmed"]
