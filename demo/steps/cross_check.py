"""Step 6: both cross-check stages, the swaps between them, and how far people agree."""

from __future__ import annotations

from django.db.models import QuerySet

from annotation.models import Assignment, Person
from annotation.selectors import LIVE
from demo.report import Report, bar, console, told
from demo.simulated import SimulatedAnnotator, label_until
from qa import services
from qa.models import CrossCheckItem
from qa.selectors import adjustment_log, agreement_numbers, rounds_of

CROSS_CHECKS = ("sA", "sB")
MOST_SWAPS = 3


def cross_check(report: Report, annotators: list[SimulatedAnnotator], *, seed: int) -> None:
    """Both stages: groups label each other's sets blind; after the first, people are swapped where Algorithm 1 asks for it."""
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
    numbers = services.cross_check_score(stage).numbers
    groups = [f"{row['group']} S_a {told(row['intra_group'])} S_r {told(row['inter_group'])}" for row in numbers["groups"]]
    return f"{'; '.join(groups)}; μ {told(numbers['mean'])} σ² {told(numbers['variance'])}"
