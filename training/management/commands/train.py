"""Queues a training run; --wait follows it to its end."""

import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from training import services
from training.engine.recipes import changes_of
from training.launch import FolderBusy, NoFreeDevice
from training.models import Run

NOBODY_CAME_S = 15.0
POLL_S = 0.5


class Command(BaseCommand):
    help = "Train a recipe on a release, as the site and its calendar do: a run on the queue gpu."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--recipe", required=True)
        parser.add_argument("--release", required=True, metavar="NAME|DIR")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="change a field of the recipe for this run")
        parser.add_argument("--gpus", type=int, default=1, help="GPUs to use at most; 0 asks for the CPU")
        parser.add_argument("--wait", action="store_true", help="follow the run; exit status 0 only when it finished")
        parser.add_argument("--here", action="store_true", help="train in this process' children instead of a worker's; implies --wait")

    def handle(self, *args: Any, **options: Any) -> None:
        run = self._start(options)
        self.stderr.write(f"run {run.pk}: {run.recipe} on {run.release.name}, {run.state}")
        if options["here"]:
            self._execute(run)
        elif options["wait"]:
            self._wait(run)
        self._report(run)
        if options["wait"] or options["here"]:
            if run.state != Run.State.FINISHED:
                raise CommandError(f"run {run.pk} {run.state}: {run.error}")

    def _start(self, options: dict[str, Any]) -> Run:
        try:
            overrides = changes_of(options["set"])
            release = services.release_find(options["release"])
            return services.run_start(
                recipe=options["recipe"], release=release, seed=options["seed"], overrides=overrides, gpus=options["gpus"]
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except ValueError as error:
            raise CommandError(str(error)) from error

    def _wait(self, run: Run) -> None:
        """Follows the run; takes it into this process when it is still queued after a while and no worker has come."""
        began = time.monotonic()
        shown: dict[str, Any] = {}
        while run.is_live:
            if run.state == Run.State.QUEUED and time.monotonic() - began > NOBODY_CAME_S and not self._workers_busy():
                self.stderr.write(f"no worker took it within {NOBODY_CAME_S:g} s: training here")
                return self._execute(run)
            time.sleep(POLL_S)
            run.refresh_from_db()
            if run.progress and run.progress != shown:
                shown = run.progress
                self.stderr.write(" ".join(f"{name} {value}" for name, value in shown.items() if name != "time"))

    @staticmethod
    def _workers_busy() -> bool:
        return Run.objects.filter(state=Run.State.RUNNING).exists()

    def _execute(self, run: Run) -> None:
        try:
            services.run_execute(run.pk)
        except KeyboardInterrupt:
            run.refresh_from_db()
            if run.is_live:
                services.run_cancel(run, user=None)
            raise CommandError(f"run {run.pk} was stopped; its last checkpoint is kept") from None
        except (NoFreeDevice, FolderBusy) as error:
            raise CommandError(f"run {run.pk} stays queued: {error}") from error
        run.refresh_from_db()
        if run.state == Run.State.RUNNING:  # a worker was quicker
            self._wait(run)

    def _report(self, run: Run) -> None:
        run.refresh_from_db()
        scores = "".join(f" {name}={run.metrics[name]:.4f}" for name in ("acc", "wa_f1", "uar") if name in run.metrics)
        sys.stdout.flush()
        self.stdout.write(f"{run.pk} {run.state}{scores} {run.folder}".rstrip())
