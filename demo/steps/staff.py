"""Step 4: people, their labelling test, groups by Eq. 1, and the videos handed out."""

from __future__ import annotations

from collections import Counter

import numpy as np
from django.utils import timezone

from annotation import services
from annotation.models import GoldItem, Group, Person, QualificationAttempt, Sample
from annotation.rules.sentiment import BY_KEY
from annotation.rules.taxonomy import EMOTIONS
from crawler.selectors import videos_ready
from demo.people import SamplePerson, as_arguments
from demo.report import Report
from demo.steps.label import Feelings


def staff(report: Report, people: list[SamplePerson], feelings: Feelings, *, seed: int) -> None:
    """Twelve annotators in three groups by Eq. 1, qualified; an expert and the staff; the videos handed out."""
    with report.stage("people and groups") as row:
        for person in people:
            if not Person.objects.filter(user__username=person.username).exists():
                services.person_create(**as_arguments(person))
        qualify(people, feelings, seed=seed)
        if not Group.objects.exists():
            services.groups_assign()
        row.came_in = Person.objects.filter(role__in=["annotator", "leader"]).count()
        row.went_out = Person.objects.filter(group__isnull=False).count()
        row.dropped = {"not qualified": Person.objects.filter(role="annotator", qualified_at=None).count()}
        for group in Group.objects.prefetch_related("people"):
            row.notes.append(f"group {group}: " + "; ".join(f"{p}, {p.role}" for p in group.people.order_by("role", "pk")))
    with report.stage("distribute") as row:
        services.distribute()
        row.came_in = videos_ready().count()
        row.went_out = Sample.objects.count()


def qualify(people: list[SamplePerson], feelings: Feelings, *, seed: int) -> None:
    """The two-part labelling test of Sec. III-B. Gold clips are clear cases: a careful labeller misses few, a careless one many."""
    gold_make(feelings)
    right = {key: scene.emotion for key, scene in BY_KEY.items()}
    right |= {str(pk): emotions[0] for pk, emotions in GoldItem.objects.values_list("pk", "emotions")}
    for place, sample in enumerate(people):
        person = Person.objects.get(user__username=sample.username)
        if sample.role != "annotator" or person.qualified_at:
            continue
        rng = np.random.default_rng([seed, place])
        for part in QualificationAttempt.Part.values:
            sit(person, part, right, care=sample.care, rng=rng)
        person.refresh_from_db()
        if not person.qualified_at and not person.paused_reason:
            services.person_pause(person, reason="has not passed the labelling test")


def sit(person: Person, part: str, right: dict[str, str], *, care: float, rng: np.random.Generator) -> None:
    """Tries one part of the test until it is passed or no attempt is left."""
    while True:
        try:
            attempt = services.qualification_start(person, part=part, rng=rng)
        except services.Conflict:  # passed, or no attempt left
            return
        answers = {item: right[item] if rng.random() < care else str(rng.choice(EMOTIONS)) for item in attempt.items}
        services.qualification_finish(attempt, answers=answers, now=timezone.now())


def gold_make(feelings: Feelings, *, per_emotion: int = 2) -> None:
    """Clips whose emotion is known because they were made so; outside a demo an expert would vouch for them."""
    if GoldItem.objects.exists():
        return
    left = Counter(dict.fromkeys(EMOTIONS, per_emotion))
    for video in videos_ready():
        emotion = feelings[video.platform, video.platform_id]
        if left[emotion]:
            left[emotion] -= 1
            services.gold_add(video_id=video.pk, emotions=[emotion], source="the demo, which made the clip", hidden=False)
