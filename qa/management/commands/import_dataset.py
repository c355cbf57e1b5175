"""Takes a labelled dataset of another origin in, for MOS studies and training."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from qa import services
from qa.management.commands import seed_check


class Command(BaseCommand):
    help = "Registers DIR (a release, parquet with video_data/name/label, or a folder per class) as a release of its own; what some browser does not play becomes MP4 (H.264, AAC)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR")
        parser.add_argument("--name", help="default: the folder's name")
        parser.add_argument("--out", type=Path, help="where the release folder goes; default: the site's releases")
        parser.add_argument("--seed", type=int, default=0, help="of the split, where the dataset has none")
        parser.add_argument("--media", choices=["link", "copy"], default="link")

    def handle(self, *args: Any, **options: Any) -> None:
        out = options["out"] or Path(settings.RELEASES_DIR) / "imported"
        name = options["name"] or options["folder"].resolve().name
        seed_check(options["seed"])
        try:
            release = services.dataset_import(options["folder"], name=name, out_dir=out, seed=options["seed"], media=options["media"])
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except OSError as error:
            raise CommandError(f"{options['folder']}: nothing was imported: {error}") from error
        parts = ", ".join(f"{split} {sum(counts.values()):,}" for split, counts in release.counts.items())
        self.stdout.write(f"{release.name}: {parts} in {release.path}")
