"""Fills a database for bench_annotate with samples and people, and checks afterwards that nothing was lost or given twice."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import django

LETTERS = "ABCDEFGHIJK"  # as many groups of three as 32 annotators need
FAR = 100_000_000  # ids and numbers of the multiplied rows begin here


def fill(samples: int, letters: str = "ABC") -> dict[str, object]:
    """Accepted videos, groups with leaders, an expert; everything handed out. Gives the members' API tokens."""
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
    for letter in letters:
        for number, gender in enumerate("MMF"):
            person = person_create(username=f"{letter}{number}", full_name="Bench", gender=gender, group=letter, qualified_at=now)
            tokens.append(token_create(person.user, name="bench", scope="write")[1])
        person_create(username=f"{letter}-leader", full_name="Bench", gender="F", role="leader", group=letter)
    person_create(username="expert", full_name="Bench", gender="F", role="expert")
    return {"made": distribute(), "tokens": tokens}


def fill_settled(samples: int, settled: int) -> dict[str, object]:
    """The same with that many decided samples of three votes each beside the open ones; PostgreSQL multiplies the first by itself."""
    import uuid

    from django.db import connection
    from django.utils import timezone

    from annotation.models import Assignment, Sample, TimelineEvent, Vote
    from annotation.services import vote_cast
    from crawler.models import Video

    told = fill(samples, LETTERS)
    first = Sample.objects.order_by("pk").first()
    assert first is not None
    for turn in first.assignments.all():
        vote_cast(assignment=turn, client_id=uuid.uuid4(), adjective="scary", confidence=0.7, now=timezone.now())
    vote = Vote.objects.filter(sample=first).order_by("pk").first()
    assert vote is not None
    seats = f"""generate_series(1, {settled}) n JOIN (SELECT row_number() OVER (PARTITION BY group_id ORDER BY id) - 1 AS seat,
        id AS person, group_id, dense_rank() OVER (ORDER BY group_id) - 1 AS place FROM annotation_person WHERE role = 'annotator') taken
        ON place = n % {len(LETTERS)}"""  # noqa: S608 - numbers of our own
    groups = "(SELECT group_id FROM annotation_person WHERE role = 'annotator' GROUP BY group_id ORDER BY group_id OFFSET n % %d LIMIT 1)"
    turn_id, day = f"{FAR} + 3 * n + taken.seat", "now() - (1 + n % 300) * interval '1 day'"
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # the rows refer to each other by construction
        one = f"generate_series(1, {settled}) n"
        multiply(cursor, Video, first.video_id, one, id=f"{FAR} + n", number=f"{FAR} + n", platform_id=f"({FAR} + n)::text")
        group = groups.replace("%d", str(len(LETTERS)))
        multiply(
            cursor,
            Sample,
            first.pk,
            one,
            id=f"{FAR} + n",
            video_id=f"{FAR} + n",
            group_id=group,
            batch_id="NULL::bigint",
            decided_at=day,
            created_at=day,
        )
        seat = {"sample_id": f"{FAR} + n", "person_id": "taken.person", "created_at": day}
        multiply(cursor, Assignment, vote.assignment_id, seats, id=turn_id, seat="taken.seat", **seat)
        hint = """jsonb_build_object('run', 'bench', 'emotion', 'Fear', 'hint', (ARRAY['seen', 'unseen', 'held back'])[1 + n / 10 % 3])"""
        prelabel = f"CASE WHEN n % 10 = 0 THEN {hint} ELSE model.prelabel END"  # of some votes, as where some batches offer hints
        multiply(cursor, Vote, vote.pk, seats, id=turn_id, assignment_id=turn_id, client_id="gen_random_uuid()", prelabel=prelabel, **seat)
        event = TimelineEvent.objects.filter(sample=first, kind="voted").values_list("pk", flat=True)[0]
        multiply(cursor, TimelineEvent, event, seats, id=turn_id, **seat)
        cursor.execute("SET session_replication_role = DEFAULT")
        for model in (Video, Sample, Assignment, Vote, TimelineEvent):
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{model._meta.db_table}', 'id'), {2 * FAR})")
        cursor.execute("VACUUM ANALYZE")
    return told


