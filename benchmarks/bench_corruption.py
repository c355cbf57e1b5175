"""Corrupted files found, whole files falsely accused, and hostile files contained.

    ./run bench corruption

Limits: all planted faults found, at most 0.5 % of whole files accused, no hostile file hangs or kills the worker.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import django
from tqdm import tqdm

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from benchmarks.clips import bench_clips, label  # noqa: E402 - after django.setup
from crawler import media  # noqa: E402 - after django.setup
from crawler.media.examination import WALL_S  # noqa: E402 - after django.setup
from crawler.rules.cleaning import Drop, Facts, corrupt  # noqa: E402 - after django.setup

CORRUPTED = 40  # clips that are spoilt in every way
NICE = 10
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


def measure(*, peers: bool = False, count: int | None = None, num_hostile: int = 500) -> dict[str, Any]:
    """Share of planted faults found, share of whole files accused, seconds of the slowest hostile file. No peer.

    count: clips, all when None.
    """
    with tempfile.TemporaryDirectory(prefix="emotions-bench-") as folder:
        sources = [clip for clip in bench_clips(Path(folder) / "made", count=count) if clip.suffix != ".avi"]
        accused = [clip for clip, corrupt in zip(sources, each(accusation, sources, "whole files"), strict=True) if corrupt]
        plants = [(source, fault) for source in sources[:CORRUPTED] for fault in FAULTS]
        found = each(planted, plants, "planted faults")
        spent = each(hostile, [(sources[n % len(sources)], n) for n in range(num_hostile)], "hostile files")
    by_fault = {fault: [hit for (_, planted_fault), hit in zip(plants, found, strict=True) if planted_fault == fault] for fault in FAULTS}
    return {
        "clips": len(sources),
        "faults_planted": len(plants),
        "found": {fault: statistics.fmean(hits) for fault, hits in by_fault.items()},
        "found_all": statistics.fmean(found),
        "found_all_limit": 1.0,
        "falsely_accused": len(accused) / len(sources),
        "falsely_accused_limit": 0.005,
        "accused": [label(clip) for clip in accused],
        "hostile_files_contained": len(spent),
        "slowest_hostile_s": round(max(spent), 2),
        "slowest_hostile_limit_s": WALL_S + 10,
    }


def each(judge: Callable[[Any], Any], cases: list[Any], what: str) -> list[Any]:
    """What the judge says of each case, on all cores, niced; a judge that dies ends the benchmark."""
    with ProcessPoolExecutor(max_workers=os.cpu_count(), initializer=os.nice, initargs=(NICE,)) as pool:
        return list(tqdm(pool.map(judge, cases), what, total=len(cases), disable=None))


def accusation(source: Path) -> bool:
    return is_corrupt(source)


def is_corrupt(path: Path) -> bool:
    try:
        seen = media.examine(path)
    except media.HostileMedia:
        return True
    facts = Facts(**{name: getattr(seen, name) for name in Facts.__dataclass_fields__ if hasattr(seen, name)})
    return isinstance(corrupt(facts), Drop)


def planted(case: tuple[Path, str]) -> bool:
    source, fault = case
    with tempfile.TemporaryDirectory(prefix="emotions-bench-") as folder:
        path = Path(folder) / "clip.mp4"
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


def hostile(case: tuple[Path, int]) -> float:
    """Seconds that one hostile file takes to be judged; every third is of a kind of its own, the others are mutated clips."""
    source, number = case
    rng = random.Random(number)
    body = HOSTILE[number // 3 % len(HOSTILE)](rng) if number % 3 == 0 else mutated(source.read_bytes()[: 2 * 2**20], number, rng)
    with tempfile.TemporaryDirectory(prefix="emotions-bench-") as folder:
        path = Path(folder) / f"clip{rng.choice(['.mp4', '.mp4', '.webm', '.mkv', '.m3u8'])}"
        path.write_bytes(body)
        began = time.monotonic()
        is_corrupt(path)
        return time.monotonic() - began


def mutated(data: bytes, number: int, rng: random.Random) -> bytes:
    """Four bytes here and there; every second file is hit in its headers."""
    body = bytearray(data)
    for _ in range(rng.choice([1, 3, 30, 300, 3000])):
        place = rng.randrange(len(body) if number % 2 else min(len(body), 4000))
        body[place : place + 4] = rng.choice([b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", rng.randbytes(4)])
    return bytes(body)


def box(name: bytes, body: bytes = b"", size: int | None = None) -> bytes:
    return (len(body) + 8 if size is None else size).to_bytes(4, "big") + name + body


FTYP = box(b"ftyp", b"isom" + bytes(4) + b"isomiso2avc1mp41")
HOSTILE: tuple[Callable[[random.Random], bytes], ...] = (
    lambda rng: FTYP + box(b"moov", b"".join(box(b"trak", size=8) for _ in range(60_000))),  # very many tracks
    lambda rng: FTYP + b"".join((0xFFFFFFF0).to_bytes(4, "big") + b"moov" for _ in range(5_000)),  # boxes larger than the file, nested
    lambda rng: FTYP + box(b"mdat", rng.randbytes(200_000)),  # media without an index
    lambda rng: bytes.fromhex("1a45dfa3") + b"\xff" * 100_000,  # Matroska of unknown length
    lambda rng: bytes.fromhex("1a45dfa3") + rng.randbytes(300_000),
    lambda rng: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXTINF:1,\nhttp://127.0.0.1/\n" * 200,  # a playlist in disguise
    lambda rng: b"ffconcat version 1.0\nfile /etc/passwd\n" * 500,
    lambda rng: b"RIFF" + (0xFFFFFFFF).to_bytes(4, "little") + b"AVI LIST" + rng.randbytes(50_000),
    lambda rng: b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + (2**31 - 1).to_bytes(4, "big") * 2 + bytes(50_000),  # a huge picture
    lambda rng: b"\x1f\x8b" + rng.randbytes(100_000),
    lambda rng: bytes(4 * 2**20),
    lambda rng: rng.randbytes(2**20),
)
