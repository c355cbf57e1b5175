"""Step 5: simulated annotators label through the HTTP API, up the ladder, until every sample has its label."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from django.db.models import Avg

from annotation.models import Sample, Vote
from annotation.rules.taxonomy import EMOTIONS
from annotation.selectors import people_active
from demo.people import SamplePerson
from demo.report import Report, bar, told
from demo.simulated import SimulatedAnnotator, label_until

Feelings = dict[tuple[str, str], str]  # (platform, id of the post) → what it was made to feel like


def simulated_annotators(people: list[SamplePerson], feelings: Feelings, address: str, *, seed: int) -> list[SimulatedAnnotator]:
    """A program for each who may label: the qualified annotators, the leaders and the expert."""
    working = set(people_active().values_list("user__username", flat=True))
    videos = {
        pk: (platform, platform_id)
        for pk, platform, platform_id in Sample.objects.values_list("pk", "video__platform", "video__platform_id")
    }
    simulated = [person for person in people if person.is_simulated and person.username in working]
    return [
        SimulatedAnnotator(
            site=address,
            username=person.username,
            password=person.password,
            seed=seed + index,
            ability=0.4 + 0.35 * person.factors["msceit"] / 100,
            truth=lambda sample: feelings[videos[sample]],
        )
        for index, person in enumerate(simulated)
    ]


def true_emotions(truth_file: Path) -> Feelings:
    """What each post was made to feel like, by (platform, id). A clip without a label gets one from its own id: somebody has to feel something."""
    posts = json.loads(truth_file.read_text())["posts"]
    return {(post["platform"], post["id"]): post["emotion"] or EMOTIONS[int(post["id"], 36) % len(EMOTIONS)] for post in posts}


def label(report: Report, annotators: list[SimulatedAnnotator]) -> None:
    """Everyone at once, through the ladder, until every sample has its label."""
    with report.stage("label (simulated)") as row, bar("samples decided") as progress:
        total = Sample.objects.exclude(state=Sample.State.EXCLUDED).count()

        def done() -> bool:
            decided = Sample.objects.filter(state=Sample.State.DECIDED).count()
            progress.set(decided, total)
            return decided == total

        votes = label_until(annotators, done) if not done() else 0
        row.came_in, row.went_out = total, progress.done
        rungs = Counter(Sample.objects.filter(state=Sample.State.DECIDED).values_list("decided_rung", flat=True))
        confidence = Vote.objects.filter(undone_at=None, round="label").aggregate(mean=Avg("confidence"))["mean"]
        row.notes.append(f"{votes} votes; decided by " + ", ".join(f"{rung} {count}" for rung, count in rungs.most_common()))
        row.notes.append(f"mean confidence {told(confidence)}")
