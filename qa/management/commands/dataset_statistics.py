"""Tab. II, Tab. III and Fig. 5 of the dataset as it stands (Sec. III-F)."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from qa import figures, selectors
from qa.export import reports, tables
from qa.management.commands import writing


class Command(BaseCommand):
    help = "Prints the dataset's statistics; with --out also writes every table as CSV and every figure as SVG (light and dark)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--format", choices=tables.FORMATS, default="table")
        parser.add_argument("--out", type=Path, metavar="DIR")

    def handle(self, *args: Any, **options: Any) -> None:
        numbers = selectors.dataset_numbers()
        named = reports.statistics_tables(numbers)
        text = tables.render(list(named.values()), numbers, format=options["format"], title="Statistics of the dataset")
        if not options["out"]:
            self.stdout.write(text, ending="")
            return
        folder: Path = options["out"]
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for name, table in named.items():
                (folder / f"{name}.csv").write_text(tables.as_csv(table), encoding="utf-8")
            for name, figure in figures.DATASET.items():
                for theme in figures.THEMES:
                    (folder / f"{name}-{theme}.svg").write_text(figure(numbers, theme=theme), encoding="utf-8")
            suffix = "txt" if options["format"] == "table" else options["format"]
            (folder / f"statistics.{suffix}").write_text(text, encoding="utf-8")
        self.stdout.write(f"{len(named)} tables and {len(figures.DATASET)} figures in {folder}")
