"""The production adapters against the whole replica: what there was to find, what should have been left, every fault by its name."""

import json
from pathlib import Path

import pytest

from crawler import services
from crawler.models import Video, Visit
from demo.clips import make_clips
from demo.replica.server import ReplicaServer
from demo.replica.truth import Found, compare, load

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]
CLIPS = 22  # half a minute of cleaning on two cores; every fault of the default set is planted all the same


@pytest.fixture
def replica(tmp_path, settings, media_root):
    make_clips(tmp_path / "clips", count=CLIPS, seed=9)
    with ReplicaServer(tmp_path / "clips", tmp_path / "state", seed=9, hurry_per_s=20, latency_s=0.05) as server:
        settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA = server.address, str(server.ca)
        settings.CRAWL_DELAY_S = 0.05
        yield server


def crawl(name: str) -> dict[str, int]:
    stage = services.stage_create(name=name, terms_per_platform=20, quiet_s=1.0, backoff_s=0.2)
    return services.stage_crawl(stage.pk, workers=2)


def judged(replica: ReplicaServer) -> dict:
    rows = Video.objects.values_list("platform", "platform_id", "state", "reason")
    return compare([Found(*row) for row in rows], load(replica.truth))


def requested(state: Path) -> list[dict]:
    return [json.loads(line) for line in (state / "planted.jsonl").read_text(encoding="utf-8").splitlines()]


def test_two_stages_find_and_name_everything_that_there_is(replica):
    crawl("one")
    first = judged(replica)
    crawl("two")
    result = judged(replica)
    report = json.dumps({key: value for key, value in result.items() if value}, ensure_ascii=False, indent=1)
    assert first["discovered"] < result["discovered"], "the first stage's board leads to part of the posts only"
    assert set(Visit.objects.filter(kind="trending").values_list("state", flat=True)) == {"done"}
    assert result["recall"] >= 0.99, report
    assert not result["leaked"], report
    assert not result["strangers"], report
    assert not result["wrong"], report
    assert not result["copies"], report
    assert all(fault["right"] == fault["planted"] for fault in result["faults"].values()), report
    closed = {post["id"] for post in load(replica.truth)["posts"] if post["expected"] == "disallowed"}
    assert not [line for line in requested(replica.state) if line.get("id") in closed], "a post closed by robots.txt was asked for"
