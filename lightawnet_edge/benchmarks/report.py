"""From a result to what people read: a table in the terminal, a page in the browser."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from lightawnet_edge.benchmarks import figures, samples
from lightawnet_edge.benchmarks.device_text import conditions, device_line, gpu_text
from lightawnet_edge.benchmarks.records import VISIBLE_DROP, Record
from lightawnet_edge.benchmarks.result import SCHEMA, BenchResult, Contours
from lightawnet_edge.benchmarks.verdict import executed_text, fastest_first, headline, tiles
from lightawnet_edge.bundle.store import replace_file
from lightawnet_edge.codec import dumps
from lightawnet_edge.data.faults import printable
from lightawnet_edge.errors import BackendUnavailableError
from lightawnet_edge.scores import latency as stats
from lightawnet_edge.scores.text import change_texts, milliseconds, percent, shares_text
from lightawnet_edge.tables import Fitted, plain_table

PAGE_NEEDS = ("jinja2", "matplotlib")
"""Modules that a page is made with."""
HTML, JSON = "report.html", "report.json"
_MB = 1e6
_HEADINGS = ("p50 ms\n/ min", "p90", "p99", "start s\n/ MB", "Dice\n/ IoU", "Dice change\n/ 95 %")
_STYLES = {"failed": "red", "doubt": "yellow"}


def write_report(result: BenchResult, folder: Path) -> Path:
    """Write `report.json`, then `report.html` into a folder; return the page.

    Raises:
        BackendUnavailableError: Jinja2 or matplotlib is not installed; the data are written.
    """
    write_json(result, folder)
    return write_page(result, folder)


def write_json(result: BenchResult, folder: Path) -> Path:
    """Write `report.json` into a folder: all that was measured."""
    text = dumps(result, schema=SCHEMA, indent=None, sort_keys=False)
    replace_file(folder / JSON, text.encode())
    return folder / JSON


def write_page(result: BenchResult, folder: Path) -> Path:
    """Write `report.html` into a folder.

    Raises:
        BackendUnavailableError: Jinja2 or matplotlib is not installed.
    """
    replace_file(folder / HTML, html(result).encode())
    return folder / HTML


def document(result: BenchResult, page: Path) -> dict[str, Any]:
    """What `bench --json` prints, but for the schema number: all that the terminal shows."""
    return {"report": printable(str(page)), "headline": headline(result), **result.summary()}


def folder_name(result: BenchResult) -> str:
    """Time of the result as a name that sorts by time, e.g. '2026-01-31T12-00-00'."""
    return samples.folder_name(result.created)


def console(result: BenchResult) -> Group:
    """Everything for the terminal, within any width: verdict, table, failures, GPU, doubts."""
    notes = Table.grid(padding=(0, 1))
    for label, text in _notes(result):
        notes.add_row(Text(label, _STYLES.get(label, "")), Text(text))
    return Group(Text(headline(result), "bold"), Fitted(table(result)), notes)


def _notes(result: BenchResult) -> Iterator[tuple[str, str]]:
    """What stands under the table: a label, and a sentence."""
    records = fastest_first(result.records)
    for failure in result.failures:
        yield "failed", f"{failure.bundle}: {failure.reason}"
    yield from (
        ("call", f"{one.bundle}: {shares_text(one.parts_s)}") for one in records if one.parts_s
    )
    if result.gpu is not None:
        yield "gpu", gpu_text(result)
    yield from (("gpu", f"{one.bundle}: {device_line(one)}") for one in records if one.runs_on_gpu)
    yield from (("Dice", text) for text in _against(result))
    yield from (("doubt", text) for text in result.doubts)
    doubted = (one for one in records if one.doubts)
    yield from (("doubt", f"{one.bundle}: {'; '.join(one.doubts)}") for one in doubted)


def _against(result: BenchResult) -> list[str]:
    """What each engine's change of Dice is measured against, where that is not one for all."""
    pairs = [
        (record.bundle, record.baseline)
        for record in result.records
        if record.dice_drop is not None and not record.is_baseline
    ]
    if len({baseline for _, baseline in pairs}) < 2:
        return []
    return [f"{bundle}: against {baseline}" for bundle, baseline in pairs]


def table(result: BenchResult) -> Table:
    """One engine a row, fastest first; two lines each."""
    found = plain_table()
    found.add_column("engine\n/ executed", overflow="fold", max_width=32)
    for heading in _HEADINGS:
        found.add_column(heading, justify="right", no_wrap=True)
    for record in fastest_first(result.records):
        found.add_row(*(Text(f"{first}\n{second}") for first, second in _cells(record)))
    return found


def _cells(record: Record) -> list[tuple[str, str]]:
    latency, accuracy, memory = record.latency, record.accuracy, record.timing.peak_memory_bytes
    return [
        (record.bundle, executed_text(record)),
        (milliseconds(latency.p50_s), milliseconds(latency.min_s)),
        (milliseconds(latency.p90_s), ""),
        (milliseconds(latency.p99_s), ""),
        (f"{record.cold_start_s:.2f}", "–" if memory is None else f"{memory / _MB:.0f}"),
        (f"{accuracy['dice']:.4f}", f"{accuracy['iou']:.4f}"),
        _change(record, 3),
    ]


def html(result: BenchResult) -> str:
    """One page that needs no other file and no network.

    Raises:
        BackendUnavailableError: Jinja2 or matplotlib is not installed.
    """
    try:
        import jinja2
        import matplotlib as mpl
    except ImportError as error:
        raise BackendUnavailableError(
            "report", f"{error}. Install it: pip install 'lightawnet-edge[export]'"
        ) from error
    mpl.set_loglevel("error")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "conditions": conditions,
        "executed": executed_text,
        "change": _change,
        "megabytes": _megabytes,
        "ms": milliseconds,
        "outline": outline,
        "percent": percent,
        "shares": shares_text,
        "shell": shlex.join,
    }
    source = files("lightawnet_edge.benchmarks").joinpath("report.html").read_text(encoding="utf-8")
    return str(environment.from_string(source).render(_context(result)))


def _context(result: BenchResult) -> dict[str, Any]:
    records = fastest_first(result.records)
    deadline_s = result.settings["deadline_s"]
    compared = any(record.dice_drop and not record.is_baseline for record in records)
    return {
        "result": result,
        "records": records,
        "colors": figures.colors_of(records),
        "baseline_color": figures.BASELINE_COLOR,
        "headline": headline(result),
        "tiles": tiles(result),
        "deadline_s": deadline_s,
        "latency": figures.latency_figure(records, deadline_s),
        "trade": figures.trade_figure(records) if len(records) > 1 else None,
        "changes": figures.change_figure(records) if compared else None,
        "pictures": {picture.frame: picture for picture in result.pictures},
        "visible_drop": VISIBLE_DROP,
        "stats": stats,
        "gpu": gpu_text(result),
        "on_gpu": [record for record in records if record.runs_on_gpu],
    }


def outline(contours: Contours) -> str:
    """Path data of an SVG."""
    lines = (" ".join(f"{x},{y}" for x, y in line) for line in contours)
    return "".join(f"M{line}Z" for line in lines)


def _change(record: Record, digits: int = 4) -> tuple[str, str]:
    if record.is_baseline or record.dice_drop is None:
        return "–", ""
    return change_texts(record.dice_drop, digits)


def _megabytes(size: int | None) -> str:
    return "–" if size is None else f"{size / _MB:.{0 if size > 10 * _MB else 1}f} MB"
