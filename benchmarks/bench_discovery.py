"""What a crawl of the replica finds of what there is, while its workers are killed; and what steering by keywords gains.

    ./run bench discovery

Two stages over 1,000 posts on PostgreSQL and Redis: Celery workers get SIGKILL, the replica restarts meanwhile. Limits: at least
0.99 of the reachable posts found, no private or disallowed one kept, every healthy post kept exactly once, every planted fault
reported under its own name.

Then new relevant posts per list request in rounds 2 to 4: words that the term repository chooses, beside two fixed lists.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

POSTS, CLIPS = 1000, 240
KILLS, RESTARTS = 10, 3
WAYS = ("steered", "walked", "same")
ROOT = Path(__file__).parent.parent


def measure(*, peers: bool = False) -> dict[str, Any]:
    """Figures of the killed crawl and of the three ways to choose words. No peer: none counts what it missed."""
    with tempfile.TemporaryDirectory(prefix="emotions-bench-") as folder:
        return {"killed": killed(Path(folder), posts=POSTS, count=CLIPS), "steering": steering(Path(folder))}


def killed(folder: Path, *, posts: int, count: int) -> dict[str, Any]:
    """The crawl in production's shape: PostgreSQL, Redis, Celery workers."""
    from demo.clips import make_clips
    from tests.servers import postgres, redis

    clips = folder / "clips"  # drawn ones, always: real ones are too few for each healthy post to show another
    make_clips(clips, count=count)
    with postgres() as database, redis() as broker:
        options = ["--clips", str(clips), "--posts", str(posts), "--kills", str(KILLS), "--restarts", str(RESTARTS), "--queue"]
        return crawling(folder / "killed", *options, DATABASE_URL=database, CELERY_BROKER_URL=broker)


def steering(folder: Path) -> dict[str, Any]:
    """New relevant posts per list request, of the rounds after the first, by way."""
    found = {way: module("benchmarks.steering", folder / way, way) for way in WAYS}
    return {**found, **{f"{way}_rounds_2_to_4": found[way]["rounds_2_to_4"] for way in WAYS}}


def crawling(var: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    return module("benchmarks.crawling", var, *arguments, **environment)


def module(name: str, var: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    """What the module prints, run in a process of its own with its own files. Raises RuntimeError with its last words."""
    told = {**os.environ, "EMOTIONS_VAR": str(var), "LOG_LEVEL": "WARNING", **environment}
    command = [sys.executable, "-m", name, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])
