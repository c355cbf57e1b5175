"""One way of choosing what to ask for, over four rounds on the replica: `python -m benchmarks.steering WAY`, JSON on stdout.

    steered   the term repository chooses: keywords of what was kept, by yield, novelty and decay
    walked    the words of the first day's board, five more in each round, from the top again when all were asked
    same      the same five words in each round

Lists and posts are read in earnest; what becomes of a post is looked up in the replica's truth in place of download and cleaning,
which are the same either way. A request is a list's page or one of its calls; a relevant post is one that cleaning would keep.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402 - after django.setup

from benchmarks.crawling import begin_empty  # noqa: E402 - after django.setup
from crawler import services  # noqa: E402 - after django.setup
from crawler.models import Video  # noqa: E402 - after django.setup
from crawler.platforms import PLATFORMS  # noqa: E402 - after django.setup
from crawler.services import numbering, videos  # noqa: E402 - after django.setup
from demo.clips import make_clips, plan, write_labels  # noqa: E402 - after django.setup
from demo.replica import server as replica  # noqa: E402 - after django.setup

ROUNDS, WORDS = 4, 5  # words asked for per platform and round
NAMES, DRAWN = 600, 12  # posts that show something; clips that are drawn: what they show does not matter here
FAULTS = "slideshow, ad, private, deleted, unsafe_title"


def run(way: str, folder: Path, *, seed: int) -> dict[str, Any]:
    """New relevant posts and list requests per round."""
    clips, day = folder / "clips", [time.time()]
    names(clips, seed=seed)
    with counted() as requests, replica.ReplicaServer(clips, folder / "replica", seed=seed, faults=FAULTS, clock=lambda: day[0]) as server:
        settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA, settings.CRAWL_DELAY_S = server.address, str(server.ca), 0.02
        expected = {(post.platform, post.id): post.expected for post in server.site.corpus.posts}
        board = {platform: server.site.corpus.board(platform, server.site.today()) for platform in PLATFORMS}
        videos.STEPS[Video.State.META] = lambda video: settle(video, expected[video.platform, video.platform_id])
        rounds = []
        for number in range(ROUNDS):
            before = Counter(requests), kept()
            services.stage_crawl(stage(way, number, board, seed=seed).pk)
            asked, found = requests["list"] - before[0]["list"], kept() - before[1]
            rounds.append({"requests": asked, "new_relevant": found, "per_request": round(found / asked, 2)})
            day[0] += timedelta(days=1).total_seconds()
    late = rounds[1:]
    rate = sum(row["new_relevant"] for row in late) / sum(row["requests"] for row in late)
    return {
        "rounds": rounds,
        "relevant_there": sum(outcome == "accepted" for outcome in expected.values()),
        "rounds_2_to_4": round(rate, 3),
    }


def stage(way: str, number: int, board: dict[str, list[str]], *, seed: int) -> Any:
    common = {"name": f"round-{number + 1}", "seed": seed, "quiet_s": 1.0, "backoff_s": 0.2, "video_budget": 10**6}
    if way == "steered" or number == 0:  # the first round knows no more than the day's board
        return services.stage_create(**common, terms_per_platform=WORDS)
    begin = number * WORDS if way == "walked" else 0
    words = {name: [listed[place % len(listed)] for place in range(begin, begin + WORDS)] for name, listed in board.items()}
    return services.stage_create(**common, terms_per_platform=0, trending=False, terms=words)


def settle(video: Video, outcome: str) -> None:
    if outcome == "accepted":
        numbering.number(video)
    else:
        video.state, video.reason = Video.State.DROPPED, outcome
        video.save()


def kept() -> int:
    return Video.objects.filter(state=Video.State.ACCEPTED).count()


def names(clips: Path, *, seed: int) -> None:
    """A few clips under many names."""
    make_clips(clips, count=DRAWN, seed=seed)
    labels = plan(NAMES, seed=seed)
    for number, label in enumerate(labels[DRAWN:], start=DRAWN):
        os.link(clips / labels[number % DRAWN].file, clips / label.file)
    write_labels(clips, labels)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Requests that the replica answers while the block lasts: lists (pages and calls), posts, and the rest."""
    requests: Counter[str] = Counter()
    lock, plain = threading.Lock(), replica.answer

    def answer(site: Any, request: Any) -> Any:
        with lock:
            requests[kind_of(request)] += 1
        return plain(site, request)

    replica.answer = answer
    try:
        yield requests
    finally:
        replica.answer = plain


def kind_of(request: Any) -> str:
    adapter = next((adapter for adapter in PLATFORMS.values() if adapter.allows(request.host)), None)
    if adapter is None or request.path.startswith(("/static", "/robots.txt", "/favicon")):
        return "rest"
    if adapter.post_id(f"https://{request.host}{request.target}") or "detail" in request.path:
        return "post"
    return "list"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steering", description=__doc__)
    parser.add_argument("way", choices=["steered", "walked", "same"])
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    begin_empty()
    print(json.dumps(run(options.way, Path(settings.VAR_DIR) / "bench", seed=options.seed)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
