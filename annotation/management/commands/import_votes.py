"""manage.py import_votes votes.csv [--format csv|label-studio|doccano]"""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.rules.exchange import READERS
from annotation.services import BadLines, votes_csv_of, votes_import


class Command(BaseCommand):
    help = "Takes votes in from a file and decides labels from them by the ladder; all lines or none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--format", choices=["csv", *READERS], default="csv", help="csv, or another product's export")

    def handle(self, *args: Any, file: Path, format: str, **options: Any) -> None:
        try:
            done = votes_import(file if format == "csv" else votes_csv_of(format, file.read_text(encoding="utf-8-sig")))
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise CommandError(f"{file}: not UTF-8") from None
        except BadLines as error:
            raise CommandError("\n".join(error.lines)) from None
        self.stdout.write(
            f"{done.votes} votes on {done.samples} samples, {done.decided} of them decided; "
            f"{done.videos} videos made; {done.unchanged} lines were here already"
        )
