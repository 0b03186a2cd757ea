"""`run` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightawnet_edge.cli.paths import complete_bundle, expand_patterns, find_bundle
from lightawnet_edge.cli.terminal import (
    JsonFlag,
    bar_console,
    err_console,
    narrate,
    out_console,
    print_json,
    warn,
)
from lightawnet_edge.errors import ArtifactError

if TYPE_CHECKING:
    from lightawnet_edge.runtime.playback import Played


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
    from rich.progress import Progress

    from lightawnet_edge.runtime.playback import expand, play
    from lightawnet_edge.runtime.segmenter import Segmenter

    inputs = expand(expand_patterns(files), narrate)
    done: list[Played] = []
    skipped: list[Played] = []
    with (
        Segmenter.load(find_bundle(bundle), threads=threads or None) as segmenter,
        Progress(
            console=bar_console(), transient=True, disable=not err_console.is_terminal
        ) as progress,
    ):
        task = progress.add_task("segmenting", total=len(inputs) if len(inputs) > 1 else None)
        for played in play(segmenter, inputs, out):
            progress.advance(task)
            (skipped if played.error else done).append(played)
            if played.error:
                warn(played.error)
    if as_json:
        rows = [
            {"name": p.name, "foreground": p.foreground, "error": p.error}
            for p in [*done, *skipped]
        ]
        print_json(rows)
    else:
        typer.echo(f"{len(done)} masks and overlays in {out}, {len(skipped)} skipped")
    if not done:
        raise ArtifactError("Every frame was skipped: none could be read.")
