"""`inspect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lightawnet_edge.cli.terminal import JsonFlag, out_console


def inspect(
    bundle: Annotated[Path, typer.Argument(help="Folder that 'export' wrote.")],
    profile: Annotated[bool, typer.Option(help="Time every layer, on packaged frames.")] = True,
    calls: Annotated[int, typer.Option(help="Profiled calls; times are their means.")] = 30,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: physical cores.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Say what a bundle really executes, layer by layer, and where its time goes."""
    from lightawnet_edge.benchmarks.inspection import InspectSpec
    from lightawnet_edge.benchmarks.inspection import inspect as look
    from lightawnet_edge.benchmarks.inspection_report import console, to_json

    found = look(InspectSpec(bundle=bundle, profile=profile, calls=calls, threads=threads or None))
    if as_json:
        typer.echo(json.dumps(to_json(found), ensure_ascii=False))
    else:
        out_console.print(console(found))
