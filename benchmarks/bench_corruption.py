"""Corrupted files found, whole files falsely accused, and hostile files contained.

    ./run bench corruption

Limits: all planted faults found, at most 0.5 % of whole files accused, no hostile file hangs or kills the worker.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from benchmarks.clips import bench_clips  # noqa: E402 - after django.setup
from crawler import media  # noqa: E402
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


def measure(*, peers: bool = False, count: int = 20, num_hostile: int = 100) -> dict[str, Any]:
    """Share of planted faults found, share of whole files accused, and seconds of the slowest hostile file. No peer."""
    with tempfile.TemporaryDirectory(prefix="emotions-bench-") as folder:
        sources = bench_clips(Path(folder) / "made", count=count)
        path = Path(folder) / "clip.mp4"
        accused = sum(is_corrupt(source) for source in sources)
        found = {fault: sum(planted(source, fault, path) for source in sources) for fault in FAULTS}
        slowest = max((hostile(sources[n % len(sources)], n, path) for n in range(num_hostile)), default=0.0)
    return {
        "clips": len(sources),
        "found": {fault: number / len(sources) for fault, number in found.items()},
        "found_all": sum(found.values()) / (len(sources) * len(FAULTS)),
        "found_all_limit": 1.0,
        "falsely_accused": accused / len(sources),
        "falsely_accused_limit": 0.005,
        "hostile_files_contained": num_hostile,
        "slowest_hostile_s": round(slowest, 2),
    }


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
