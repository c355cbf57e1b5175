"""Tries the labelling protocol on simulated annotators before anyone is hired (Sec. III-D)."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from qa import figures, selectors, services
from qa.export.reports import simulation_tables
from qa.export.tables import FORMATS, render
from qa.management.commands import seed_check, writing
from qa.rules.protocol import Settings

MOST = 2_000_000


class Command(BaseCommand):
    help = "Runs the ladder on simulated annotators, beside majority, Dawid–Skene and adaptive stopping at equal votes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--samples", type=int, default=100_000)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--format", choices=FORMATS, default="table")
        parser.add_argument("--mix-from-data", action="store_true", help="the class mix of the labelled videos instead of the paper's")
        parser.add_argument("--people-from-data", action="store_true", help="the confusions of the people who voted, by Dawid–Skene")
        parser.add_argument("--out", type=Path, metavar="DIR", help="also write the plot as SVG")
        for field in fields(Settings):
            if field.name != "class_mix":
                parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)

    def handle(self, *args: Any, **options: Any) -> None:
        seed_check(options["seed"])
        if not 1 <= options["samples"] <= MOST:
            raise CommandError(f"--samples must be 1 to {MOST:,}, got {options['samples']:,}")
        chosen = {field.name: options[field.name] for field in fields(Settings) if field.name != "class_mix"}
        if options["mix_from_data"]:
            chosen["class_mix"] = tuple(selectors.class_mix())
        try:
            found = services.simulation_numbers(
                options["samples"], Settings(**chosen), seed=options["seed"], people_from_data=options["people_from_data"]
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        if options["out"]:
            with writing(options["out"]):
                options["out"].mkdir(parents=True, exist_ok=True)
                for theme in figures.THEMES:
                    (options["out"] / f"protocols-{theme}.svg").write_text(figures.protocols(found, theme=theme), encoding="utf-8")
        numbers = found | {"seed": options["seed"], "settings": chosen}
        self.stdout.write(render(list(simulation_tables(found).values()), numbers, format=options["format"], title=self.help), ending="")
