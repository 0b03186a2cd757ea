"""What the commands share: where text goes, and how JSON is asked for and printed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lightawnet_edge.codec import dumps, json_text
from lightawnet_edge.progress import OnStep, Step

out_console = Console()
err_console = Console(stderr=True)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of text.")]


def narrate(text: str) -> None:
    """Tell on stderr what is going on."""
    err_console.print(f"[dim]· {escape(text)}[/dim]", highlight=False, soft_wrap=True)


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


@contextmanager
def progress_bar() -> Iterator[OnStep]:
    """Draw a bar on stderr that follows the steps it is told; none where stderr is no terminal."""
    from rich.progress import Progress

    with Progress(
        console=err_console, transient=True, disable=not err_console.is_terminal
    ) as progress:
        task = progress.add_task("starting", total=None)

        def show(step: Step) -> None:
            progress.update(task, description=step.stage, completed=step.done, total=step.total)

        yield show
