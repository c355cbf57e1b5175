"""manage.py keep_clips: puts every clip of this machine where clips are kept (MEDIA_BUCKET)."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from crawler.services import Away, clips, clips_keep


class Command(BaseCommand):
    help = "Put every clip of this machine into the bucket where clips are kept; what is there already is left alone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--create-bucket", action="store_true", help="make the bucket if there is none")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["create_bucket"]:
                clips().make()
            kept, lost = clips_keep(self._progress)
        except Away as error:
            raise CommandError(f"{error}; what was put there stays, run it again") from error
        self.stdout.write(f"{kept} files put where clips are kept")
        if lost:
            raise CommandError(f"{len(lost)} files are neither there nor on this machine: {', '.join(lost[:5])}")

    def _progress(self, done: int, total: int) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r{done}/{total}", ending="")
