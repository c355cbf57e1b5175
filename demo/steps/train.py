"""Step 7, second half: AV-CANet on the release of everything, trained by the worker of the queue gpu."""

from __future__ import annotations

from django.contrib.auth import get_user_model

from demo.report import Report, wait_until
from qa.models import Release
from training import services
from training.models import Run
from training.selectors import recipes, run_curves


def train(report: Report, *, recipe: str, seed: int) -> None:
    """The recipe on the release of everything, by the worker of the queue gpu."""
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
    over = [Run.State.FINISHED, Run.State.FAILED, Run.State.CANCELLED]
    wait_until(
        "epochs",
        done=lambda: Run.objects.filter(pk=run_id, state__in=over).exists(),
        count=lambda: epochs_of(Run.objects.get(pk=run_id)),
        send=services.runs_resume_stale,
        timeout_s=900,
    )


def epochs_of(run: Run) -> tuple[int, int]:
    epochs = recipes()[run.recipe].epochs
    seen = [row.get("epoch", 0) for row in run_curves(run).get("train", [])]
    return min(max(seen, default=0), epochs), epochs
