"""`run` and `doctor`."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightawnet_edge.cli.paths import complete_bundle, expand_patterns, find_bundle
from lightawnet_edge.cli.terminal import (
    JsonFlag,
    narrate,
    out_console,
    print_json,
    progress_bar,
    warn,
)
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.progress import Step

if TYPE_CHECKING:
    from lightawnet_edge.runtime.playback import Played

TABLE = "frames.csv"
"""What became of each frame, beside the masks."""


def doctor(as_json: JsonFlag = False) -> None:
    """Say what this machine can build and run, and the reason for what it cannot."""
    from lightawnet_edge.inspection.doctor import examine, render

    findings = examine()
    if as_json:
        print_json(findings)
    else:
        out_console.print(render(findings), soft_wrap=True, highlight=False)


def run(
    bundle: Annotated[
        Path,
        typer.Argument(
            help="Folder that 'export' wrote, or a name under engines/.",
            autocompletion=complete_bundle,
        ),
    ],
    files: Annotated[
        list[Path], typer.Argument(help="Images, videos, folders of them, or patterns.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for masks and overlays.")] = Path(
        "masks"
    ),
    threads: Annotated[
        int, typer.Option(min=0, help="CPU threads; 0 leaves it to the backend.")
    ] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Segment images or a video: masks and overlays, with progress."""
    from lightawnet_edge.bundle.lock import writing
    from lightawnet_edge.runtime.playback import (
        check_outputs,
        expand,
        frames_of,
        play,
        write_table,
    )
    from lightawnet_edge.runtime.segmenter import Segmenter

    inputs = expand(expand_patterns(files), narrate)
    check_outputs(inputs, out)
    if older := sum(1 for _ in out.glob("*.mask.png")):
        warn(
            f"'{out}' holds {older} masks of earlier runs; those of frames that this run does not "
            "write stay as they are"
        )
    found: list[Played] = []
    with (
        writing(out),
        Segmenter.load(find_bundle(bundle), threads=threads or None) as segmenter,
        progress_bar() as show,
    ):
        total, start = frames_of(inputs), time.perf_counter()
        try:
            for played in play(segmenter, inputs, out):
                found.append(played)
                show(Step("segmenting", len(found), max(total, len(found))))
                if played.error:
                    warn(played.error)
        finally:  # what an interrupted run did is known, too
            if found:
                write_table(out / TABLE, found)
    wall_s = time.perf_counter() - start
    done = [played for played in found if not played.error]
    if as_json:
        print_json([asdict(played) for played in found])
    else:
        told = f"{len(done)} masks and overlays in {out}, {len(found) - len(done)} skipped"
        typer.echo(told + _pace(done, wall_s))
    if not done:
        raise ArtifactError("Every frame was skipped: none could be read.")


def _pace(done: list[Played], wall_s: float) -> str:
    """How many frames a second, in words; empty where there are none."""
    engine_s = sum(played.seconds for played in done)
    if not engine_s:
        return ""
    return (
        f"; {len(done) / wall_s:.1f} frames per second, the engine alone "
        f"{len(done) / engine_s:.1f} (each frame: {TABLE})"
    )
