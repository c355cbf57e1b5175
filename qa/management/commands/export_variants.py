"""Writes release folders: every labelled video, the balanced variant, the test variant (Sec. III-G)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from crawler.services import Away
from qa import services
from qa.export import FORMATS, MEDIA
from qa.management.commands import seed_check
from qa.rules.variants import BALANCED_LIMITS, TEST_VARIANT_SIZE, VARIANTS


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


class Command(BaseCommand):
    help = "Writes releases of the labelled dataset into DIR/<variant>, each registered and verifiable."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--out", required=True, type=Path, metavar="DIR")
        parser.add_argument("--variants", type=names, default=list(VARIANTS), help=f"comma-separated; default {','.join(VARIANTS)}")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--media", choices=MEDIA, default="link", help="hard link, copy, name the S3 keys, or leave the clips out")
        parser.add_argument("--format", type=names, default=[], dest="formats", help=f"also write: {','.join(FORMATS)}; comma-separated")
        for name, limit in BALANCED_LIMITS.items():
            parser.add_argument(f"--{name.lower()}", type=int, default=limit, help=f"{name} videos of the balanced variant")
        parser.add_argument("--test-size", type=int, default=TEST_VARIANT_SIZE, help="videos of the test variant")
        parser.add_argument("--allow-short", action="store_true", help="take what there is when a variant asks for more")

    def handle(self, *args: Any, **options: Any) -> None:
        seed_check(options["seed"])
        if not options["variants"]:
            raise CommandError(f"--variants names none: choose from {', '.join(VARIANTS)}")
        sizes = self._sizes(options)
        source = services.release_source()
        for variant in options["variants"]:  # all can be made, or none is begun
            self._do(
                services.release_choose, variant, source, seed=options["seed"], allow_short=options["allow_short"], sizes=sizes.get(variant)
            )
        for variant in options["variants"]:
            release = self._do(
                self._make,
                variant,
                source=source,
                sizes=sizes.get(variant),
                out_dir=options["out"],
                **{name: options[name] for name in ("seed", "media", "formats", "allow_short")},
            )
            parts = ", ".join(f"{split} {sum(counts.values()):,}" for split, counts in release.counts.items())
            self.stdout.write(f"{release.name}: {parts} in {release.path}")

    def _sizes(self, options: dict[str, Any]) -> dict[str, dict[str, Any]]:
        limits = {name: options[name.lower()] for name in BALANCED_LIMITS}
        if min(*limits.values(), options["test_size"]) < 1:
            raise CommandError("sizes must be 1 or more")
        return {"balanced": {"limits": limits}, "test": {"size": options["test_size"]}}

    def _make(self, variant: str, **options: Any) -> Any:
        return services.release_make(variant=variant, **options)

    def _do(self, act: Callable[..., Any], variant: str, *args: Any, **options: Any) -> Any:
        try:
            return act(variant, *args, **options)
        except Away as error:
            raise CommandError(f"{variant}: {error}; what was brought here stays, run it again") from error
        except ValidationError as error:
            raise CommandError(f"{variant}: {' '.join(error.messages)}") from error
        except OSError as error:  # a full disk, a folder that may not be written
            raise CommandError(f"{variant}: no release was written: {error}") from error
