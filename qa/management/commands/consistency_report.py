"""S_a, S_r, μ, σ², consistency ratios, κ, α and AC1 with intervals, from the votes as they stand."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from qa import selectors
from qa.export import reports, tables
from qa.management.commands import writing


class Command(BaseCommand):
    help = "Prints the consistency and agreement report; without --stage every stage that was drawn."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--stage", help="sA, sB …")
        parser.add_argument("--format", choices=tables.FORMATS, default="table")
        parser.add_argument("--out", type=Path, metavar="F")

    def handle(self, *args: Any, **options: Any) -> None:
        stages = selectors.stages()
        if options["stage"]:
            if options["stage"] not in stages:
                raise CommandError(f"stage {options['stage']!r} has not been drawn; there is {', '.join(stages) or 'none yet'}")
            stages = [options["stage"]]
        numbers: dict[str, Any] = {
            "stages": [selectors.as_numbers(selectors.stage_scores(stage)) for stage in stages],
            "agreement": selectors.agreement_numbers(),
        }
        if options["stage"]:
            numbers |= numbers["stages"][0]
        shown = [table for stage in numbers["stages"] for table in reports.stage_tables(stage)]
        shown += reports.agreement_tables(numbers["agreement"])
        text = tables.render(shown, numbers, format=options["format"], title="Consistency and agreement")
        if options["out"]:
            with writing(options["out"]):
                options["out"].write_text(text, encoding="utf-8")
        else:
            self.stdout.write(text, ending="")
