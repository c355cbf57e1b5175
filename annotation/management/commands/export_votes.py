"""manage.py export_votes votes.csv [--format csv|label-studio|doccano]"""

import sys
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.rules.exchange import WRITERS
from annotation.services import votes_export, votes_export_as


class Command(BaseCommand):
    help = "Writes every vote that counts towards a label to a file that import_votes takes; - is standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--format", choices=["csv", *WRITERS], default="csv", help="csv, or for another product")

    def handle(self, *args: Any, file: Path, format: str, **options: Any) -> None:
        if str(file) == "-":
            write(sys.stdout, format)
            return
        part = file.with_name(file.name + ".part")
        try:
            with part.open("w", encoding="utf-8", newline="") as out:
                write(out, format)
            part.replace(file)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
        self.stdout.write(f"votes written to {file}")


def write(out: TextIO, format: str) -> None:
    if format == "csv":
        votes_export(out)
    else:
        out.write(votes_export_as(format))
