"""manage.py import_annotators people.csv"""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.services import BadLines, people_import


class Command(BaseCommand):
    help = "Makes or updates people from a CSV file; all lines or none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            counts = people_import(file)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
        except BadLines as error:
            raise CommandError("\n".join(error.lines)) from None
        self.stdout.write(f"{counts['created']} people made, {counts['updated']} updated")
