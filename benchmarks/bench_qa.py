"""Quality assurance at the paper's size and beyond: the full report, the statistics, a release, and κ and S_a over 10^7 votes.

Run through ./run bench qa. Limits: report ≤ 5 s, statistics ≤ 5 s, release without media ≤ 20 s, 10^7 votes ≤ 30 s, 10^5
simulated samples in seconds.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COUNTS = {"Excitation": 11739, "Fear": 954, "Neutral": 8795, "Relaxation": 2214, "Sadness": 2090, "Tension": 2204}
LIMITS = {"report_s": 5, "statistics_s": 5, "export_variants_s": 20, "ten_million_votes_s": 30, "simulate_100k_s": 10, "peak_mib": 1024}


def measure(*, peers: bool = False) -> dict[str, Any]:
    """Figures in seconds and MiB, each with its limit; run in a process of its own on a database in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="emotions-bench-") as folder:
        environment = os.environ | {"EMOTIONS_VAR": folder, "DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(ROOT)}
        found = subprocess.run([sys.executable, __file__, folder], env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = dict(line.split("=") for line in found.stdout.split() if "=" in line)
    return {name: {"value": round(float(value), 2), "limit": LIMITS.get(name)} for name, value in figures.items()}


def run(folder: Path) -> None:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    fill()
    quiet = open(os.devnull, "w")
    timed("report_s", lambda: call_command("consistency_report", format="json", stdout=quiet))
    timed("statistics_s", lambda: call_command("dataset_statistics", format="json", stdout=quiet))
    timed("export_variants_s", lambda: call_command("export_variants", out=folder / "out", seed=1, media="none", stdout=quiet))
    print(f"peak_mib={peak_mib():.0f}", flush=True)
    timed("simulate_100k_s", lambda: call_command("simulate_protocol", samples=100_000, format="json", stdout=quiet))
    ten_million()


def timed(name: str, function: Any) -> None:
    start, cpu = time.perf_counter(), time.process_time()
    function()
    print(f"{name}={time.perf_counter() - start:.2f}\n{name.removesuffix('_s')}_cpu_s={time.process_time() - cpu:.2f}", flush=True)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fill() -> None:
    """27,996 labelled videos with three member votes each, and a cross-check stage of three groups."""
    import uuid

    import numpy as np
    from django.contrib.auth.models import User
    from django.utils import timezone

    from annotation.models import Assignment, Group, Person, Sample, Vote
    from annotation.rules.taxonomy import ADJECTIVES, EMOTIONS
    from crawler.models import Stage, Term, Video
    from qa import services

    rng, now = np.random.default_rng(0), timezone.now()
    groups = [Group.objects.create(letter=letter) for letter in "ABC"]
    users = User.objects.bulk_create(User(username=f"bench{i}") for i in range(9))
    people = Person.objects.bulk_create(
        Person(user=user, full_name=f"Bench {i}", gender="MMF"[i % 3], group=groups[i // 3], is_simulated=True)
        for i, user in enumerate(users)
    )
    stage = Stage.objects.create(name="bench")
    term = Term.objects.create(platform="douyin", text="dance", first_stage=stage)
    labels = rng.permutation(np.repeat(np.arange(6), list(COUNTS.values())))
    key = {i: [row.key for row in ADJECTIVES if row.emotion == name] for i, name in enumerate(EMOTIONS)}
    videos = [
        Video(
            platform=("douyin", "kuaishou", "tiktok")[i % 3], platform_id=str(i), url="https://example.org", state="accepted", number=i + 1,
            title=f"跳舞 dance in the city {i % 500}", hashtags=["#life", f"#tag{i % 90}"], sha256=f"{i:064x}", file=f"{i}.mp4",
            duration_s=float(rng.uniform(2.46, 163.77)), frames=int(rng.integers(60, 5000)), stage=stage, term=term, accepted_at=now,
        )
        for i in range(len(labels))
    ]  # fmt: skip
    Video.objects.bulk_create(videos, batch_size=5000)
    samples = Sample.objects.bulk_create(
        (
            Sample(
                video=video,
                group=groups[i % 3],
                state="decided",
                label=EMOTIONS[label],
                decided_rung="member",
                rung="member",
                decided_at=now,
            )
            for i, (video, label) in enumerate(zip(videos, labels.tolist(), strict=True))
        ),
        batch_size=5000,
    )
    turns, votes = [], []
    for i, (sample, label) in enumerate(zip(samples, labels.tolist(), strict=True)):
        for seat in range(3):
            person = people[i % 3 * 3 + seat]
            emotion = label if rng.random() < 0.75 else int(rng.integers(6))
            turn = Assignment(sample=sample, person=person, rung="member", seat=seat, state="submitted")
            turns.append(turn)
            votes.append(
                Vote(
                    assignment=turn, sample=sample, person=person, rung="member", emotion=EMOTIONS[emotion], client_id=uuid.uuid4(),
                    adjective=key[emotion][i % len(key[emotion])], confidence=float(rng.choice([0.5, 0.7, 0.9])), created_at=now,
                )
            )  # fmt: skip
    Assignment.objects.bulk_create(turns, batch_size=5000)
    Vote.objects.bulk_create(votes, batch_size=5000)
    services.cross_check_draw("sA", seed=1)
    open_turns = list(Assignment.objects.filter(round="sA"))
    Vote.objects.bulk_create(
        (
            Vote(
                assignment=turn, sample_id=turn.sample_id, person_id=turn.person_id, rung="member", round="sA", client_id=uuid.uuid4(),
                emotion=EMOTIONS[int(rng.integers(6))], confidence=0.7, created_at=now,
            )
            for turn in open_turns
        ),
        batch_size=5000,
    )  # fmt: skip
    Assignment.objects.filter(round="sA").update(state="submitted")


def ten_million() -> None:
    """κ and S_a/S_r over 10^7 votes: the rules on arrays, and the reading pass by its rate on the rows that are there."""
    import numpy as np

    from qa import selectors
    from qa.rules import agreement, consistency

    start, cpu = time.perf_counter(), time.process_time()
    table = selectors.vote_table(selectors.member_votes())
    scale = 1e7 / len(table)
    reading, reading_cpu = (time.perf_counter() - start) * scale, (time.process_time() - cpu) * scale
    rng = np.random.default_rng(0)
    previous = rng.integers(6, size=(9, 370_371)).astype(np.int8)
    current = np.where(rng.random((*previous.shape, 3)) < 0.7, previous[:, :, None], rng.integers(6, size=(*previous.shape, 3))).astype(
        np.int8
    )
    start, cpu = time.perf_counter(), time.process_time()
    patterns = agreement.patterns(current.reshape(-1, 3), num_categories=6)
    agreement.estimate(agreement.fleiss_kappa, patterns, rng=rng)
    counts = consistency.set_counts(current, previous)
    consistency.intra_group(current, previous)
    consistency.inter_group(counts.consistent, counts.undecided, counts.sizes, np.ones(9))
    rules, rules_cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"ten_million_read_s={reading:.1f}\nten_million_rules_s={rules:.1f}\nten_million_votes_s={reading + rules:.1f}")
    print(f"ten_million_votes_cpu_s={reading_cpu + rules_cpu:.1f}", flush=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
