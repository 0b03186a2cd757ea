"""`calibrate`."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from lightawnet_edge.cli.terminal import JsonFlag, narrate, out_console, progress_bar


def calibrate(
    data: Annotated[
        Path,
        typer.Option(
            help="Frames to choose from: a folder with images/ (and masks/), or one of images."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the set.")],
    frames: Annotated[int, typer.Option(help="Frames to choose.")] = 128,
    split: Annotated[
        Path | None,
        typer.Option(help="File with the names of the frames to choose from, one a line."),
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(
            help="CSV file 'stem,group' with each frame's source. Default: read off the names."
        ),
    ] = None,
    evaluation: Annotated[
        Path | None,
        typer.Option(
            help="Frames that accuracy will be measured on: none of them is chosen. Default: "
            "--data where --evaluation-split is given, the packaged evaluation frames otherwise."
        ),
    ] = None,
    evaluation_split: Annotated[
        Path | None,
        typer.Option(help="File with the names of the evaluation frames, one a line."),
    ] = None,
    allow_overlap: Annotated[
        bool,
        typer.Option("--allow-overlap", help="Choose frames of the evaluation set nevertheless."),
    ] = False,
    stability: Annotated[
        bool, typer.Option(help="Measure how INT8 scales move at half the size (needs torch).")
    ] = True,
    weights: Annotated[
        str,
        typer.Option(help="Checkpoint whose scales are measured: a file, or a packaged name."),
    ] = "polypgen",
    seed: Annotated[int, typer.Option(help="Equal seeds and frames give equal sets.")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a calibration set of this name.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Choose the frames that set INT8 scales; say what they cover and what was refused."""
    from lightawnet_edge.calibration.design import design
    from lightawnet_edge.calibration.pool import DesignSpec
    from lightawnet_edge.calibration.summary import console

    measurable = find_spec("torch") is not None
    if stability and not measurable:
        narrate("torch is not installed: how stable the scales are is not measured")
    spec = DesignSpec(
        data=data,
        frames=frames,
        split=split,
        groups=groups,
        evaluation=evaluation,
        evaluation_split=evaluation_split,
        allow_overlap=allow_overlap,
        seed=seed,
        weights=weights if stability and measurable else None,
        force=force,
    )
    with progress_bar() as show:
        record = design(spec, out, on_step=show)
    if as_json:
        typer.echo(json.dumps(record.to_json()))
        return
    out_console.print(console(record))
    typer.echo(f"calibration set: {out}")
