"""`report`, and the page that `bench` leaves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightawnet_edge.cli.terminal import narrate, out_console
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, EdgeError

if TYPE_CHECKING:
    from lightawnet_edge.benchmarks.result import BenchResult


def report(
    file: Annotated[
        Path, typer.Argument(help="A report.json that 'bench' wrote, or the folder that it is in.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the page. Default: that of the file."),
    ] = None,
) -> None:
    """Make the page of a benchmark from its report.json, here or on another machine."""
    from lightawnet_edge.benchmarks.report import JSON, PAGE_NEEDS, console, write_page
    from lightawnet_edge.benchmarks.result import BenchResult
    from lightawnet_edge.bundle.store import check_writable
    from lightawnet_edge.packages import require

    file = file / JSON if file.is_dir() else file
    folder = out or file.parent
    check_writable(folder)
    require("report", PAGE_NEEDS, "export")
    result = BenchResult.read(file)
    page = write_page(result, folder)
    out_console.print(console(result))
    typer.echo(f"report: {page}")


def page_or_reason(result: BenchResult, file: Path) -> tuple[Path, EdgeError | None]:
    """Make the page beside a report.json; give what can be opened, and what went wrong.

    A machine that lacks the packages of a page is told so, and that is no failure.
    """
    from lightawnet_edge.benchmarks.report import write_page

    later = f"lightawnet-edge report {file}"
    try:
        return write_page(result, file.parent), None
    except BackendUnavailableError as error:
        narrate(f"no page: {error.reason}; or make it later, or elsewhere: {later}")
        return file, None
    except Exception as error:  # whatever a page dies of, the measurement is whole
        kind = ArtifactError if isinstance(error, OSError) else EdgeError
        return file, kind(
            f"The page could not be made ({type(error).__name__}: {' '.join(str(error).split())}). "
            f"What was measured is in '{file}'; make the page with: {later}"
        )
