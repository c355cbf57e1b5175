"""From a video back to the page it came from, with every check, vote, re-opening and release on the way."""

import json
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from qa import selectors
from qa.export.tables import shown


class Command(BaseCommand):
    help = "Prints everything that happened to a video; VIDEO is its number, its clip's name or the platform's id."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("video", metavar="VIDEO")
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        video = selectors.video_find(options["video"])
        if video is None:
            raise CommandError(f"no video is called {options['video']!r}: give its number, its clip's name or the platform's id")
        found = selectors.lineage(video)
        if options["format"] == "json":
            self.stdout.write(json.dumps(found, ensure_ascii=False, default=datetime.isoformat))
            return
        for part, content in found.items():
            rows = content if isinstance(content, list) else [content] if content else []
            self.stdout.write(f"{part} ({len(rows)})" if isinstance(content, list) else part)
            for row in rows:
                self.stdout.write("  " + "  ".join(f"{key}={shown(value)}" for key, value in row.items() if value not in (None, "")))
