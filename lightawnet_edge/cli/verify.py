"""`verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lightawnet_edge.cli.paths import complete_bundle, find_bundle
from lightawnet_edge.cli.terminal import JsonFlag, out_console, print_json


def verify(
    bundle: Annotated[
        Path,
        typer.Argument(
            help="Folder that 'export' wrote, or a name under engines/.",
            autocompletion=complete_bundle,
        ),
    ],
    as_json: JsonFlag = False,
) -> None:
    """Check every file of a bundle against its manifest, and the manifest against its digest."""
    from lightawnet_edge.inspection import verified

    found = verified.verify(find_bundle(bundle))
    if as_json:
        print_json(found, verified.SCHEMA)
    else:
        out_console.print(verified.describe(found), highlight=False, markup=False, soft_wrap=True)
