"""`./run serve [--port N]`: the site and its worker on the data under var/ (EMOTIONS_VAR)."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from demo import ROOT
from demo.ground import make_ready
from demo.processes import only_one, port_check, port_number, room_on_disk
from demo.site import site, worker

DEFAULT_PORT = 8000


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run serve", description=__doc__)
    parser.add_argument("--port", type=port_number, default=DEFAULT_PORT)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave by the same door as Ctrl-C
    var = Path(os.environ.get("EMOTIONS_VAR") or ROOT / "var").resolve()
    port_check(options.port)
    with room_on_disk(), only_one(var):
        make_ready()
        with worker(var / "logs", beat=True), site(var / "logs", port=options.port) as address:
            print(f"{address} — Ctrl-C ends it; logs in {var / 'logs'}", flush=True)
            tell_if_empty()
            wait_for_the_end()
    return 0


def tell_if_empty() -> None:
    from django.contrib.auth.models import User  # only once Django is set up

    if not User.objects.exists():
        print(
            "Nobody can sign in yet: ./run demo makes people and data, .venv/bin/python manage.py createsuperuser one account", flush=True
        )


def wait_for_the_end() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        print("ending…", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    sys.exit(main(sys.argv[1:]))
