"""manage.py crawl STAGE: one crawl stage, from where it stopped; JSON of what came of it on request."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from crawler import services
from crawler.models import Platform, Stage


class Command(BaseCommand):
    help = "Crawl one stage: trending boards, then tags and searches, then posts. Run again, it continues."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("stage")
        parser.add_argument("--platform", action="append", choices=Platform.crawled(), help="only this platform (may be repeated)")
        parser.add_argument("--limit", type=int, default=1000, help="videos to discover at most, per platform")
        parser.add_argument("--site", metavar="HOST:PORT", help="a replica in the platforms' place (needs CRAWL_REPLICA_CA)")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--terms", type=int, help="words to ask for, per platform")
        parser.add_argument("--link", action="append", default=[], help="a post, user, tag or short link to begin with (may be repeated)")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help=f"any other setting of a new stage, VALUE as JSON or text (may be repeated): {', '.join(sorted(services.StageSettings.__annotations__))}",
        )
        parser.add_argument("--workers", type=int, default=2, help="threads that download and check beside the browser")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["site"]:
            settings.CRAWL_REPLICA = options["site"].removeprefix("https://").rstrip("/")
        try:
            stage = self._stage(options)
            finished_at = stage.finished_at if stage.state == Stage.State.DONE else None
            with tqdm(unit="", disable=options["json"] or not self.stderr.isatty()) as bar:
                counts = services.stage_crawl(stage.pk, progress=lambda *step: show(bar, *step), workers=options["workers"])
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(json.dumps(counts, ensure_ascii=False) if options["json"] else table(counts))
        stage.refresh_from_db()
        if stage.state == Stage.State.FAILED:
            raise CommandError(f"stage {stage.name} is not finished ({stage.reason}); run it again when the platforms can be reached")
        if finished_at and stage.finished_at == finished_at:
            self.stderr.write(f"stage {stage.name} was done already; to look for more, name a new stage")
        if not counts["found"]:
            raise CommandError(f"stage {options['stage']} found nothing; the lists' outcomes are above")

    def _stage(self, options: dict[str, Any]) -> Stage:
        """The stage of this name; says so where there was one that was told something else."""
        is_new = not Stage.objects.filter(name=options["stage"]).exists()
        chosen = services.settings_parsed(options["set"])
        if options["link"]:
            chosen["links"] = options["link"]
        if options["terms"] is not None:
            chosen["terms_per_platform"] = options["terms"]
        stage = services.stage_create(
            name=options["stage"], platforms=options["platform"] or (), seed=options["seed"], video_budget=options["limit"], **chosen
        )
        kept = {name: stage.settings.get(name) for name in chosen if stage.settings.get(name) != chosen[name]}
        if kept and not is_new:
            told = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in kept.items())
            self.stderr.write(f"stage {stage.name} was planned before and keeps its {told}; for others, name a new stage")
        return stage


def show(bar: tqdm, what: str, done: int, total: int) -> None:
    bar.set_description(what[:40])
    bar.total, bar.n = total, done
    bar.refresh()


def table(counts: dict[str, int]) -> str:
    return "\n".join(f"{count:>7}  {name}" for name, count in counts.items())
