"""The command line: parse, call one function, print its result."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
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
    report,
    sensitivity,
    stream,
    train,
    verify,
)
from lightawnet_edge.cli.examples import PROGRAM, examples_of
from lightawnet_edge.cli.failures import READER_GONE, explain
from lightawnet_edge.cli.terminal import complain, take_every_letter
from lightawnet_edge.errors import INTERRUPTED

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="LightAWNet from a PyTorch checkpoint to a measured engine on an edge device.",
    epilog="Exit codes: 0 done, 2 bad request, 3 bad or changed file, 4 backend cannot run here, "
    "5 check failed.",
)
_COMMANDS: dict[str, Callable[..., None]] = {
    "demo": bench.demo,
    "doctor": device.doctor,
    "train": train.train,
    "import-checkpoint": train.import_checkpoint,
    "evaluate": evaluate.evaluate,
    "card": evaluate.card,
    "calibrate": calibrate.calibrate,
    "export": export.export,
    "build": build.build,
    "inspect": inspect.inspect,
    "verify": verify.verify,
    "sensitivity": sensitivity.sensitivity,
    "bench": bench.bench,
    "report": report.report,
    "run": device.run,
    "stream": stream.stream,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, epilog=examples_of(_name))(_command)


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
            "--version", "-V", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Set up logging, once, on stderr."""
    logging.basicConfig(level=logging.DEBUG if debug else logging.ERROR, stream=sys.stderr)


def main() -> None:
    """Run the command line; an error becomes a line on stderr and an exit code."""
    rest = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(rest) < len(sys.argv) - 1
    take_every_letter()
    try:
        _run(["--debug", *rest] if debug else rest)  # it means the same wherever it stands
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        _settle_stdout()
        raise SystemExit(READER_GONE) from None
    except Exception as error:
        if debug:
            raise
        text, code = explain(error)
        with suppress(OSError):  # a full disk may be that of stderr
            complain(text)
        _settle_stdout()
        raise SystemExit(code) from None


def _run(words: list[str]) -> None:
    try:
        app(words, prog_name=PROGRAM)
    except SystemExit:
        if sys.stdout is not None:  # it may have been closed before we began
            sys.stdout.flush()  # here, since Python has no sentence for what fails at its very end
        raise


def _settle_stdout() -> None:
    """Let go of a stdout that takes no more: what is left in its buffer is no second error."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
