"""manage.py takedown VIDEO: removes a video everywhere and leaves a tombstone."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from crawler import selectors, services


class Command(BaseCommand):
    help = "Remove a video (its number, PLATFORM/ID, or public name) and keep only a tombstone; the next release lacks it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("video")
        parser.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        video = selectors.video_named(options["video"])
        if video is None:
            raise CommandError(f"no video is called {options['video']!r}; give a number, a name like 00000001.mp4, or platform/id")
        kept = selectors.copy_kept(video)
        try:
            stone = services.video_takedown(video.pk, reason=options["reason"])
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(f"taken down: {stone.platform}/{stone.platform_id} ({stone.reason})")
        if kept:
            self.stderr.write(
                f"the same clip is kept as {kept} ({kept.platform}/{kept.platform_id}): if the content is to go, take that down too"
            )
        stone.refresh_from_db()
        if stone.leftovers:
            self.stderr.write("the store of the clips is away: nobody sees the clip any more, its files go when the store is back")