def multiply(cursor: Any, model: Any, pk: int, source: str, **changed: str) -> None:
    """As many copies of one row as `source` has rows, with some columns changed; the server makes them."""
    columns = [field.column for field in model._meta.concrete_fields]
    assert set(changed) <= set(columns)
    values = ", ".join(changed.get(column, f'model."{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    table = model._meta.db_table
    cursor.execute(f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} model, {source} WHERE model.id = {pk}")  # noqa: S608 - names of the project's own tables


def more(videos: int) -> int:
    """New videos that wait to be handed out, and tasks for the workers: hand out and take leases back, several times over."""
    from django.db.models import Max
    from django.utils import timezone

    from annotation.tasks import distribute, expire_leases
    from crawler.models import Video

    now, first = timezone.now(), (Video.objects.aggregate(last=Max("number"))["last"] or 0) + 1
    Video.objects.bulk_create(
        Video(platform="douyin", platform_id=str(n), number=n, state="accepted", accepted_at=now, file=f"{n}.mp4", duration_s=20.0)
        for n in range(first, first + videos)
    )
    for _ in range(4):
        distribute.delay()
        expire_leases.delay()
    return videos


def check() -> dict[str, object]:
    """What must be 0 after any accident; what the killed workers had not handed out yet is handed out first, as the clock would."""
    from django.db.models import Count, Q

    from annotation.models import LABEL, Assignment, Sample, Vote
    from annotation.services import distribute
    from crawler.models import Video

    distribute()
    submitted = Assignment.objects.filter(state="submitted").count()
    votes = Vote.objects.filter(undone_at__isnull=True).count()
    twice = Assignment.objects.values("sample", "rung", "seat").annotate(n=Count("pk")).filter(n__gt=1).count()
    decided = Sample.objects.filter(state="decided").count()
    without = Video.objects.filter(state="accepted", sample__isnull=True).count()
    seats = Sample.objects.annotate(n=Count("assignments", filter=Q(assignments__round=LABEL, assignments__rung="member")))
    return {
        "votes": votes,
        "lost_votes": submitted - votes,
        "duplicate_assignments": twice,
        "videos_without_a_sample": without,
        "samples_without_three_seats": seats.exclude(n=3).count(),
        "decided": decided,
    }


# Not what the status page asks for behind itself: that waits a second for the workers.
PAGES = {
    "manager": [
        *(
            "/",
            "/people/",
            "/people/gold/",
            "/people/webhooks/",
            "/samples/",
            "/samples/?clip=7",
            "/collect/",
            "/quality/",
            "/quality/design/",
            "/hints/",
            "/dataset/",
            "/account/",
        ),
        *(
            "/dataset/lineage/?video=7",
            "/quality/labels/?platform=tiktok",
            "/status/",
            "/status/audit/",
            "/status/audit/?log=labels",
        ),
        *("/status/audit/?log=labels&page=100", "/status/audit/?log=labels&kind=voted", "/status/tasks/"),
        *(
            "/api/v1/people",
            "/api/v1/samples",
            "/api/v1/samples?state=decided",
            "/api/v1/samples?offset=500000",
            "/api/v1/groups",
            "/api/v1/collection/funnel",
        ),
    ],
    "leader": ["/leader/", "/api/v1/batches", "/api/v1/samples"],
    "expert": ["/expert/", "/mos/"],
    "annotator": ["/me/", "/me/?page=400", "/api/v1/me/votes", "/api/v1/me/progress", "/annotate/"],
    "data_engineer": ["/review/", "/samples/"],
    "researcher": ["/train/", "/api/v1/runs", "/api/v1/releases"],
    "admin": [
        *(
            f"/admin/annotation/{name}/"
            for name in ("sample", "assignment", "vote", "timelineevent", "person", "staffchange", "batch", "flag", "golditem", "group")
        ),
        *(f"/admin/crawler/{name}/" for name in ("video", "check", "visit", "decision", "term", "stage", "host", "tombstone")),
        *("/admin/config/event/", "/admin/auth/user/", "/admin/annotation/vote/?p=9", "/admin/annotation/vote/?emotion__exact=Fear"),
        "/admin/annotation/person/?q=bench",
        *("/admin/crawler/video/?q=7", "/admin/crawler/video/?q=100000007", "/metrics"),
    ],
}


def pages(repeats: int = 15) -> dict[str, object]:
    """Each list page as its person sees it: queries, and milliseconds the first time, in the middle and at the 95th percentile.

    The first time a page of a very large collection may count what it then keeps for a minute (crawler.selectors.remembered).
    """
    import time

    from django.conf import settings
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from annotation.models import Person
    from annotation.services import person_create

    settings.ALLOWED_HOSTS = ["testserver"]
    for role in PAGES:
        if not Person.objects.filter(role=role).exists():
            person_create(username=role, full_name="Bench", gender="F", role=role)
    found = {}
    for role, paths in PAGES.items():
        client = Client()
        client.force_login(Person.objects.filter(role=role).order_by("pk").first().user)
        for path in paths:
            started = time.perf_counter()
            client.get(path)
            first_ms = round(1000 * (time.perf_counter() - started), 1)
            with CaptureQueriesContext(connection) as queries:
                assert client.get(path).status_code == 200, path
                num_queries = len(queries)  # the next request empties the log
            seconds = []
            for _ in range(repeats):
                started = time.perf_counter()
                client.get(path)
                seconds.append(time.perf_counter() - started)
            seconds.sort()
            p50, p95 = (round(1000 * seconds[int(share * (repeats - 1))], 1) for share in (0.5, 0.95))
            found[f"{path} ({role})"] = {"queries": num_queries, "first_ms": first_ms, "p50_ms": p50, "p95_ms": p95}
    return found


def kept(votes: list[int]) -> int:
    """How many of these votes are there."""
    from annotation.models import Vote

    there = set(Vote.objects.values_list("pk", flat=True))
    return sum(vote in there for vote in set(votes))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    jobs = {
        "fill": lambda: fill(int(sys.argv[2]), *sys.argv[3:]),
        "fill_settled": lambda: fill_settled(int(sys.argv[2]), int(sys.argv[3])),
        "check": check,
        "more": lambda: more(int(sys.argv[2])),
        "kept": lambda: kept([int(text) for text in sys.argv[2:]]),
        "pages": pages,
    }
    print(json.dumps(jobs[sys.argv[1]]()))
