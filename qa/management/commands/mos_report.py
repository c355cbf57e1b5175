"""MOS per dataset with 95 % intervals, and each rater's bias (Sec. III-E, Fig. 4)."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from qa import figures, selectors
from qa.export.reports import opinion_score_tables
from qa.export.tables import FORMATS, render
from qa.management.commands import writing
from qa.models import MosStudy


class Command(BaseCommand):
    help = "Prints the scores of a MOS study; --out writes the plot as SVG, light and dark."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study")
        parser.add_argument("--format", choices=FORMATS, default="table")
        parser.add_argument("--out", type=Path, metavar="DIR")

    def handle(self, *args: Any, **options: Any) -> None:
        study = MosStudy.objects.filter(name=options["study"]).first()
        if study is None:
            raise CommandError(f"no study is called {options['study']!r}")
        numbers = selectors.mos_numbers(study)
        shown = list(opinion_score_tables(numbers).values())
        if options["out"]:
            rated = [row for row in numbers["datasets"] if row["mean"] is not None]
            with writing(options["out"]):
                options["out"].mkdir(parents=True, exist_ok=True)
                for theme in figures.THEMES:
                    (options["out"] / f"mos-{theme}.svg").write_text(figures.opinion_scores(rated, theme=theme), encoding="utf-8")
        self.stdout.write(render(shown, numbers, format=options["format"], title=f"MOS study {study.name}"), ending="")
