"""`evaluate` and `card`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from lightawnet_edge.benchmarks.provenance import Asked
from lightawnet_edge.cli.options import Options, takes
from lightawnet_edge.cli.terminal import (
    JsonFlag,
    command_line,
    narrate,
    out_console,
    print_json,
    progress_bar,
)
from lightawnet_edge.evaluation.card import CardSpec
from lightawnet_edge.evaluation.evaluation import SCHEMA
from lightawnet_edge.evaluation.evaluator import EvalSpec


@takes(EvalSpec)
def evaluate(
    *,
    options: Options,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for evaluation.json and worst.jpg; older ones are replaced."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Score a checkpoint in PyTorch, FP32, on the CPU; masks are compared at their own size."""
    from lightawnet_edge.bundle.store import check_writable
    from lightawnet_edge.data.frameset import IMAGES, MASKS
    from lightawnet_edge.data.listing import refuse_among
    from lightawnet_edge.evaluation.evaluation import WORST_JPEG
    from lightawnet_edge.evaluation.evaluator import evaluate as measure
    from lightawnet_edge.evaluation.evaluator import write_evaluation
    from lightawnet_edge.evaluation.report import console

    spec = EvalSpec(**options)
    if out is not None:
        check_writable(out)
        refuse_among(out, {spec.data / IMAGES, spec.data / MASKS}, WORST_JPEG)
    with progress_bar() as show:
        measured = measure(spec, show, narrate)
    measured = replace(measured, result=replace(measured.result, asked=_asked()))
    if out is not None:
        narrate(f"evaluation: {write_evaluation(measured, out)}")
    if as_json:
        print_json(measured.result, SCHEMA)
    else:
        out_console.print(console(measured.result))


def _asked() -> Asked:
    now = datetime.now(timezone.utc)
    return Asked(command=command_line(), created=now.isoformat(timespec="seconds"))


@takes(CardSpec)
def card(
    *,
    evaluation: Annotated[Path, typer.Argument(help="Folder that 'evaluate --out' wrote.")],
    options: Options,
) -> None:
    """Write a model card: NAME.md, NAME-curves.png, NAME-worst.jpg, from an evaluation and runs."""
    from lightawnet_edge.evaluation.card import write_card

    spec = CardSpec(evaluation=evaluation, **options)
    typer.echo(write_card(spec))
