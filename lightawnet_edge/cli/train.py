"""`train` and `import-checkpoint`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lightawnet_edge.cli.options import Options, takes
from lightawnet_edge.cli.terminal import JsonFlag, err_console, narrate, print_json
from lightawnet_edge.errors import INTERRUPTED, SpecError
from lightawnet_edge.specs import Size
from lightawnet_edge.training.config import TrainConfig


@takes(TrainConfig, unset=True)
def train(
    *,
    options: Options,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file with any of the settings; flags win over it."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the run was interrupted.")
    ] = False,
    augment: Annotated[
        float | None,
        typer.Option(help="Strength of the augmentation; 0 turns it off."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Train in FP32 or mixed precision; in several processes under torchrun or accelerate launch.

    Settings without a flag (EMA, weight decay, each augmentation) stand in the config file. The
    resolved config is saved with the run.
    """
    from lightawnet_edge.bundle.store import check_writable
    from lightawnet_edge.model.metadata import read_metadata
    from lightawnet_edge.model.packaged import resolve as find_checkpoint
    from lightawnet_edge.training import require
    from lightawnet_edge.training.config import resolve

    require()
    if augment is not None:
        options["augment"] = {"strength": augment}
    resolved = resolve(config, options, resume=resume)
    check_writable(resolved.out)
    for weights in filter(None, (resolved.init, resolved.teacher)):
        read_metadata(find_checkpoint(weights))
    from lightawnet_edge.training.progress import RichProgress  # and torch, which takes a while
    from lightawnet_edge.training.trainer import STATE
    from lightawnet_edge.training.trainer import train as fit

    try:
        result = fit(resolved, resume=resume, observer=RichProgress(err_console), narrate=narrate)
    except KeyboardInterrupt:
        kept = (resolved.out / STATE).exists()
        narrate(
            f"interrupted; go on with --resume: '{resolved.out}' holds the last whole epoch"
            if kept
            else "interrupted in the first epoch: nothing was kept"
        )
        raise typer.Exit(INTERRUPTED) from None
    if os.environ.get("RANK", "0") != "0":
        return  # torchrun: the first process speaks for all
    if as_json:
        print_json(result)
    else:
        typer.echo(
            f"{result.checkpoint}: validation Dice {result.score.dice:.4f} "
            f"(epoch {result.best_epoch} of {result.epochs}, {result.seconds:.0f} s)"
        )


def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="Pickle of the authors' code: {'state', 'epoch'}.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Checkpoint to write (.safetensors).")],
    size: Annotated[
        str, typer.Option(help="Input size that the weights were trained at.")
    ] = "256x256",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Convert a checkpoint of the authors' code, without running any code in it."""
    from lightawnet_edge.bundle.store import check_writable

    trained = Size.parse(size)
    check_writable(out.parent)
    from lightawnet_edge.model.author_checkpoint import convert_author_checkpoint

    if out.exists() and file.exists() and out.samefile(file):
        raise SpecError(f"'{out}' is the file to convert: it is never replaced. Choose another.")
    if out.exists() and not force:
        raise SpecError(f"'{out}' exists. Choose another --out, or replace it with --force.")
    meta = convert_author_checkpoint(file, out, trained)
    typer.echo(out)
    narrate(f"{meta.in_channels} input channel(s), {meta.size}, min-max normalization")
