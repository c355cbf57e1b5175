"""The eight steps from an empty database to a trained network, each one continuing where an earlier run of it stopped.

What a step has done is read from the database, never remembered here: the demo may be killed between any two lines.
Import this once Django is set up.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from rich.table import Table

from demo.people import SamplePerson, sample_people
from demo.report import Report, console
from demo.serve import wait_for_the_end
from demo.site import site, worker
from demo.steps.collect import clean, collect
from demo.steps.cross_check import cross_check
from demo.steps.label import label, simulated_annotators, true_emotions
from demo.steps.release import release
from demo.steps.staff import staff
from demo.steps.train import train


def travel(report: Report, *, var: Path, seed: int, serve: bool, port: int, recipe: str) -> int:
    """All steps in order; the exit status is 1 when any stage came out empty."""
    people = sample_people(var / "demo" / "passwords.json", seed=seed)
    logs = var / "logs"
    with ExitStack() as stack:
        stack.enter_context(worker(logs, beat=False))
        collect(report, seed=seed)
        clean(report)
        feelings = true_emotions(var / "demo" / "replica" / "truth.json")
        staff(report, people, feelings, seed=seed)
        address = stack.enter_context(site(logs, port=port if serve else None))
        annotators = simulated_annotators(people, feelings, address, seed=seed)
        label(report, annotators)
        cross_check(report, annotators, seed=seed)
        release(report, seed=seed)
        train(report, recipe=recipe, seed=seed)
        console.print(report.table())
        empty = report.empty_stages()
        if empty:
            console.print(f"[red]came out empty: {', '.join(empty)}[/red]")
        if serve:
            welcome(address, people)
            wait_for_the_end()
    return 1 if empty else 0


def welcome(address: str, people: list[SamplePerson]) -> None:
    table = Table(title=f"The site: {address}", title_justify="left")
    for name in ("role", "user name", "password", ""):
        table.add_column(name)
    seen = set()
    for person in people:
        if person.role not in seen:
            table.add_row(person.role, person.username, person.password, "simulated" if person.is_simulated else "")
            seen.add(person.role)
    console.print(table)
    console.print("Ctrl-C ends it; ./run serve starts the site again on the same data.")
