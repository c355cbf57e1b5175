"""`./run bench [name] [--peers] [--json FILE]`: runs benchmarks/bench_<name>.py, or all of them, and keeps what they print as JSON.

Each has `measure(*, peers: bool) -> dict`: figures by name, each beside the peer or the limit measured in the same run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("name", nargs="?", choices=names(), help="one benchmark; all of them when left out")
    parser.add_argument("--peers", action="store_true", help="measure the peers that are installed too")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    results = {"machine": f"{platform.machine()}, Python {platform.python_version()}"}
    for name in [options.name] if options.name else names():
        print(f"== {name}", flush=True)
        results[name] = importlib.import_module(f"benchmarks.bench_{name}").measure(peers=options.peers)
        print(json.dumps(results[name], indent=2, ensure_ascii=False), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
