"""Tries the labelling protocol on simulated annotators before anyone is hired (Sec. III-D)."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError, CommandParser

from qa import figures, selectors
from qa.export.tables import Table, render
from qa.rules.protocol import Settings, simulate

MOST = 2_000_000


class Command(BaseCommand):
    help = "Runs the ladder on simulated annotators, beside majority, Dawid–Skene and adaptive stopping at equal votes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--samples", type=int, default=100_000)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--format", choices=["table", "json"], default="table")
        parser.add_argument("--mix-from-data", action="store_true", help="the class mix of the labelled videos instead of the paper's")
        parser.add_argument("--out", type=Path, metavar="DIR", help="also write the plot as SVG")
        for field in fields(Settings):
            if field.name != "class_mix":
                parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["samples"] <= MOST or options["seed"] < 0:
            raise CommandError(f"--samples must be 1..{MOST:,} and --seed 0 or more")
        chosen = {field.name: options[field.name] for field in fields(Settings) if field.name != "class_mix"}
        if options["mix_from_data"]:
            chosen["class_mix"] = tuple(row["videos"] for row in selectors.dataset_numbers()["emotions"][:-1])
        try:
            found = simulate(options["samples"], Settings(**chosen), rng=np.random.default_rng(options["seed"]))
        except ValueError as error:
            raise CommandError(str(error)) from error
        if options["out"]:
            options["out"].mkdir(parents=True, exist_ok=True)
            for theme in figures.THEMES:
                (options["out"] / f"protocols-{theme}.svg").write_text(figures.protocols(asdict(found), theme=theme), encoding="utf-8")
        if options["format"] == "json":
            self.stdout.write(json.dumps(asdict(found) | {"seed": options["seed"], "settings": chosen}, ensure_ascii=False))
            return
        rows = [tuple(row.values()) for row in found.rows]
        shown = [
            Table(
                f"{found.num_samples:,} simulated samples, κ of members {found.kappa:.3f}",
                ("protocol", "accuracy", "votes per sample"),
                rows,
            ),
            Table("Decided at", ("rung", "share"), list(found.decided_at.items())),
        ]
        self.stdout.write(render(shown, {}, format="table", title=""), ending="")
