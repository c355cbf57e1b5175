"""Corrupted files found, whole files falsely accused, and hostile files contained.

    python -m benchmarks.bench_corruption [--clips DIR] [--count N] [--hostile N]

Limits: all planted faults found, at most 0.5 % of whole files accused, no hostile file hangs or kills the worker.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from crawler import media  # noqa: E402 - after django.setup
from crawler.rules.cleaning import Drop, Facts, corrupt  # noqa: E402

FAULTS = (
    "truncated 95 %",
    "truncated 60 %",
    "truncated 20 %",
    "zeroed tail",
    "40 bit flips",
    "4 KB garbage",
    "HTML body",
    "empty",
    "16 KB hole",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, default=Path(os.environ.get("EMOTIONS_DATA", "../shared/data")) / "clips")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--hostile", type=int, default=500)
    options = parser.parse_args()
    sources = sorted(options.clips.glob("*.mp4"))[: options.count]
    if not sources:
        print(f"no clips in {options.clips}; give --clips", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="emotions-bench-") as folder:
        path = Path(folder) / "clip.mp4"
        accused = sum(is_corrupt(source) for source in sources)
        found = {fault: sum(planted(source, fault, path) for source in sources) for fault in FAULTS}
        slowest = max((hostile(sources[n % len(sources)], n, path) for n in range(options.hostile)), default=0.0)
    for fault, count in found.items():
        print(f"{count:4d} of {len(sources):4d}  {fault}")
    print(f"{accused:4d} of {len(sources):4d}  whole files accused (limit 0.5 %)")
    print(f"{options.hostile:4d} hostile files contained, the slowest in {slowest:.1f} s")
    return 0 if all(count == len(sources) for count in found.values()) and accused <= 0.005 * len(sources) else 1


def is_corrupt(path: Path) -> bool:
    try:
        seen = media.examine(path)
    except media.HostileMedia:
        return True
    facts = Facts(**{name: getattr(seen, name) for name in Facts.__dataclass_fields__ if hasattr(seen, name)})
    return isinstance(corrupt(facts), Drop)


def planted(source: Path, fault: str, path: Path) -> bool:
    path.write_bytes(spoil(source.read_bytes(), fault))
    return is_corrupt(path)


def spoil(data: bytes, fault: str) -> bytes:
    rng, body, middle = random.Random(fault), bytearray(data), len(data) // 2
    if fault.startswith("truncated"):
        return data[: len(data) * int(fault.split()[1]) // 100]
    if fault == "HTML body":
        return b"<html><body>403 Forbidden</body></html>" * 50
    if fault == "empty":
        return b""
    if fault == "zeroed tail":
        body[middle:] = bytes(len(body) - middle)
    elif fault == "40 bit flips":
        for _ in range(40):
            body[rng.randrange(len(body) // 10, len(body))] ^= 1 << rng.randrange(8)
    elif fault == "4 KB garbage":
        body[middle : middle + 4096] = rng.randbytes(4096)
    else:
        body[middle : middle + 16384] = bytes(16384)
    return bytes(body)


def hostile(source: Path, number: int, path: Path) -> float:
    """Seconds that one mutated file takes; headers are hit in every second one."""
    rng, body = random.Random(number), bytearray(source.read_bytes()[: 2 * 2**20])
    for _ in range(rng.choice([1, 3, 30, 300, 3000])):
        place = rng.randrange(len(body) if number % 2 else min(len(body), 4000))
        body[place : place + 4] = rng.choice([b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", rng.randbytes(4)])
    path.write_bytes(body)
    began = time.monotonic()
    is_corrupt(path)
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
