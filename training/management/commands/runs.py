"""Lists the training runs, the newest first."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from training import selectors


class Command(BaseCommand):
    help = "List training runs: number, state, recipe, release, seed, device, scores."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--limit", type=int, default=20)
        parser.add_argument("--format", choices=["table", "json"], default="table")

    def handle(self, *args: Any, **options: Any) -> None:
        runs = [selectors.run_facts(run) for run in selectors.runs_newest()[: max(0, options["limit"])]]
        if options["format"] == "json":
            self.stdout.write(json.dumps(runs, indent=2))
            return
        if not runs:
            self.stdout.write("no run yet: manage.py train --recipe debug --release NAME")
        for run in runs:
            scores = " ".join(f"{name}={run[name]:.4f}" for name in ("acc", "wa_f1", "uar") if run[name] is not None)
            self.stdout.write(
                f"{run['id']:>5} {run['state']:<9} {run['recipe']:<14} {run['release']:<24} seed {run['seed']} {run['device']} {scores}".rstrip()
            )
