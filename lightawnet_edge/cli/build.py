"""`build`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lightawnet_edge.bundle.manifest import manifest_json
from lightawnet_edge.cli.paths import complete_bundle, find_bundle
from lightawnet_edge.cli.terminal import JsonFlag, narrate, out_console, print_json
from lightawnet_edge.data.faults import printable
from lightawnet_edge.errors import BackendUnavailableError


def build(
    kit: Annotated[
        Path,
        typer.Argument(
            help="Folder that 'export --target tensorrt' wrote, or a name under engines/.",
            autocompletion=complete_bundle,
        ),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Build again what is built, e.g. after an update.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Finish a kit on its device: build the engine, replay the golden frames, update the bundle."""
    from lightawnet_edge.targets.tensorrt.finish import build_kit
    from lightawnet_edge.targets.tensorrt.kit_text import describe_kit

    kit = find_bundle(kit)
    result = build_kit(kit, force=force, narrate=narrate)
    if as_json:
        manifest = manifest_json(result.bundle.manifest)
        path = printable(str(kit))
        print_json({"bundle": path, "built": result.built, "manifest": manifest})
    else:
        if not result.built:
            narrate("nothing to do: this bundle is built (--force builds it again)")
        out_console.print(describe_kit(result.bundle), highlight=False, soft_wrap=True)
    if result.not_replayed is not None:
        raise BackendUnavailableError(
            "replay",
            f"{result.not_replayed}\n'{kit}' has an engine now that never ran, and is left "
            f"unchecked. Finish it on a machine that runs it: lightawnet-edge build {kit}",
        )
