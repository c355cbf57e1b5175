"""The eight steps from an empty database to a trained network, each one continuing where an earlier run of it stopped.

What a step has done is read from the database, never remembered here: the demo may be killed between any two lines.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import django
import numpy as np
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db.models import Avg, QuerySet
from django.utils import timezone
from rich.table import Table

from annotation.rules.taxonomy import EMOTIONS
from demo.people import SamplePerson, as_arguments, sample_people
from demo.report import Report, bar, console
from demo.simulated import SimulatedAnnotator, label_until
from demo.site import site, worker

if TYPE_CHECKING:  # models may be imported only once Django is set up
    from annotation.models import Assignment, Person
    from crawler.models import Video
    from training.models import Run

STAGES = ("demo-1", "demo-2")
VARIANTS = ("all", "balanced", "test")
CROSS_CHECKS = ("sA", "sB")
SEND_EVERY_S = 15
MOST_SWAPS = 3
TERMS = 12  # per platform and stage: what the replica's boards name
BRISK = {"quiet_s": 1, "backoff_s": 0.2}  # the replica is near, and used to being hurried
Feelings = dict[tuple[str, str], str]  # (platform, id of the post) → what it was made to feel like


def set_up(var: Path) -> None:
    """Django, its tables, and an empty queue: messages of a killed worker are stale, the rows they spoke of are not."""
    shutil.rmtree(var / "queue", ignore_errors=True)
    django.setup()
    call_command("migrate", verbosity=0)
    from training import services

    services.runs_resume_stale(now=timezone.now() + timedelta(days=1))  # no worker is alive: we hold the folder's lock


def travel(report: Report, *, var: Path, seed: int, serve: bool, port: int, recipe: str) -> int:
    """All steps in order; the exit status is 1 when any stage came out empty."""
    people = sample_people(var / "demo" / "passwords.json", seed=seed)
    logs = var / "logs"
    with ExitStack() as stack:
        stack.enter_context(worker(logs, beat=False))
        collect(report, seed=seed)
        clean(report)
        feelings = true_emotions(var / "demo" / "replica" / "truth.json")
        staff(report, people, feelings, seed=seed)
        address = stack.enter_context(site(logs, port=port if serve else None))
        annotators = simulated_annotators(people, feelings, address, seed=seed)
        label(report, annotators)
        cross_check(report, annotators, seed=seed)
        release(report, seed=seed)
        train(report, recipe=recipe, seed=seed)
        console.print(report.table())
        empty = report.empty_stages()
        if empty:
            console.print(f"[red]came out empty: {', '.join(empty)}[/red]")
        if serve:
            welcome(address, people)
            wait_for_the_end()
    return 1 if empty else 0


# --- 2, 3: collect and clean -------------------------------------------------------------------------------------


def collect(report: Report, *, seed: int) -> None:
    """Two crawl stages: the keywords of what the first one kept steer the second."""
    from crawler import services
    from crawler.models import Stage as CrawlStage
    from crawler.models import Term, Video

    for name in STAGES:
        with report.stage(f"crawl {name}") as row:
            stage = services.stage_create(name=name, seed=seed, terms_per_platform=TERMS, **BRISK)
            if stage.state != CrawlStage.State.DONE:
                crawl(stage.pk)
            videos = Video.objects.filter(stage=stage)
            row.came_in = videos.count()
            row.dropped = causes(videos.filter(state="failed"))
            row.went_out = row.came_in - sum(row.dropped.values())
            terms = Term.objects.filter(blocked=False).order_by("-weight").values_list("text", flat=True)[:8]
            row.notes.append(f"terms that steer what comes next: {', '.join(terms)}")


def crawl(stage_id: int) -> None:
    """The stage by the worker, until it is done. The task is sent again now and then, as beat does: a killed worker took its own along."""
    from crawler import tasks
    from crawler.models import Stage as CrawlStage
    from crawler.models import Video

    wait_until(
        "videos",
        done=lambda: CrawlStage.objects.filter(pk=stage_id, state=CrawlStage.State.DONE).exists(),
        count=lambda: progress_of(Video.objects.filter(stage=stage_id)),
        send=lambda: tasks.crawl_stage.delay(stage_id),
        timeout_s=900,
    )


def progress_of(videos: QuerySet[Video]) -> tuple[int, int]:
    from crawler.models import Video

    settled = [Video.State.ACCEPTED, Video.State.DROPPED, Video.State.FAILED, Video.State.REVIEW]
    return videos.filter(state__in=settled).count(), videos.count()


def causes(videos: QuerySet[Video]) -> dict[str, int]:
    """Counts by the word before the colon of each video's reason."""
    return dict(Counter(reason.partition(":")[0] or "no reason" for reason in videos.values_list("reason", flat=True)))


