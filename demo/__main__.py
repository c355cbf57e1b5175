"""`./run demo [--clips DIR] [--no-serve] [--reset]`: the whole journey, from nothing to a labelled, released dataset and a trained network.

Run again, it continues where it was and duplicates nothing; --reset starts over. Its state lies under var/ (EMOTIONS_VAR).
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from demo import ROOT
from demo.clips import make_clips, read_labels
from demo.ground import set_up
from demo.processes import only_one, port_check, port_number, room_on_disk, running, wait_for_line
from demo.report import Report, bar, console
from demo.site import free_port

SEED = 2025
MADE_CLIPS = 60
STATE = ("demo", "queue", "media", "releases", "runs", "logs")


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    var = Path(os.environ.get("EMOTIONS_VAR") or ROOT / "var").resolve()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave by the same door as Ctrl-C
    if not options.no_serve:
        port_check(options.port)
    with ExitStack() as stack:
        stack.enter_context(room_on_disk())
        stack.enter_context(only_one(var))
        if options.reset:
            reset(var)
        report = Report()
        port = free_port()
        os.environ.update(environment(var, port))
        set_up(var)  # the settings read the environment set above; what is wrong with them is told before anything is made
        try:
            clips = given_clips(options.clips, report) if options.clips else made_clips(var, report, options.count)
        except ValueError as error:
            sys.exit(str(error))
        stack.enter_context(replica(var, clips, port))
        from demo import journey

        return journey.travel(report, var=var, seed=SEED, serve=not options.no_serve, port=options.port, recipe=options.recipe)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--clips", type=existing_folder, help="clips to show on the replica, with labels.csv or a folder per emotion if there are labels"
    )
    parser.add_argument("--count", type=int, default=MADE_CLIPS, help="how many clips to make when none are given")
    parser.add_argument("--no-serve", action="store_true", help="end when the table is printed")
    parser.add_argument("--reset", action="store_true", help="forget the earlier demo")
    parser.add_argument("--port", type=port_number, default=8000, help="where the site is served in the end")
    parser.add_argument("--recipe", default="debug", help="the training recipe")
    return parser.parse_args(arguments)


def existing_folder(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return path


def reset(var: Path) -> None:
    """Removes what a demo made, and nothing else that may lie in the folder."""
    for name in STATE:
        shutil.rmtree(var / name, ignore_errors=True)
    for path in var.glob("emotions.sqlite3*"):
        path.unlink()


def made_clips(var: Path, report: Report, count: int) -> Path:
    folder = var / "demo" / "clips"
    with report.stage("clips made") as row, bar("clips with picture and sound", count) as progress:
        make_clips(folder, count=count, seed=SEED, progress=progress)
        row.came_in = count
        row.went_out = len(list(folder.glob("*.mp4")))
    return folder


def given_clips(folder: Path, report: Report) -> Path:
    """The folder, once something in it can be shown; files that are no video are named. Raises ValueError where labels.csv is wrong or none is one."""
    from demo.replica.corpus import probed

    with report.stage("clips given") as row:
        labels = read_labels(folder)
        shown = probed(folder, labels)
        row.came_in, row.went_out = len(labels), len(shown)
        unfit = [label.file for label in labels if label.file not in shown]
        if not shown:
            raise ValueError(f"{folder} holds no video that can be read" + (f" ({', '.join(unfit[:3])} …)" if unfit else ""))
        if unfit:
            row.dropped = {"no video": len(unfit)}
            row.notes.append(f"left out, since they are no video: {', '.join(unfit[:10])}{' …' if len(unfit) > 10 else ''}")
    return folder


@contextmanager
def replica(var: Path, clips: Path, port: int) -> Iterator[None]:
    """The replica of the three platforms, on this port of loopback."""
    log = var / "logs" / "replica.log"
    log.unlink(missing_ok=True)
    command = [
        "-m",
        "demo.replica",
        "--port",
        str(port),
        "--state",
        str(var / "demo" / "replica"),
        "--clips",
        str(clips),
        "--seed",
        str(SEED),
    ]
    with running(command, log=log) as child:
        wait_for_line(log, "replica ready", child)
        yield


def environment(var: Path, replica_port: int) -> dict[str, str]:
    """The embedded default, with every platform host led to the replica: the demo never leaves this machine."""
    return {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "EMOTIONS_VAR": str(var),
        "CRAWL_REPLICA": f"127.0.0.1:{replica_port}",
        "CRAWL_REPLICA_CA": str(var / "demo" / "replica" / "ca.pem"),
        "CRAWL_DELAY_S": "0",
        "CRAWL_CONTACT": "demo@emotions.invalid",
    }


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        console.print("ended; run it again to continue")
        sys.exit(130)
