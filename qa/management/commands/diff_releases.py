"""What changed between two releases: clips added and removed, labels and splits that differ."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from qa import services


class Command(BaseCommand):
    help = "Shows how release B differs from release A."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("first", type=Path, metavar="A")
        parser.add_argument("second", type=Path, metavar="B")
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            difference = services.releases_diff(options["first"], options["second"])
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        if options["format"] == "json":
            self.stdout.write(json.dumps(asdict(difference), ensure_ascii=False))
            return
        lines = [f"+ {name}" for name in difference.added] + [f"- {name}" for name in difference.removed]
        lines += [f"~ {name}: {old} → {new}" for name, old, new in [*difference.relabelled, *difference.moved]]
        lines += [f"! {name}: another file under the same name" for name in difference.changed_media]
        self.stdout.write("\n".join(lines) if lines else "the two hold the same clips, labels and splits")
