"""Writes release folders: every labelled video, the balanced variant, the test variant (Sec. III-G)."""

from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from qa import services
from qa.export import FORMATS, MEDIA
from qa.rules.variants import VARIANTS


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


class Command(BaseCommand):
    help = "Writes releases of the labelled dataset into DIR/<variant>, each registered and verifiable."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--out", required=True, type=Path, metavar="DIR")
        parser.add_argument("--variants", type=names, default=list(VARIANTS), help=f"comma-separated; default {','.join(VARIANTS)}")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--media", choices=MEDIA, default="link", help="hard link, copy, or leave the clips out")
        parser.add_argument("--format", type=names, default=[], dest="formats", help=f"also write: {','.join(FORMATS)}; comma-separated")
        parser.add_argument("--allow-short", action="store_true", help="take what there is when a variant asks for more")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["seed"] < 0:
            raise CommandError(f"--seed must be 0 or more, got {options['seed']}")
        source = services.release_source()
        for variant in options["variants"]:
            try:
                release = services.release_make(
                    variant=variant,
                    out_dir=options["out"],
                    seed=options["seed"],
                    media=options["media"],
                    formats=options["formats"],
                    allow_short=options["allow_short"],
                    source=source,
                )
            except ValidationError as error:
                raise CommandError(f"{variant}: {' '.join(error.messages)}") from error
            parts = ", ".join(f"{split} {sum(counts.values()):,}" for split, counts in release.counts.items())
            self.stdout.write(f"{release.name}: {parts} in {release.path}")
