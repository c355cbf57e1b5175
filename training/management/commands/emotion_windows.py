"""Has a finished run look at the clips stretch by stretch, for the review of changes of feeling."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from crawler.services import Away
from training import services
from training.launch import FolderBusy, NoFreeDevice
from training.models import Run


class Command(BaseCommand):
    help = "Write what a finished run sees in each stretch of every clip into EMOTION_WINDOWS; goes on where it was stopped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", type=int, help="its number: manage.py runs")
        parser.add_argument("--again", action="store_true", help="also for clips that an earlier run has seen")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            written = services.windows_write(options["run"], again=options["again"])
        except Run.DoesNotExist as error:
            raise CommandError(f"there is no run {options['run']}: manage.py runs lists them") from error
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except (NoFreeDevice, FolderBusy, Away, OSError, ValueError) as error:
            raise CommandError(f"{error}; what was written is kept, run it again") from error
        self.stdout.write(f"{written} clips")
