"""manage.py import_votes votes.csv"""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.services import BadLines, votes_import


class Command(BaseCommand):
    help = "Takes votes in from a CSV file and decides labels from them by the ladder; all lines or none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            done = votes_import(file)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
        except BadLines as error:
            raise CommandError("\n".join(error.lines)) from None
        self.stdout.write(
            f"{done.votes} votes on {done.samples} samples, {done.decided} of them decided; "
            f"{done.videos} videos made; {done.unchanged} lines were here already"
        )
