"""python -m demo.replica: serve the replica until told to stop."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from demo.replica.faults import FAULTS
from demo.replica.server import ReplicaServer


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    stopped = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopped.set())
    try:
        replica = ReplicaServer(
            options.clips,
            options.state,
            port=options.port,
            posts=options.posts,
            seed=options.seed,
            faults=options.faults,
            hurry_per_s=options.hurry_per_s,
            latency_s=options.latency_s,
            link_ttl_s=options.link_ttl_s,
        )
    except (OSError, ValueError) as error:
        print(f"replica: {error}", file=sys.stderr)
        return 1
    with replica:
        print(f"replica ready on {replica.address}", flush=True)
        stopped.wait()
    return 0


def parser() -> argparse.ArgumentParser:
    known = f"quick (default: nothing that costs patience), all (everything but captcha and login_modal), none, or of: {', '.join(FAULTS)}"
    parser = argparse.ArgumentParser(
        prog="python -m demo.replica", description="Serve a replica of Douyin, Kuaishou and TikTok on loopback."
    )
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="keeps ca.pem, truth.json, planted.jsonl and made files")
    parser.add_argument("--clips", type=Path, required=True, help="the clips to show, with labels.csv if there is one")
    parser.add_argument("--posts", type=int, help="how many posts at least; those beyond the clips are declared re-uploads")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", default="quick", help=known)
    parser.add_argument("--hurry-per-s", type=float, default=20, help="pages per second and host beyond which it answers 429; 0: never")
    parser.add_argument("--latency-s", type=float, default=0.12, help="what a list's call takes")
    parser.add_argument("--link-ttl-s", type=float, default=3600, help="how long media links live")
    return parser


if __name__ == "__main__":
    sys.exit(main())
