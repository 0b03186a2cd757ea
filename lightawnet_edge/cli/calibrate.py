"""`calibrate`."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from lightawnet_edge.calibration.pool import DesignSpec
from lightawnet_edge.cli.options import Options, takes
from lightawnet_edge.cli.terminal import JsonFlag, narrate, out_console, print_json, progress_bar


@takes(DesignSpec)
def calibrate(
    *,
    options: Options,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the set.")],
    as_json: JsonFlag = False,
) -> None:
    """Choose the frames that set INT8 scales; say what they cover and what was refused."""
    from lightawnet_edge.calibration.design import design
    from lightawnet_edge.calibration.record import SCHEMA
    from lightawnet_edge.calibration.summary import console

    spec = DesignSpec(**options)
    if spec.stability and find_spec("torch") is None:
        narrate("torch is not installed: how stable the scales are is not measured")
        spec = replace(spec, stability=False)
    with progress_bar() as show:
        record = design(spec, out, on_step=show, narrate=narrate)
    if as_json:
        print_json(record, SCHEMA)
        return
    out_console.print(console(record))
    typer.echo(f"calibration set: {out}")
