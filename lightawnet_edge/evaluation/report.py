"""An evaluation as tables: for the terminal, and as Markdown for a model card."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from lightawnet_edge.evaluation.evaluation import SIZES, Evaluation, Summary
from lightawnet_edge.scores.intervals import Interval
from lightawnet_edge.tables import Fitted, plain_table

HEADINGS = ("frames", "Dice", "IoU", "precision", "recall", "HD95 px", "HD95 %")
_NAME_LETTERS = 14
"""Longer names go over several lines of the terminal: two-line rows then fit 80 columns."""
NONE = "–"
"""Stands where there is no value."""


def rows(result: Evaluation) -> list[list[tuple[str, str]]]:
    """A row for all frames, each lesion size and each group.

    A cell is a value and its interval; the first is a name and what it stands for.
    """
    found = [_row("all", "", result.overall)]
    found += [_row(name, f"{SIZES[name]}, ", part) for name, part in result.by_size.items()]
    return found + [_row(name, "", part) for name, part in result.by_group.items()]


def notes(result: Evaluation) -> list[str]:
    """What the table cannot say, in sentences."""
    empty, undefined = result.empty, result.overall.hd95_undefined
    found = []
    if empty.n:
        found.append(
            f"Empty frames: {empty.n}, with a false alarm on {empty.false_alarms} "
            f"({100 * empty.false_alarms / empty.n:.0f} %); each alarm is a Dice of 0 in 'all'."
        )
    else:
        found.append("Empty frames: none.")
    lesions = len(result.frames) - empty.n
    found.append(f"Lesions of which nothing was found: {result.missed} of {lesions} frames.")
    if undefined:
        found.append(
            f"HD95 is not defined on {undefined} frames, where exactly one mask is empty; its "
            "mean leaves them out."
        )
    return found + [f"{doubt[0].upper()}{doubt[1:]}." for doubt in result.doubts]


def console(result: Evaluation) -> Group:
    """Everything for the terminal."""
    weights = result.weights
    head = Text(f"{weights.name} at {result.size}: Dice {result.overall.dice.mean:.4f}", "bold")
    source = Text(
        f"{result.overall.n} frames of {result.data}"
        + (f", split {result.split}" if result.split else "")
        + f"; weights {weights.sha256[:12]}, frames {result.frames_sha256[:12]}",
        "dim",
    )
    return Group(head, source, Fitted(table(result)), *(Text(note) for note in notes(result)))


def table(result: Evaluation) -> Table:
    """A row for each part of the frames; two lines each: mean, and 95 % interval."""
    found = plain_table()
    found.padding = 0
    found.add_column(HEADINGS[0], overflow="fold", max_width=_NAME_LETTERS)
    for heading in HEADINGS[1:]:
        found.add_column(heading, justify="right", no_wrap=True)
    for row in rows(result):
        found.add_row(*(Text("\n".join(cell)) for cell in row))
    return found


def markdown(result: Evaluation) -> str:
    """The same table in Markdown, a line a row."""
    return markdown_table(HEADINGS, ([_joined(cell) for cell in row] for row in rows(result)))


def markdown_table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Write a table; a pipe or a line break in a cell cannot end it."""
    cells = [headings, ["---"] * len(headings), *lines]
    escaped = (" | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in r) for r in cells)
    return "\n".join(f"| {line} |" for line in escaped)


def interval_text(interval: Interval | None, digits: int = 3, scale: float = 1) -> tuple[str, str]:
    """Mean and 95 % interval as text."""
    if interval is None:
        return NONE, ""
    low, high = scale * interval.low, scale * interval.high
    between = " to " if low < 0 else "-"
    return f"{scale * interval.mean:.{digits}f}", f"{low:.{digits}f}{between}{high:.{digits}f}"


def _row(name: str, meaning: str, part: Summary) -> list[tuple[str, str]]:
    scores = (part.dice, part.iou, part.precision, part.recall)
    return [
        (name, f"{meaning}n {part.n}"),
        *(interval_text(score) for score in scores),
        interval_text(part.hd95_px, digits=0),
        interval_text(part.hd95_share, digits=0, scale=100),
    ]


def _joined(cell: tuple[str, str]) -> str:
    return f"{cell[0]} ({cell[1]})" if cell[1] else cell[0]
