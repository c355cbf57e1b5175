"""manage.py import_clips DIR [--list posts.csv]"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from crawler import services, tasks
from crawler.services.bringing import COLUMNS


class Command(BaseCommand):
    help = "Takes the clips of a folder in, to be cleaned, numbered and labelled like crawled ones. Run again, it takes what is new."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--list", type=Path, metavar="CSV", help=f"what is known of each file: {', '.join(COLUMNS)}")
        parser.add_argument("--basis", default="", help="by what right the clips are used (consent, licence, agreement); kept with each")

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            with tqdm(unit=" clips", disable=not self.stderr.isatty()) as bar:
                report = services.clips_bring(folder, options["list"], basis=options["basis"], progress=lambda *step: show(bar, *step))
        except services.BadList as error:
            raise CommandError("\n".join(error.lines)) from None
        except OSError as error:
            raise CommandError(f"{error}; what was taken in is kept, run it again") from None
        for video_id in report.new:  # were this cut short, resume_stale would send the rest
            tasks.advance_video.delay(video_id)
        for problem in report.refused:
            self.stderr.write(problem)
        self.stdout.write(f"{len(report.new)} clips taken in, {report.known} were here already, {len(report.refused)} files are no clips")
        if report.new:
            self.stdout.write("The workers clean them now; where none runs: manage.py clean")
        if not report.new and not report.known:
            raise CommandError(f"no clip was found in {folder}")


def show(bar: tqdm, done: int, total: int) -> None:
    bar.total, bar.n = total, done
    bar.refresh()
