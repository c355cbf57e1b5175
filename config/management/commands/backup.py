"""Writes the database and the index of the media into one verified file."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.backup import BackupError, backup_make, backup_verify


class Command(BaseCommand):
    help = "Write the database and the index of the media into one verified file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="a path, or s3://bucket/key")
        parser.add_argument("--portable", action="store_true", help="JSON lines that fit any database (slower)")
        parser.add_argument("--yes", action="store_true", help="replace the file if it exists")
        parser.add_argument("--verify", action="store_true", help="only check an existing backup")

    def handle(self, *args: Any, **options: Any) -> None:
        file = options["file"]
        try:
            if options["verify"]:
                manifest = backup_verify(file)
                self.stdout.write(f"{file}: whole, {manifest['kind']}, {sum(manifest['rows'].values())} rows, made {manifest['made_at']}")
                return
            backup = backup_make(file, portable=options["portable"], overwrite=options["yes"])
        except BackupError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{file}: {backup.kind}, {backup.rows} rows, {backup.size_bytes} bytes, sha256 {backup.sha256}")
