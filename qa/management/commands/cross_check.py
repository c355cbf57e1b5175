"""Draws, measures and acts on a cross-check stage (Sec. III-B, III-C)."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.services import Conflict
from qa import services
from qa.export import reports, tables


class Command(BaseCommand):
    help = (
        "draw: sets from each group's labels, opened as blind rounds; score: S_a and S_r; propose: the swap that is due; apply: perform it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["draw", "score", "propose", "apply"])
        parser.add_argument("--stage", required=True, help="sA, sB …")
        parser.add_argument("--seed", type=int, default=0, help="of the draw")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["seed"] < 0:
            raise CommandError(f"--seed must be 0 or more, got {options['seed']}")
        try:
            getattr(self, options["action"])(options["stage"], options["seed"])
        except (ValidationError, Conflict) as error:
            raise CommandError(" ".join(getattr(error, "messages", [str(error)]))) from error

    def draw(self, stage: str, seed: int) -> None:
        drawn = services.cross_check_draw(stage, seed=seed)
        samples = sum(row.items.count() for row in drawn.sets)
        self.stdout.write(f"stage {stage}: {len(drawn.sets)} sets, {samples:,} samples, {drawn.turns:,} turns opened")
        for line in drawn.short:
            self.stdout.write(f"short: {line}")

    def score(self, stage: str, seed: int) -> None:
        numbers = services.cross_check_score(stage).numbers
        self.stdout.write(tables.render(reports.stage_tables(numbers)[:2], numbers, format="table", title=stage))

    def propose(self, stage: str, seed: int) -> None:
        found = services.swap_propose(stage)
        self.stdout.write(f"{found.state}: {found.text}")

    def apply(self, stage: str, seed: int) -> None:
        found = services.swap_propose(stage)
        if found.step is None:
            self.stdout.write(f"{found.state}: {found.text}")
            return
        step = services.swap_apply(found.step.pk, user=None)
        self.stdout.write(f"applied: {found.text}; both label their new group's sets again")
        self.stdout.write(f"step {step.pk} of stage {stage}")
