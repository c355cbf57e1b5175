"""Draws, measures and acts on a cross-check stage (Sec. III-B, III-C)."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.models import Person
from annotation.services import Conflict
from qa import services
from qa.export import reports, tables
from qa.management.commands import seed_check
from qa.rules.adjustment import POLICIES
from qa.rules.consistency import PAIRINGS


class Command(BaseCommand):
    help = (
        "draw: sets from each group's labels, opened as blind rounds; score: S_a and S_r; propose: the swap that is due; apply: perform it; "
        "replace: the nearest reserve takes the place of a member who left."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["draw", "score", "propose", "apply", "replace"])
        parser.add_argument("--stage", required=True, help="sA, sB …")
        parser.add_argument("--seed", type=int, default=0, help="of the draw")
        parser.add_argument("--pairing", choices=PAIRINGS, default=PAIRINGS[0], help="of the draw: who labels whose sets")
        parser.add_argument("--policy", choices=POLICIES, help="of the loop: keep every swap, or take back one that made things worse")
        parser.add_argument("--person", help="who left (user name), for replace")
        parser.add_argument("--reason", default="", help="why, for replace")

    def handle(self, *args: Any, **options: Any) -> None:
        seed_check(options["seed"])
        try:
            getattr(self, options["action"])(options["stage"], options)
        except (ValidationError, Conflict) as error:
            raise CommandError(" ".join(getattr(error, "messages", [str(error)]))) from error

    def draw(self, stage: str, options: dict[str, Any]) -> None:
        drawn = services.cross_check_draw(stage, seed=options["seed"], pairing=options["pairing"])
        samples = sum(row.items.count() for row in drawn.sets)
        self.stdout.write(f"stage {stage}: {len(drawn.sets)} sets, {samples:,} samples, {drawn.turns:,} turns opened")
        for line in drawn.short:
            self.stdout.write(f"short: {line}")

    def score(self, stage: str, options: dict[str, Any]) -> None:
        numbers = services.cross_check_score(stage).numbers
        self.stdout.write(tables.render(reports.stage_tables(numbers)[:2], numbers, format="table", title=stage))

    def propose(self, stage: str, options: dict[str, Any]) -> None:
        found = services.swap_propose(stage, policy=options["policy"])
        self.stdout.write(f"{found.state}: {found.text}")

    def apply(self, stage: str, options: dict[str, Any]) -> None:
        found = services.swap_propose(stage, policy=options["policy"])
        if found.step is None:
            self.stdout.write(f"{found.state}: {found.text}")
            return
        step = services.swap_apply(found.step.pk, user=None)
        self.stdout.write(f"applied: {found.text}; both label their new group's sets again")
        self.stdout.write(f"step {step.pk} of stage {stage}")

    def replace(self, stage: str, options: dict[str, Any]) -> None:
        person = Person.objects.filter(user__username=options["person"]).first()
        if person is None:
            raise CommandError(f"nobody is called {options['person']!r}: give --person and --reason")
        step = services.member_replace(stage, person.pk, reason=options["reason"], user=None)
        self.stdout.write(f"replaced: {step.low} takes the place of {step.high} in group {step.numbers['high']['group']}")
