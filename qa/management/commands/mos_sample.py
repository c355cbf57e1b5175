"""Draws a MOS study: a blind mix of clips of several datasets, for experts to rate in the browser (Sec. III-E)."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from qa import services
from qa.management.commands import seed_check
from qa.models import Release


class Command(BaseCommand):
    help = "Draws a MOS study from registered releases, ours and imported ones (see import_dataset)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", help="a name for the study")
        parser.add_argument("releases", nargs="+", metavar="RELEASE", help="names of registered releases")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--margin", type=float, default=0.05, help="margin of error that the sample size is worked out for")
        parser.add_argument("--confidence", type=float, default=0.95)
        parser.add_argument("--total", type=int, help="clips of all datasets together, instead of the formula's")

    def handle(self, *args: Any, **options: Any) -> None:
        known = {release.name: release for release in Release.objects.filter(name__in=options["releases"])}
        missing = [name for name in options["releases"] if name not in known]
        if missing:
            raise CommandError(f"no release is called {', '.join(missing)}")
        seed_check(options["seed"])
        if options["total"] is not None and options["total"] < 1:
            raise CommandError(f"--total must be 1 or more, got {options['total']}")
        chosen = {key: options[key] for key in ("seed", "margin", "confidence", "total")}
        try:
            study = services.mos_sample(options["study"], [known[name] for name in options["releases"]], **chosen)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(f"study {study.name}: {study.items.count():,} clips, rated at /mos/{study.name}/")
