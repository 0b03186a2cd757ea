"""`train` and `import-checkpoint`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from lightawnet_edge.cli.terminal import JsonFlag, err_console, narrate
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import Size

INTERRUPTED = 130
"""Exit code of a program that was ended by Ctrl-C, as shells have it."""


def train(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with images/ and masks/, of equal stems."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Run folder.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file with any of the settings; flags win over it."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the run was interrupted.")
    ] = False,
    split: Annotated[
        Path | None,
        typer.Option(help="File with the stems to train on, one a line."),
    ] = None,
    val_split: Annotated[
        Path | None,
        typer.Option(help="File with the stems to validate on."),
    ] = None,
    val_fraction: Annotated[
        float | None,
        typer.Option(help="Share of frames for validation, where no split file is given."),
    ] = None,
    size: Annotated[str | None, typer.Option(help="Network input, HEIGHTxWIDTH.")] = None,
    in_channels: Annotated[int | None, typer.Option(help="3 for colour, 1 for gray.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.")] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Frames per step, over all processes."),
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    warmup_epochs: Annotated[
        float | None, typer.Option(help="The learning rate rises for this long.")
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(help="'bce-dice', or 'bce' as in the paper."),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="auto, fp32, bf16, or fp16 on CUDA."),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after this many epochs without a better Dice; 0: never."),
    ] = None,
    augment: Annotated[
        float | None,
        typer.Option(help="Strength of the augmentation; 0 turns it off."),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(help="Checkpoint, or packaged weights, to start from."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="CPU threads per process; 0: torch's choice."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Train in FP32 or mixed precision; in several processes under torchrun or accelerate launch.

    Settings without a flag (EMA, weight decay, each augmentation) stand in the config file. The
    resolved config is saved with the run.
    """
    from lightawnet_edge.training import require
    from lightawnet_edge.training.config import resolve

    require()  # before torch and its like are imported
    from lightawnet_edge.training.progress import RichProgress
    from lightawnet_edge.training.trainer import STATE
    from lightawnet_edge.training.trainer import train as fit

    flags: dict[str, Any] = {
        "data": data, "out": out, "split": split, "val_split": val_split,
        "val_fraction": val_fraction, "size": size, "in_channels": in_channels, "epochs": epochs,
        "batch_size": batch_size, "lr": lr, "warmup_epochs": warmup_epochs, "loss": loss,
        "precision": precision, "patience": patience, "init": init, "seed": seed,
        "device": device, "threads": threads,
    }  # fmt: skip
    if augment is not None:
        flags["augment"] = {"strength": augment}
    resolved = resolve(config, flags, resume=resume)
    try:
        result = fit(resolved, resume=resume, observer=RichProgress(err_console))
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
        typer.echo(json.dumps(asdict(result), default=str))
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
    from lightawnet_edge.model.author_checkpoint import convert_author_checkpoint

    if out.exists() and not force:
        raise SpecError(f"'{out}' exists. Choose another --out, or replace it with --force.")
    meta = convert_author_checkpoint(file, out, Size.parse(size))
    typer.echo(out)
    narrate(f"{meta.in_channels} input channel(s), {meta.size}, min-max normalization")
