"""`inspect`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lightawnet_edge.cli.options import Options, takes
from lightawnet_edge.cli.paths import complete_bundle, find_bundle
from lightawnet_edge.cli.terminal import JsonFlag, narrate, out_console, print_json, progress_bar
from lightawnet_edge.errors import SpecError
from lightawnet_edge.inspection import inspection
from lightawnet_edge.inspection.inspection import InspectSpec


@takes(InspectSpec)
def inspect(
    *,
    bundle: Annotated[
        Path | None,
        typer.Argument(
            help="Folder that 'export' wrote, or a name under engines/; not with --routing.",
            autocompletion=complete_bundle,
        ),
    ] = None,
    routing: Annotated[
        str,
        typer.Option(
            metavar="CHECKPOINT",
            help="Study the routing of weights instead: a checkpoint file, or a packaged name.",
        ),
    ] = "",
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="With --routing: folder of frames, best with images/ and masks/. Half of them set "
            "means, costs are measured on the others. Default: packaged frames."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="With --routing: folder of the picture.")
    ] = Path("reports"),
    options: Options,
    as_json: JsonFlag = False,
) -> None:
    """Say what a bundle really executes, layer by layer, and where its time goes.

    With --routing: how much the kernels of a network vary over frames, and what freezing costs.
    """
    if (bundle is None) is not bool(routing):
        raise SpecError("Inspect either a bundle or --routing CHECKPOINT: give exactly one.")
    if bundle is None:
        _routing(routing, calibration, out, as_json)
        return
    from lightawnet_edge.inspection.inspection import inspect as look
    from lightawnet_edge.inspection.report import console, document

    if calibration is not None:
        raise SpecError("--calibration is for --routing CHECKPOINT. Leave it out for a bundle.")
    spec = InspectSpec(bundle=bundle, **options)
    found = look(replace(spec, bundle=find_bundle(bundle)))
    if as_json:
        print_json(document(found), inspection.SCHEMA)
    else:
        out_console.print(console(found))


def _routing(weights: str, calibration: Path | None, out: Path, as_json: bool) -> None:
    from lightawnet_edge.bundle.store import check_writable, replace_file
    from lightawnet_edge.model.packaged import name_of
    from lightawnet_edge.model.packaged import resolve as find_checkpoint
    from lightawnet_edge.packages import require

    check_writable(out)
    name = name_of(find_checkpoint(weights))
    require("inspect --routing", ("torch", "cv2", "safetensors", "matplotlib"), "export")
    from lightawnet_edge.approximation.routing_plan import inspect_routing
    from lightawnet_edge.approximation.routing_report import SCHEMA, console, document, picture

    with progress_bar() as show:
        found = inspect_routing(weights, calibration, narrate, show)
    file = out / f"routing-{name}.png"
    replace_file(file, picture(found, name))
    if as_json:
        print_json(document(found, name), SCHEMA)
    else:
        out_console.print(console(found, name))
    narrate(f"picture: {file}")
