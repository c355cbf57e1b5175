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
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COUNTS = {"Excitation": 11739, "Fear": 954, "Neutral": 8795, "Relaxation": 2214, "Sadness": 2090, "Tension": 2204}
LIMITS = {"report_s": 5, "statistics_s": 5, "export_variants_s": 20, "ten_million_votes_s": 30, "simulate_100k_s": 10, "peak_mib": 1024}
LIMITS["ten_million_peak_mib"] = LIMITS["peak_mib"]
SAMPLES, BLOCK = 3_333_334, 100_000
WITHOUT_INDEXES = (
    """SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint
       WHERE contype = 'u' AND conrelid = 'annotation_vote'::regclass""",
    "SELECT format('DROP INDEX %I', indexname) FROM pg_indexes WHERE tablename = 'annotation_vote' AND indexname NOT LIKE '%%_pkey'",
)


def measure(*, peers: bool = False) -> dict[str, Any]:
    """Figures in seconds and MiB, each with its limit; run in a process of its own on a database in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="emotions-bench-") as folder:
        environment = os.environ | {"EMOTIONS_VAR": folder, "DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(ROOT)}
        found = subprocess.run([sys.executable, __file__, folder], env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = dict(line.split("=") for line in found.stdout.split() if "=" in line) | ten_million()
    return {name: {"value": round(float(value), 4), "limit": LIMITS.get(name)} for name, value in figures.items()}


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


def ten_million() -> dict[str, Any]:
    """κ, S_a and S_r of 10^7 votes in a throw-away PostgreSQL: loaded by COPY, read by the site's own selectors, in a process of its own."""
    from tests.servers import postgres

    with postgres() as url, tempfile.TemporaryDirectory(prefix="emotions-votes-") as folder:
        environment = os.environ | {"DATABASE_URL": url, "EMOTIONS_VAR": folder, "DJANGO_SETTINGS_MODULE": "config.settings"}
        told = [_told(environment | {"PYTHONPATH": str(ROOT)}, step) for step in ("load", "read")]
    return told[0] | told[1]


def _told(environment: dict[str, str], step: str) -> dict[str, str]:
    found = subprocess.run([sys.executable, __file__, step], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return dict(line.split("=") for line in found.stdout.split() if "=" in line)


def load() -> None:
    """Three members' votes on 3,333,334 decided samples. Their clips and turns are left out, and the indexes that no reading here uses."""
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection

    from annotation.models import Group, Person

    call_command("migrate", verbosity=0)
    groups = [Group.objects.create(letter=letter) for letter in "ABC"]
    users = User.objects.bulk_create(User(username=f"bench{i}") for i in range(9))
    people = Person.objects.bulk_create(
        Person(user=user, full_name=user.username, gender="M", group=groups[i // 3]) for i, user in enumerate(users)
    )
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # no look at the rows that are left out
        for statement in WITHOUT_INDEXES:
            cursor.execute(statement)
            for (command,) in cursor.fetchall():
                cursor.execute(command)
        start = time.perf_counter()
        columns = "id, video_id, group_id, content_warning, reopened, state, rung, label, decided_rung, decided_at, created_at"
        cursor.cursor.copy_expert(f"COPY annotation_sample ({columns}) FROM STDIN", Lines(samples([group.pk for group in groups])))
        columns = "assignment_id, sample_id, person_id, rung, round, adjective, adjective_table, emotion, confidence, prelabel, client_id, created_at"
        cursor.cursor.copy_expert(f"COPY annotation_vote ({columns}) FROM STDIN", Lines(votes([person.pk for person in people])))
        print(f"ten_million_load_s={time.perf_counter() - start:.1f}")
        cursor.execute("VACUUM ANALYZE annotation_vote, annotation_sample")


def truths(first: int, count: int) -> Any:
    """(label, what each of three members says) of these samples, always the same."""
    import numpy as np

    rng = np.random.default_rng(first)
    labels = rng.integers(6, size=count)
    said = np.where(rng.random((count, 3)) < 0.75, labels[:, None], rng.integers(6, size=(count, 3)))
    return labels.tolist(), said.tolist()


def samples(groups: list[int]) -> Iterator[str]:
    from annotation.rules.taxonomy import EMOTIONS

    for first in range(0, SAMPLES, BLOCK):
        labels, _said = truths(first, min(BLOCK, SAMPLES - first))
        for i, label in enumerate(labels, start=first + 1):
            yield f"{i}\t{i}\t{groups[i % 3]}\t[]\t0\tdecided\tmember\t{EMOTIONS[label]}\tmember\t2026-05-04\t2026-05-04\n"


def votes(people: list[int]) -> Iterator[str]:
    from annotation.rules.taxonomy import EMOTIONS

    for first in range(0, SAMPLES, BLOCK):
        _labels, said = truths(first, min(BLOCK, SAMPLES - first))
        for i, row in enumerate(said, start=first + 1):
            for seat, emotion in enumerate(row):
                n = 3 * i + seat
                yield f"{n}\t{i}\t{people[i % 3 * 3 + seat]}\tmember\tlabel\t\t1\t{EMOTIONS[emotion]}\t0.7\t{{}}\t{n:032x}\t2026-05-04\n"


class Lines:
    """Lines as a file that COPY reads."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines

    def read(self, size: int = -1) -> str:
        return "".join(islice(self.lines, 20_000))


def read() -> None:
    """One pass over the votes, one over the samples' labels, then κ with its interval, and S_a and S_r of nine sets."""
    import django

    django.setup()
    import numpy as np
    from django.db import connection

    from annotation.models import Sample
    from qa import selectors
    from qa.rules import agreement, consistency

    connection.ensure_connection()
    start, cpu = time.perf_counter(), time.process_time()
    members, ratings = selectors.vote_table(selectors.member_votes()).matrix()
    labels = selectors.sample_labels(Sample.objects.all())
    reading, reading_cpu = time.perf_counter() - start, time.process_time() - cpu
    patterns = agreement.patterns(ratings, num_categories=6)
    kappa = agreement.estimate(agreement.fleiss_kappa, patterns, rng=np.random.default_rng(0))
    size = len(members) // 9
    current = ratings[: 9 * size].reshape(9, size, 3)
    previous = labels.label[labels.place(members[: 9 * size])].reshape(9, size)
    counts = consistency.set_counts(current, previous)
    intra = consistency.intra_group(current, previous)
    inter = consistency.inter_group(counts.consistent, counts.undecided, counts.sizes, np.ones(9))
    took, took_cpu = time.perf_counter() - start, time.process_time() - cpu
    print(
        f"ten_million_votes={ratings.size}\nten_million_kappa={kappa.value:.4f}\nten_million_S_a={intra:.4f}\nten_million_S_r={inter:.3f}"
    )
    print(f"ten_million_read_s={reading:.1f}\nten_million_read_cpu_s={reading_cpu:.1f}\nten_million_rules_s={took - reading:.1f}")
    print(f"ten_million_votes_s={took:.1f}\nten_million_votes_cpu_s={took_cpu:.1f}\nten_million_peak_mib={peak_mib():.0f}", flush=True)


if __name__ == "__main__":
    {"load": load, "read": read}.get(sys.argv[1], lambda: run(Path(sys.argv[1])))()
