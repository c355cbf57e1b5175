"""What the demo shows while it works and at its end: progress bars, and one table of stages."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.conf import settings
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

console = Console()
SEND_EVERY_S = 15


@dataclass
class Stage:
    """One row of the table: what came in, what went out, what was left behind and why."""

    name: str
    came_in: int = 0
    went_out: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Report:
    stages: list[Stage] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Times a stage and adds its row; what the stage raises goes on."""
        console.rule(f"[bold]{name}", align="left")
        row = Stage(name)
        start = time.monotonic()
        yield row
        row.seconds = time.monotonic() - start
        for note in row.notes:
            console.print(f"  {note}", highlight=False)
        self.stages.append(row)

    def empty_stages(self) -> list[str]:
        return [row.name for row in self.stages if row.went_out == 0]

    def table(self) -> Table:
        table = Table(title="The journey", title_justify="left")
        for name in ("stage", "in", "out", "dropped, and why", "seconds"):
            table.add_column(name, justify="right" if name in {"in", "out", "seconds"} else "left")
        for row in self.stages:
            why = ", ".join(f"{count} {reason}" for reason, count in sorted(row.dropped.items(), key=lambda item: -item[1]))
            table.add_row(row.name, str(row.came_in), str(row.went_out), why, f"{row.seconds:.1f}")
        table.add_row("all", "", "", "", f"{sum(row.seconds for row in self.stages):.1f}", style="bold")
        return table


@contextmanager
def bar(text: str, total: int | None = None) -> Iterator[Bar]:
    """A progress bar; on a terminal it moves, in a log its end is one line."""
    columns = [TextColumn("  {task.description}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=console, transient=console.is_terminal) as progress:
        shown = Bar(progress, progress.add_task(text, total=total))
        yield shown
    if console.is_terminal:
        console.print(f"  {text}: {shown.done}")


@dataclass
class Bar:
    progress: Progress
    task: TaskID
    done: int = 0

    def set(self, done: int, total: int | None = None) -> None:
        self.done = done
        self.progress.update(self.task, completed=done, total=total)

    def __call__(self, done: int, total: int) -> None:
        """As a progress callback."""
        self.set(done, total)


def wait_until(
    text: str,
    *,
    done: Callable[[], bool],
    count: Callable[[], tuple[int, int]],
    send: Callable[[], object] = lambda: None,
    timeout_s: float,
) -> None:
    """Shows a bar until done() holds; sends the task every SEND_EVERY_S. Raises TimeoutError with where to look."""
    start, sent = time.monotonic(), -math.inf
    with bar(text) as progress:
        while not done():
            now = time.monotonic()
            if now - sent > SEND_EVERY_S:
                send()
                sent = now
            if now - start > timeout_s:
                raise TimeoutError(f"{text}: not done after {timeout_s:.0f} s; see {settings.VAR_DIR / 'logs' / 'worker.log'}")
            progress.set(*count())
            time.sleep(0.3)
        progress.set(*count())


def told(number: float | None) -> str:
    return "undefined" if number is None else f"{number:.2f}"
