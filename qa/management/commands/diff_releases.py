"""What changed between two releases: clips added and removed, labels and splits that differ."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from qa import selectors, services


def folder_of(told: str) -> Path:
    """The folder itself, or that of the registered release of this name."""
    found = None if Path(told).exists() else selectors.releases().filter(name=told).first()
    return found.folder if found else Path(told)


class Command(BaseCommand):
    help = "Shows how release B differs from release A."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("first", metavar="A", help="a release folder, or the name of a registered release")
        parser.add_argument("second", metavar="B")
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            difference = services.releases_diff(folder_of(options["first"]), folder_of(options["second"]))
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        if options["format"] == "json":
            self.stdout.write(json.dumps(asdict(difference), ensure_ascii=False))
            return
        lines = [f"+ {name}" for name in difference.added] + [f"- {name}" for name in difference.removed]
        lines += [f"~ {name}: {old} → {new}" for name, old, new in [*difference.relabelled, *difference.moved]]
        lines += [f"! {name}: another file under the same name" for name in difference.changed_media]
        self.stdout.write("\n".join(lines) if lines else "the two hold the same clips, labels and splits")