def clean(report: Report) -> None:
    from crawler import services
    from crawler.models import Video

    with report.stage("clean") as row, bar("checks") as progress:
        services.clean_waiting(progress=progress)
        fetched = Video.objects.exclude(state=Video.State.FAILED)
        row.came_in = fetched.count()
        row.went_out = fetched.filter(state=Video.State.ACCEPTED).count()
        row.dropped = causes(fetched.filter(state=Video.State.DROPPED))
        waiting = fetched.filter(state=Video.State.REVIEW)
        if waiting:
            row.dropped["for review"] = waiting.count()
            row.notes.append(f"for a person to decide on /review/: {', '.join(sorted(causes(waiting)))}")


# --- 4: people ---------------------------------------------------------------------------------------------------


def staff(report: Report, people: list[SamplePerson], feelings: Feelings, *, seed: int) -> None:
    """Twelve annotators in three groups by Eq. 1, qualified; an expert and the staff; the videos handed out."""
    from annotation import services
    from annotation.models import Group, Person, Sample
    from crawler.selectors import videos_ready

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
    from annotation import services
    from annotation.models import GoldItem, Person, QualificationAttempt
    from annotation.rules.sentiment import BY_KEY

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
    from annotation import services

    while True:
        try:
            attempt = services.qualification_start(person, part=part, rng=rng)
        except services.Conflict:  # passed, or no attempt left
            return
        answers = {item: right[item] if rng.random() < care else str(rng.choice(EMOTIONS)) for item in attempt.items}
        services.qualification_finish(attempt, answers=answers, now=timezone.now())


def gold_make(feelings: Feelings, *, per_emotion: int = 2) -> None:
    """Clips whose emotion is known because they were made so; outside a demo an expert would vouch for them."""
    from annotation import services
    from annotation.models import GoldItem
    from crawler.selectors import videos_ready

    if GoldItem.objects.exists():
        return
    left = Counter(dict.fromkeys(EMOTIONS, per_emotion))
    for video in videos_ready():
        emotion = feelings[video.platform, video.platform_id]
        if left[emotion]:
            left[emotion] -= 1
            services.gold_add(video_id=video.pk, emotions=[emotion], source="the demo, which made the clip", hidden=False)


# --- 5: label ----------------------------------------------------------------------------------------------------


def simulated_annotators(people: list[SamplePerson], feelings: Feelings, address: str, *, seed: int) -> list[SimulatedAnnotator]:
    """A program for each who may label: the qualified annotators, the leaders and the expert."""
    from annotation.models import Sample
    from annotation.selectors import people_active

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
    from annotation.models import Sample, Vote

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


# --- 6: cross-check ----------------------------------------------------------------------------------------------


def cross_check(report: Report, annotators: list[SimulatedAnnotator], *, seed: int) -> None:
    """Both stages: groups label each other's sets blind; after the first, people are swapped where Algorithm 1 asks for it."""
    from qa import services
    from qa.models import CrossCheckItem
    from qa.selectors import agreement_numbers

    for stage in CROSS_CHECKS:
        with report.stage(f"cross-check {stage} (simulated)") as row:
            drawn = services.cross_check_draw(stage, seed=seed)
            row.came_in = CrossCheckItem.objects.filter(set__stage=stage).count()
            if drawn.short:
                row.notes.append(f"{len(drawn.short)} of {len(drawn.sets)} sets hold fewer than 100 samples, which the paper's have")
            label_round(annotators, stage)
            row.notes.append(scores_of(stage))
            if stage == CROSS_CHECKS[0]:
                row.notes += adjust(annotators, stage)
                row.notes.append(scores_of(stage))
            row.went_out = row.came_in - waiting_in(stage).values("sample").distinct().count()
    services.report_make()  # so that the quality page has something to show at once
    kappa = agreement_numbers()["overall"]["fleiss_kappa"]
    console.print(f"  Fleiss' κ of the members' votes: {told(kappa['value'])}", highlight=False)


def waiting_in(stage: str) -> QuerySet[Assignment]:
    from annotation.models import Assignment
    from annotation.selectors import LIVE
    from qa.selectors import rounds_of

    return Assignment.objects.filter(rounds_of(stage), state__in=LIVE)


def label_round(annotators: list[SimulatedAnnotator], stage: str) -> None:
    total = waiting_in(stage).count()
    with bar(f"turns of {stage}", total) as progress:

        def done() -> bool:
            left = waiting_in(stage).count()
            progress.set(total - left)
            return not left

        if not done():
            label_until(annotators, done)


def adjust(annotators: list[SimulatedAnnotator], stage: str) -> list[str]:
    """Proposes, has the manager confirm, and lets the swapped label again, until the loop says that it is settled; what happened, line by line."""
    from annotation.models import Person
    from qa import services
    from qa.selectors import adjustment_log

    manager, lines = Person.objects.get(role="manager").user, []
    while True:
        found = services.swap_propose(stage)
        lines.append(f"{found.state}: {found.text}")
        if found.step is None:
            return lines
        if adjustment_log(stage).filter(state="applied").count() >= MOST_SWAPS:
            return [*lines, f"left to the manager: the demo performs {MOST_SWAPS} swaps at most"]
        services.swap_apply(found.step.pk, user=manager)
        label_round(annotators, stage)


