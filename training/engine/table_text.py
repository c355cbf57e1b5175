"""A table of results as Markdown, LaTeX and CSV: mean ± deviation over seeds, the best bold, the second underlined, the paper's own number in grey beside."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from training.engine.significance import Difference

ALPHA = 0.05


@dataclass(frozen=True)
class Cell:
    """Scores in percent, one for each seed that is finished, and what the paper printed."""

    scores: tuple[float, ...] = ()
    paper: float | None = None

    @property
    def mean(self) -> float:
        return sum(self.scores) / len(self.scores)

    @property
    def deviation(self) -> float | None:
        """Of a sample; None under two seeds."""
        if len(self.scores) < 2:
            return None
        return (sum((s - self.mean) ** 2 for s in self.scores) / (len(self.scores) - 1)) ** 0.5


@dataclass(frozen=True)
class Line:
    """One row; note says why it has no numbers, differences holds what was tested against the baseline, p already corrected."""

    recipe: str
    name: str
    cells: Mapping[str, Cell]
    note: str = ""
    differences: Mapping[str, Difference] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """One table on one data set."""

    number: str
    title: str
    dataset: str
    columns: tuple[str, ...]
    lines: Sequence[Line]
    baseline: str
    remark: str = ""

    def ranks(self, column: str) -> dict[str, int]:
        """0 for the best mean, 1 for the second, of the rows that have numbers; equal means share a rank."""
        means = {line.recipe + line.name: round(line.cells[column].mean, 2) for line in self.lines if line.cells[column].scores}
        order = sorted(set(means.values()), reverse=True)
        return {key: order.index(mean) for key, mean in means.items()}


def number_text(cell: Cell) -> str:
    deviation = cell.deviation
    return f"{cell.mean:.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")


def is_significant(line: Line, column: str) -> bool:
    return column in line.differences and line.differences[column].p < ALPHA


def markdown(block: Block) -> str:
    """With the paper's numbers as grey formulas, which GitHub draws."""
    rows = [["", *block.columns], ["---", *("---:" for _ in block.columns)]]
    for line in block.lines:
        cells = []
        for column in block.columns:
            cell = line.cells[column]
            rank = block.ranks(column).get(line.recipe + line.name)
            text = number_text(cell) if cell.scores else "–"
            text = {0: f"**{text}**", 1: f"<u>{text}</u>"}.get(rank, text) if rank is not None else text
            text += "\\*" if is_significant(line, column) else ""
            cells.append(text + ("" if cell.paper is None else f" $\\color{{gray}}{{{cell.paper:.2f}}}$"))
        rows.append([line.name, *cells])
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return f"### Table {block.number}. {block.title}: {block.dataset}\n\n{table}\n\n{_legend(block)}\n"


def _legend(block: Block) -> str:
    seeds = max((len(c.scores) for line in block.lines for c in line.cells.values()), default=0)
    said = [
        f"Percent, mean ± standard deviation over {seeds} seed{'s' if seeds != 1 else ''}. Bold: best, underlined: second. Grey: as the paper prints it."
    ]
    base = next((line.name for line in block.lines if line.recipe == block.baseline), None)
    if base:
        said.append(f"\\*: differs from {base} by the paired bootstrap over the test clips, p < {ALPHA} after Holm's correction.")
    said += [f"{line.name}: {line.note}." for line in block.lines if line.note]
    return "  \n".join([*said, *([block.remark] if block.remark else [])])


def latex(block: Block) -> str:
    """A tabular to be read by \\input; wants booktabs and xcolor."""
    head = " & ".join(["", *(_escaped(c) for c in block.columns)])
    body = []
    for line in block.lines:
        cells = []
        for column in block.columns:
            cell = line.cells[column]
            rank = block.ranks(column).get(line.recipe + line.name)
            text = number_text(cell).replace(" ± ", r"\,$\pm$\,") if cell.scores else "--"
            text = {0: rf"\textbf{{{text}}}", 1: rf"\underline{{{text}}}"}.get(rank, text) if rank is not None else text
            text += "$^{*}$" if is_significant(line, column) else ""
            cells.append(text + ("" if cell.paper is None else rf" \textcolor{{gray}}{{\scriptsize {cell.paper:.2f}}}"))
        body.append(" & ".join([_escaped(line.name), *cells]) + r" \\")
    return "\n".join(
        [
            rf"% Table {block.number}: {block.title}, {block.dataset}",
            rf"\begin{{tabular}}{{l{'r' * len(block.columns)}}}",
            r"\toprule",
            head + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _escaped(text: str) -> str:
    for sign in "&%_#":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("†", r"$\dagger$")


CSV_HEADER = (
    "table", "dataset", "recipe", "name", "metric", "mean", "std", "seeds", "paper", "difference", "low", "high", "p_holm", "note",
)  # fmt: skip


def csv_text(blocks: Sequence[Block]) -> str:
    """One line for each number, for other programs."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    for block in blocks:
        for line in block.lines:
            for column in block.columns:
                cell, tested = line.cells[column], line.differences.get(column)
                mean = f"{cell.mean:.4f}" if cell.scores else ""
                std = "" if cell.deviation is None else f"{cell.deviation:.4f}"
                gap = (
                    ["", "", "", ""]
                    if tested is None
                    else [f"{100 * v:.4f}" for v in (tested.value, tested.low, tested.high)] + [f"{tested.p:.5f}"]
                )
                paper = "" if cell.paper is None else cell.paper
                writer.writerow(
                    [block.number, block.dataset, line.recipe, line.name, column, mean, std, len(cell.scores), paper, *gap, line.note]
                )
    return out.getvalue()
