"""Takes a cc.csv in: a cross-check stage that was labelled elsewhere."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.services import BadLines
from qa import services


class Command(BaseCommand):
    help = "Imports cc.csv (stage,group,set,video,previous_emotion,annotator,emotion; three rows per video); all lines or none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="cc.csv")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = services.cross_check_import(options["file"])
        except BadLines as error:
            raise CommandError("\n".join(error.lines)) from error
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}") from error
        self.stdout.write(f"{done.sets} sets, {done.samples:,} samples, {done.votes:,} new votes, {done.unchanged:,} were here already")
        if done.strangers:
            self.stdout.write(f"not counted until they are members of these groups: {', '.join(done.strangers)}")
