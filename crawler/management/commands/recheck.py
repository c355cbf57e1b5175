"""manage.py recheck: are the posts of the kept videos still there? Monthly, and before each release."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from crawler import services


class Command(BaseCommand):
    help = "Look up the posts of kept videos again; with --take-down, remove those that are gone or private now."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than", type=float, default=30, metavar="DAYS", help="only posts not looked up for so long (30)")
        parser.add_argument("--limit", type=int, default=1000, help="posts in this run (1000); the next run goes on behind them")
        parser.add_argument("--take-down", action="store_true")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["older_than"] < 0 or options["limit"] < 1:
            raise CommandError("--older-than must not be negative, and --limit must be at least 1")
        with tqdm(unit="post", disable=options["json"] or not self.stderr.isatty()) as bar:

            def show(done: int, total: int) -> None:
                bar.total, bar.n = total, done
                bar.refresh()

            older = timedelta(days=options["older_than"])
            counts = services.posts_recheck(older_than=older, limit=options["limit"], take_down=options["take_down"], progress=show)
        lines = [f"{count:>7}  {name}" for name, count in counts.items()] or ["no kept post is due"]
        self.stdout.write(json.dumps(counts) if options["json"] else "\n".join(lines))
