"""manage.py clean: the cleaning pipeline over every video that has its file and waits."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from crawler import services
from crawler.storage import Away


class Command(BaseCommand):
    help = "Check, compare and screen every video that waits; accepted ones get their numbers."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--recheck", action="store_true", help="also run checks whose version has risen since")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            counts = services.clean_waiting(recheck=options["recheck"])
        except Away as error:
            raise CommandError(f"{error}; what was done is kept, run it again") from error
        self.stdout.write("\n".join(f"{count:>7}  {name}" for name, count in sorted(counts.items())) or "nothing waits")
