"""`evaluate` and `card`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lightawnet_edge.cli.terminal import JsonFlag, narrate, out_console, progress_bar
from lightawnet_edge.specs import Size


def evaluate(
    data: Annotated[Path, typer.Option(help="Folder with images/ and masks/, of equal stems.")],
    weights: Annotated[
        str, typer.Option(help="Checkpoint file, or name of packaged weights.")
    ] = "polypgen",
    split: Annotated[
        Path | None,
        typer.Option(help="File with the names of the frames to use, one a line."),
    ] = None,
    size: Annotated[
        str, typer.Option(help="Network input, HEIGHTxWIDTH. Default: the checkpoint's.")
    ] = "",
    groups: Annotated[
        Path | None,
        typer.Option(help="CSV file 'stem,group': scores are given by group, e.g. by centre, too."),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, help="Use at most this many frames, evenly spaced; 0 uses all.")
    ] = 0,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to PyTorch.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for evaluation.json and worst.jpg; older ones are replaced."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Score a checkpoint in PyTorch, FP32, on the CPU; masks are compared at their own size."""
    from lightawnet_edge.evaluation.evaluator import EvalSpec, write_evaluation
    from lightawnet_edge.evaluation.evaluator import evaluate as measure
    from lightawnet_edge.evaluation.report import console

    spec = EvalSpec(
        weights=weights,
        data=data,
        split=split,
        size=Size.parse(size) if size else None,
        groups=groups,
        limit=limit or None,
        threads=threads or None,
    )
    with progress_bar() as show:
        measured = measure(spec, show)
    if out is not None:
        narrate(f"evaluation: {write_evaluation(measured, out)}")
    if as_json:
        typer.echo(json.dumps(measured.result.to_json(), ensure_ascii=False))
    else:
        out_console.print(console(measured.result))


def card(
    evaluation: Annotated[Path, typer.Argument(help="Folder that 'evaluate --out' wrote.")],
    run: Annotated[
        list[Path] | None,
        typer.Option(help="Run folder of 'train'; give it once for each stage, in their order."),
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(
            help="Evaluation on another set, at another size, or of other weights: a row more."
        ),
    ] = None,
    data_license: Annotated[
        str,
        typer.Option(
            help="Terms of the evaluated frames, e.g. CC-BY-4.0. Frames are shown only where these "
            "are CC0, CC BY or CC BY-SA."
        ),
    ] = "",
    attribution: Annotated[
        str,
        typer.Option(help="Source of the frames shown. Default: the checkpoint's training data."),
    ] = "",
    near_duplicates: Annotated[
        Path | None,
        typer.Option(help="File with a pair a line: 'stem,training stem'."),
    ] = None,
    hardware: Annotated[str, typer.Option(help="What the training ran on, in words.")] = "",
    notes: Annotated[
        Path | None, typer.Option(help="Markdown to put into the section 'Notes'.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the card: that of the weights.")
    ] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing card.")] = False,
) -> None:
    """Write a model card: NAME.md, NAME-curves.png, NAME-worst.jpg, from an evaluation and runs."""
    from lightawnet_edge.evaluation.card import CardSpec, write_card

    spec = CardSpec(
        evaluation=evaluation,
        runs=tuple(run or ()),
        also=tuple(also or ()),
        data_license=data_license,
        attribution=attribution,
        twins=near_duplicates,
        hardware=hardware,
        notes=notes,
        out=out,
        replace=force,
    )
    typer.echo(write_card(spec))
