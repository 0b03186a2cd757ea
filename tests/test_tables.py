"""A table keeps every label and every number, however narrow the terminal is."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from lightawnet_edge.tables import Fitted, plain_table


def text_of(table: Table, width: int) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(Fitted(table))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


@pytest.fixture
def table() -> Table:
    found = plain_table()
    found.add_column("engine\n/ executed", overflow="fold", max_width=32)
    for heading in ("p50 ms\n/ min", "p90", "Dice", "MACs\n%"):
        found.add_column(heading, justify="right", no_wrap=True)
    found.add_row("polyp-openvino-int8\n95 % int8", "8.08\n8.00", "8.14\n", "0.73\n0.7-0.8", "95.1")
    found.add_row("pytorch-eager\n100 % fp32", "80.8\n80.0", "81.4\n", "–", "")
    return found


def test_where_it_fits_it_is_a_table(table: Table) -> None:
    assert text_of(table, 80).splitlines()[1].split() == ["engine", "p50", "ms", "MACs"]


def test_where_it_does_not_each_row_is_a_block_with_its_labels(table: Table) -> None:
    assert text_of(table, 38) == (
        "polyp-openvino-int8\n"
        "  executed 95 % int8   p50 ms 8.08\n"
        "  min 8.00   p90 8.14\n"
        "  Dice 0.73 0.7-0.8   MACs % 95.1\n"
        "pytorch-eager\n"
        "  executed 100 % fp32   p50 ms 80.8\n"
        "  min 80.0   p90 81.4   Dice –"
    )


@pytest.mark.parametrize("width", [20, 30, 60, 200])
def test_no_number_is_lost_at_any_width(table: Table, width: int) -> None:
    text = text_of(table, width)
    for number in ("8.08", "8.00", "8.14", "0.7-0.8", "95.1", "81.4"):
        assert number in text
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_a_footer_is_a_block_of_its_own() -> None:
    found = plain_table(footer=True)
    found.add_column("work", footer="sum", no_wrap=True)
    found.add_column("milliseconds of a call", footer="12.5", no_wrap=True)
    found.add_row("convolution", "11.5")
    assert text_of(found, 30) == (
        "convolution\n  milliseconds of a call 11.5\nsum\n  milliseconds of a call 12.5"
    )
