"""Tables that keep their labels and numbers in a narrow terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

STACKED = "/ "
"""Begins the second line of a heading over cells of two lines, of which each has its own label."""
_FOLDED = 12
"""Least width of a column that may be folded: names stay readable."""
_INDENT, _GAP = "  ", "   "


def plain_table(*, footer: bool = False) -> Table:
    """A table without frames, to fill."""
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_footer=footer)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A table; where the terminal is too narrow for it, a block for each row.

    Rich would cut numbers, and then drop whole columns. A block has the first line of the first
    cell for a title, and below it each label with its number.
    """

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Called by rich."""
        if _least_width(self.table) <= options.max_width:
            yield self.table
            return
        for row in _rows(self.table):
            yield from _block(self.table.columns, row, options.max_width)


def _least_width(table: Table) -> int:
    columns = table.columns
    _, right, _, left = table.padding
    # Columns stand between dividers and edges; the padding at the edges is left out.
    return sum(map(_column_width, columns)) + len(columns) + 1 + (left + right) * (len(columns) - 1)


def _column_width(column: Column) -> int:
    cells = [column.header, column.footer, *column.cells]
    widest = max(cell_len(line) for cell in cells for line in _lines(cell))
    folds = not column.no_wrap
    return min(widest, _FOLDED) if folds else widest


def _rows(table: Table) -> Iterator[list[Text]]:
    yield from (
        list(map(_text, row)) for row in zip(*(c.cells for c in table.columns), strict=True)
    )
    if table.show_footer:
        yield [_text(column.footer) for column in table.columns]


def _block(columns: list[Column], row: list[Text], width: int) -> Iterator[Text]:
    """The lines of one row: its title, then as many pairs a line as fit."""
    (_, title), *pairs = [
        pair for column, cell in zip(columns, row, strict=True) for pair in _pairs(column, cell)
    ]
    yield Text.assemble((title.plain, "bold"))
    line = Text(_INDENT)
    for label, value in pairs:
        item = Text.assemble((label, "dim"), " ", value)
        if line.plain.strip() and line.cell_len + len(_GAP) + item.cell_len > width:
            yield line
            line = Text(_INDENT)
        line.append_text(Text(_GAP if line.plain.strip() else "")).append_text(item)
    if line.plain.strip():
        yield line


def _pairs(column: Column, cell: Text) -> Iterator[tuple[str, Text]]:
    """Labels and values of a cell: a line each where the heading is stacked, or else one."""
    labels, values = _lines(column.header), list(cell.split("\n"))
    stacked = len(labels) > 1 and labels[1].startswith(STACKED)
    if not stacked:
        labels, values = [" ".join(labels)], [Text(" ").join(values)]
    for label, value in zip(labels, values, strict=False):
        if value.plain.strip():
            yield label.removeprefix(STACKED), value


def _lines(cell: object) -> list[str]:
    return _text(cell).plain.split("\n")


def _text(cell: object) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))
