"""`sensitivity`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightawnet_edge.cli.paths import complete_bundle, find_bundle
from lightawnet_edge.cli.terminal import JsonFlag, narrate, out_console, print_json, progress_bar
from lightawnet_edge.targets.table import known

_PROBED = " or ".join(name for name, traits in known().items() if traits.can_probe)

if TYPE_CHECKING:
    from lightawnet_edge.data.pixels import Mask, UInt8


def sensitivity(
    bundle: Annotated[
        Path,
        typer.Argument(
            help=f"INT8 bundle for {_PROBED}: its folder, or a name under engines/.",
            autocompletion=complete_bundle,
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with images/ and masks/. Default: the packaged evaluation frames."
        ),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(help="File with the names of the frames to use, one a line."),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, help="Use at most this many frames, evenly spaced; 0 uses all.")
    ] = 0,
    layers: Annotated[
        int, typer.Option(min=0, help="Put so many layers in float, one at a time: the noisiest.")
    ] = 12,
    as_json: JsonFlag = False,
) -> None:
    """Say where the error of an INT8 engine comes from: its layers, the most harmful first."""
    from lightawnet_edge.approximation.sensitivity import refuse_float
    from lightawnet_edge.approximation.sensitivity import sensitivity as measure
    from lightawnet_edge.approximation.sensitivity_report import SCHEMA, console, document
    from lightawnet_edge.bundle.bundle import Bundle
    from lightawnet_edge.data.frameset import FrameSet
    from lightawnet_edge.data.listing import describe_unused
    from lightawnet_edge.data.samples import EVALUATION
    from lightawnet_edge.model.domain import doubt_packaged, refuse_packaged

    opened = Bundle.open(find_bundle(bundle))
    refuse_float(opened.manifest)
    contract = opened.manifest.contract
    if data is None:
        refuse_packaged(contract.color, opened.manifest.name, "--data DIR")
        if doubt := doubt_packaged(
            opened.manifest.checkpoint.sha256, opened.manifest.name, "--data DIR"
        ):
            narrate(f"doubt: {doubt}")
    frames = FrameSet.open(data or EVALUATION, masks=True, split=split, limit=limit or None)
    for text in (*describe_unused(frames.unused), *frames.check_pairs(contract.color)):
        narrate(text)

    def pairs() -> Iterator[tuple[UInt8, Mask]]:
        for file in frames.files:
            yield file.pair_seen_by(contract.camera)

    with progress_bar() as show:
        found = measure(opened, pairs, worst=layers, narrate=narrate, on_step=show)
    if as_json:
        print_json(document(found, opened.manifest.name), SCHEMA)
    else:
        out_console.print(console(found, opened.manifest.name))
