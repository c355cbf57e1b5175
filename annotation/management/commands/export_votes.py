"""manage.py export_votes votes.csv"""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.services import votes_export


class Command(BaseCommand):
    help = "Writes every vote that counts towards a label to a CSV file that import_votes takes; - is standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        if str(file) == "-":
            votes_export(sys.stdout)
            return
        part = file.with_name(file.name + ".part")
        try:
            with part.open("w", encoding="utf-8", newline="") as out:
                count = votes_export(out)
            part.replace(file)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
        self.stdout.write(f"{count} votes written to {file}")