def scores_of(stage: str) -> str:
    """S_a and S_r of every group with their mean and variance, as they stand; kept as a report."""
    from qa import services

    numbers = services.cross_check_score(stage).numbers
    groups = [f"{row['group']} S_a {told(row['intra_group'])} S_r {told(row['inter_group'])}" for row in numbers["groups"]]
    return f"{'; '.join(groups)}; μ {told(numbers['mean'])} σ² {told(numbers['variance'])}"


def told(number: float | None) -> str:
    return "undefined" if number is None else f"{number:.2f}"


# --- 7: release and train ----------------------------------------------------------------------------------------


def release(report: Report, *, seed: int) -> None:
    """The three variants of Sec. III-G, verified. The demo has fewer videos than the paper: sets are short, and say so."""
    from annotation.models import Sample
    from qa import services
    from qa.models import Release

    with report.stage("release") as row:
        row.came_in = Sample.objects.filter(state=Sample.State.DECIDED).count()
        for variant in VARIANTS:
            made = Release.objects.filter(variant=variant).first()
            if made is None:
                made = services.release_make(variant=variant, out_dir=settings.RELEASES_DIR, seed=seed, allow_short=True)
            problems = services.release_verify(made.path)
            if problems:
                raise RuntimeError(f"release {made} does not verify: {problems[0]}")
            counts = {split: sum(by_emotion.values()) for split, by_emotion in made.counts.items()}
            row.notes.append(f"{made.name}: {counts} in {made.path}, verified")
        row.went_out = Release.objects.count()


def train(report: Report, *, recipe: str, seed: int) -> None:
    """The recipe on the release of everything, by the worker of the queue gpu."""
    from qa.models import Release
    from training import services
    from training.models import Run

    with report.stage(f"train {recipe}") as row:
        released = Release.objects.get(variant="all")
        run = Run.objects.filter(recipe=recipe, release=released, seed=seed).first()
        if run is None:
            run = services.run_start(recipe=recipe, release=released, seed=seed)
        elif run.state in {Run.State.FAILED, Run.State.CANCELLED}:
            run = services.run_retry(run, user=get_user_model().objects.get(username="admin"))
        follow(run.pk)
        run.refresh_from_db()
        if run.state != Run.State.FINISHED:
            raise RuntimeError(f"{run} {run.state}: {run.error}")
        row.came_in, row.went_out = released.items.count(), 1
        scores = {"ACC": "acc", "WA-F1": "wa_f1", "UAR": "uar"}
        row.notes.append("test split: " + ", ".join(f"{name} {100 * run.metrics[key]:.2f}" for name, key in scores.items()))
        row.notes.append(f"run folder: {run.folder}")


def follow(run_id: int) -> None:
    """Waits for a run; one whose worker died with an earlier demo is sent again, as beat does."""
    from training import services
    from training.models import Run

    over = [Run.State.FINISHED, Run.State.FAILED, Run.State.CANCELLED]
    wait_until(
        "epochs",
        done=lambda: Run.objects.filter(pk=run_id, state__in=over).exists(),
        count=lambda: epochs_of(Run.objects.get(pk=run_id)),
        send=services.runs_resume_stale,
        timeout_s=900,
    )


def epochs_of(run: Run) -> tuple[int, int]:
    from training.selectors import recipes, run_curves

    epochs = recipes()[run.recipe].epochs
    seen = [row.get("epoch", 0) for row in run_curves(run).get("train", [])]
    return min(max(seen, default=0), epochs), epochs


# --- 8: the end --------------------------------------------------------------------------------------------------


def welcome(address: str, people: list[SamplePerson]) -> None:
    table = Table(title=f"The site: {address}", title_justify="left")
    for name in ("role", "user name", "password", ""):
        table.add_column(name)
    seen = set()
    for person in people:
        if person.role not in seen:
            table.add_row(person.role, person.username, person.password, "simulated" if person.is_simulated else "")
            seen.add(person.role)
    console.print(table)
    console.print("Ctrl-C ends it; ./run serve starts the site again on the same data.")


def wait_for_the_end() -> None:
    from demo.serve import wait_for_the_end

    wait_for_the_end()


def wait_until(
    text: str,
    *,
    done: Callable[[], bool],
    count: Callable[[], tuple[int, int]],
    send: Callable[[], object] = lambda: None,
    timeout_s: float,
) -> None:
    """Shows a bar until done() holds; sends the task every SEND_EVERY_S. Raises TimeoutError with where to look."""
    start, sent = time.monotonic(), -math.inf
    with bar(text) as progress:
        while not done():
            now = time.monotonic()
            if now - sent > SEND_EVERY_S:
                send()
                sent = now
            if now - start > timeout_s:
                raise TimeoutError(f"{text}: not done after {timeout_s:.0f} s; see {settings.VAR_DIR / 'logs' / 'worker.log'}")
            progress.set(*count())
            time.sleep(0.3)
        progress.set(*count())
