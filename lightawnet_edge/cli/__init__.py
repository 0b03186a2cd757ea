"""The command line: parse, call one function, print its result."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from lightawnet_edge import __version__
from lightawnet_edge.cli import (
    bench,
    build,
    calibrate,
    device,
    evaluate,
    export,
    inspect,
    sensitivity,
    train,
)
from lightawnet_edge.cli.terminal import complain
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, EdgeError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="LightAWNet from a PyTorch checkpoint to a measured engine on an edge device.",
    epilog="Exit codes: 0 done, 2 bad request, 3 bad or changed file, 4 backend cannot run here, "
    "5 check failed.",
)
app.command()(bench.demo)
app.command()(device.doctor)
app.command()(train.train)
app.command("import-checkpoint")(train.import_checkpoint)
app.command()(evaluate.evaluate)
app.command()(evaluate.card)
app.command()(calibrate.calibrate)
app.command()(export.export)
app.command()(build.build)
app.command()(inspect.inspect)
app.command()(sensitivity.sensitivity)
app.command()(bench.bench)
app.command()(device.run)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and log messages.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Set up logging, once, on stderr."""
    logging.basicConfig(level=logging.DEBUG if debug else logging.ERROR, stream=sys.stderr)


def main() -> None:
    """Run the command line; turn the package's own errors into one line and an exit code."""
    rest = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(rest) < len(sys.argv) - 1
    try:
        app(["--debug", *rest] if debug else rest)  # it means the same wherever it stands
    except EdgeError as error:
        if debug:
            raise
        complain(str(error))
        raise SystemExit(error.exit_code) from None
    except ModuleNotFoundError as error:
        if debug:
            raise
        complain(
            f"{error}. Install all that a workstation needs: pip install 'lightawnet-edge[all]'"
        )
        raise SystemExit(BackendUnavailableError.exit_code) from None
    except OSError as error:
        if debug or error.filename is None:
            raise
        complain(f"'{error.filename}': {error.strerror}.")
        raise SystemExit(ArtifactError.exit_code) from None
