"""Proves that a release folder is still what was written: every file there, none added, each with its sha256."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from qa import services


class Command(BaseCommand):
    help = "Checks every file of a release folder against release.json; exit status 1 when anything differs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR")

    def handle(self, *args: Any, **options: Any) -> None:
        problems = services.release_verify(options["folder"])
        if problems:
            raise CommandError("\n".join(problems))
        self.stdout.write(f"{options['folder']}: intact")
