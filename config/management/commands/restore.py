"""Puts the database back from a backup."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.backup import BackupError, backup_restore

NAMED_AT_MOST = 5


class Command(BaseCommand):
    help = "Put the database back from a backup. Stop the site and its workers first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="a path, or s3://bucket/key")
        parser.add_argument("--yes", action="store_true", help="replace a database that holds data")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            restored = backup_restore(options["file"], overwrite=options["yes"])
        except BackupError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{restored.rows} rows restored, {restored.clips} clips belong to them")
        if restored.missing:
            named = ", ".join(restored.missing[:NAMED_AT_MOST])
            self.stderr.write(f"{len(restored.missing)} clips are not where clips are kept, copy them back: {named}")
        if restored.unapplied:
            self.stderr.write(f"the backup is of an earlier version: run manage.py migrate ({len(restored.unapplied)} to apply)")
