"""What the commands share: where text goes, and how JSON is asked for and printed."""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lightawnet_edge.cli.examples import PROGRAM
from lightawnet_edge.codec import dumps, json_text
from lightawnet_edge.data.faults import printable
from lightawnet_edge.progress import OnStep, Step

out_console = Console()
err_console = Console(stderr=True)
_drawn: list[Console] = []
"""Consoles on which a bar is being drawn: what is written past them would tear it."""

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of text.")]

_PLAIN = {
    "−": "-", "–": "-", "—": "-", "─": "-", "·": "-", "→": "->", "…": "...", "≥": ">=", "°": "deg ",
    "✓": "+", "✗": "x",
}  # fmt: skip
"""What stands for letters that a terminal lacks: a sign of a number must not become a '?'."""


def take_every_letter() -> None:
    """Have stdout and stderr write what their encoding lacks in letters that it has."""
    codecs.register_error("plain", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="plain")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """Replace what cannot be encoded: known signs, bytes of a file's name, else '?'."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(map(_plain_letter, text)), error.end


def _plain_letter(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # a byte that is no UTF-8, as Python holds it in a name
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return _PLAIN.get(letter, "?")


def narrate(text: str) -> None:
    """Tell on stderr what is going on, above a bar that is being drawn."""
    console = _drawn[-1] if _drawn else err_console
    console.print(f"[dim]· {escape(text)}[/dim]", highlight=False, soft_wrap=True)


def complain(text: str) -> None:
    """Tell on stderr what went wrong, in one line."""
    err_console.print(f"[red]error:[/red] {escape(text)}", highlight=False, soft_wrap=True)


def warn(text: str) -> None:
    """Tell on stderr what was skipped."""
    err_console.print(f"[yellow]skipped[/yellow] {escape(text)}", highlight=False, soft_wrap=True)


def print_json(value: object, schema: int | None = None) -> None:
    """Print records or plain values as a line of JSON in UTF-8; a document, given its schema."""
    if schema is None:
        text = f"{json_text(value)}\n"
    else:
        text = dumps(value, schema=schema, indent=None, sort_keys=False)
    typer.echo(text.encode(), nl=False)  # as bytes: the terminal's encoding may lack a letter


def command_line() -> tuple[str, ...]:
    """Words of the command line as it was given, for a record of what asked for it.

    Paths that go down from the working folder are told from there: records tell no one's folders
    without need.
    """
    below = re.compile(rf"^(--?[\w-]+=)?{re.escape(f'{Path.cwd()}{os.sep}')}(?=.)")
    return PROGRAM, *(printable(below.sub(r"\1", word)) for word in sys.argv[1:])


def bar_console() -> Console:
    """A console for what is redrawn while frames are decoded.

    Decoders are listened to on stderr, which is no terminal for those moments; what a bar writes in
    them is passed on.
    """
    return Console(stderr=True, force_terminal=err_console.is_terminal)


@contextmanager
def progress_bar() -> Iterator[OnStep]:
    """Draw a bar on stderr that follows the steps it is told; none where stderr is no terminal."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    )
    console, shown = bar_console(), err_console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        task, stage = progress.add_task("starting", total=None), ""

        def show(step: Step) -> None:
            nonlocal stage
            if step.stage != stage:  # the time left is of this stage's own speed
                stage = step.stage
                progress.reset(task, description=stage, total=step.total)
            progress.update(task, completed=step.done, total=step.total)

        if shown:
            _drawn.append(console)
        try:
            yield show
        finally:
            _drawn.clear()
