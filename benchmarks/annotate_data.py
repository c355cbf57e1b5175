"""Fills a database for bench_annotate with samples and people, and checks afterwards that nothing was lost or given twice."""

from __future__ import annotations

import json
import os
import sys

import django


def fill(samples: int) -> dict[str, object]:
    """Accepted videos, three groups with leaders, an expert; everything handed out. Gives the members' API tokens."""
    from django.utils import timezone

    from annotation.services import distribute, person_create
    from config.tokens import token_create
    from crawler.models import Video

    now = timezone.now()
    Video.objects.bulk_create(
        (
            Video(platform="tiktok", platform_id=str(n), number=n, state="accepted", accepted_at=now, file=f"{n}.mp4", duration_s=20.0)
            for n in range(1, samples + 1)
        ),
        batch_size=1000,
    )
    tokens = []
    for letter in "ABC":
        for number, gender in enumerate("MMF"):
            person = person_create(username=f"{letter}{number}", full_name="Bench", gender=gender, group=letter, qualified_at=now)
            tokens.append(token_create(person.user, name="bench", scope="write")[1])
        person_create(username=f"{letter}-leader", full_name="Bench", gender="F", role="leader", group=letter)
    person_create(username="expert", full_name="Bench", gender="F", role="expert")
    return {"made": distribute(), "tokens": tokens}


def check() -> dict[str, object]:
    from django.db.models import Count

    from annotation.models import Assignment, Sample, Vote

    submitted = Assignment.objects.filter(state="submitted").count()
    votes = Vote.objects.filter(undone_at__isnull=True).count()
    twice = Assignment.objects.values("sample", "rung", "seat").annotate(n=Count("pk")).filter(n__gt=1).count()
    decided = Sample.objects.filter(state="decided").count()
    return {"votes": votes, "lost_votes": submitted - votes, "duplicate_assignments": twice, "decided": decided}


def kept(votes: list[int]) -> int:
    """How many of these votes are there."""
    from annotation.models import Vote

    there = set(Vote.objects.values_list("pk", flat=True))
    return sum(vote in there for vote in set(votes))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    jobs = {"fill": lambda: fill(int(sys.argv[2])), "check": check, "kept": lambda: kept([int(text) for text in sys.argv[2:]])}
    print(json.dumps(jobs[sys.argv[1]]()))
