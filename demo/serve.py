"""`./run serve [--port N]`: the site and its worker on the data under var/ (EMOTIONS_VAR)."""

from __future__ import annotations

import argparse
import signal
import sys

import django
from django.conf import settings
from django.core.management import call_command

from demo.processes import only_one
from demo.site import site, worker

DEFAULT_PORT = 8000


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run serve", description=__doc__)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    options = parser.parse_args(arguments)
    django.setup()
    call_command("migrate", verbosity=0)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave by the same door as Ctrl-C
    logs = settings.VAR_DIR / "logs"
    with only_one(settings.VAR_DIR), worker(logs, beat=True), site(logs, port=options.port) as address:
        print(f"{address} — Ctrl-C ends it; logs in {logs}", flush=True)
        wait_for_the_end()
    return 0


def wait_for_the_end() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        print("ending…", flush=True)


if __name__ == "__main__":
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    sys.exit(main(sys.argv[1:]))
