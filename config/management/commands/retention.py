"""Shows what the RETAIN_*_DAYS settings would remove tonight, or removes it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from config.retention import planned, sweep
from crawler.storage import Away


class Command(BaseCommand):
    help = "Show what the RETAIN_*_DAYS settings would remove; --apply removes it now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--apply", action="store_true", help="remove it now instead of showing it")
        parser.add_argument("--most-s", type=float, default=3600.0, help="stop after so many seconds (3600)")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        if not options["apply"]:
            for kind, number in planned(now=now):
                told = "kept for ever" if number is None else f"{number} older than {kind.days} days would go"
                self.stdout.write(f"{kind.name:<9} {told}: {kind.about} ({kind.setting})")
            return
        try:
            for swept in sweep(now=now, most_s=options["most_s"]):
                self.stdout.write(f"{swept.kind.name:<9} {swept.removed} removed, {swept.left} left: {swept.kind.about}")
        except Away as error:
            raise CommandError(f"the store of the clips is away, run it again later: {error}") from error
