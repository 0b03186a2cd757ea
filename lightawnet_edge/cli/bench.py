"""`bench` and `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lightawnet_edge.benchmarks.plan import BenchSpec
from lightawnet_edge.cli.options import Options, takes
from lightawnet_edge.cli.paths import ENGINES, complete_bundle, expand_patterns, find_bundle
from lightawnet_edge.cli.terminal import (
    JsonFlag,
    command_line,
    err_console,
    narrate,
    out_console,
    print_json,
    progress_bar,
    warn,
)
from lightawnet_edge.specs import Precision, Target


@takes(BenchSpec)
def bench(
    *,
    bundles: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Bundles to measure: folders, or names under engines/. Default: every built one "
            "there.",
            autocompletion=complete_bundle,
        ),
    ] = None,
    options: Options,
    min_int8_share: Annotated[
        float | None,
        typer.Option(
            help="Fail when less of an INT8 bundle's convolution MACs runs in INT8 here. "
            "Default: 0.90 with static routing; 0 takes any."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of reports.")] = Path("reports"),
    as_json: JsonFlag = False,
) -> None:
    """Measure latency and accuracy of bundles side by side; write a report."""
    from lightawnet_edge.benchmarks.plan import find_bundles
    from lightawnet_edge.bundle.layers import check_share
    from lightawnet_edge.bundle.store import check_writable

    check_share(min_int8_share)
    check_writable(out)
    spec = BenchSpec(**options)
    named = [find_bundle(path) for path in expand_patterns(bundles or ())]
    found = named or _built(find_bundles(ENGINES))
    _bench(found, spec, out, as_json, min_int8_share)


def _built(found: list[Path]) -> list[Path]:
    """Those of all bundles that are built: a kit that waits for its device is no failure here."""
    from lightawnet_edge.bundle.bundle import Bundle
    from lightawnet_edge.specs import State

    built = [path for path in found if Bundle.open(path).manifest.state is State.BUILT]
    for path in found if built else ():
        if path not in built:
            narrate(f"left out: '{path}' is not built (lightawnet-edge build)")
    return built or found


def demo(
    weights: Annotated[
        str, typer.Option(help="Checkpoint file, or name of packaged weights.")
    ] = "polypgen",
    engines: Annotated[Path, typer.Option(help="Folder of bundles.")] = ENGINES,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of reports.")] = Path("reports"),
    calls: Annotated[int, typer.Option(help="Timed calls of each engine.")] = 200,
    limit: Annotated[
        int, typer.Option(min=0, help="Use at most this many frames; 0 uses all.")
    ] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Packaged weights and frames to OpenVINO engines to a report; offline, no arguments."""
    from lightawnet_edge.bundle.store import check_writable
    from lightawnet_edge.export import pipeline
    from lightawnet_edge.export.resolve import resolve
    from lightawnet_edge.export.spec import ExportSpec
    from lightawnet_edge.model.packaged import resolve as find_checkpoint

    check_writable(out)
    checkpoint = find_checkpoint(weights)
    spec = BenchSpec(checkpoint=checkpoint, calls=calls, limit=limit or None)
    wanted = [
        ExportSpec(
            target=Target.OPENVINO,
            precision=precision,
            weights=str(checkpoint),
            out=engines,
            replace=True,
        )
        for precision in (Precision.FP32, Precision.INT8)
    ]
    for one in wanted:
        resolve(one)  # what the second would be refused for is known before the first is made
    made = []
    for one in wanted:
        err_console.print(f"OpenVINO {str(one.precision).upper()}", style="bold")
        made.append(pipeline.export(one, narrate=narrate).bundle.path)
    _bench(made, spec, out, as_json)


def _bench(
    bundles: list[Path],
    spec: BenchSpec,
    out: Path,
    as_json: bool,
    min_int8_share: float | None = None,
) -> None:
    from lightawnet_edge.benchmarks.gate import check_int8
    from lightawnet_edge.benchmarks.report import console, document, folder_name, write_report
    from lightawnet_edge.benchmarks.result import SCHEMA
    from lightawnet_edge.benchmarks.runner import bench as measure

    with progress_bar() as show:
        result = measure(bundles, spec, on_step=show, narrate=narrate, asked=command_line())
    page = write_report(result, out / folder_name(result))
    if as_json:
        print_json(document(result, page), SCHEMA)
    else:
        out_console.print(console(result))
        typer.echo(f"report: {page}")
    for failure in result.failures:
        warn(f"{failure.bundle}: {failure.reason}")
    if result.failures:
        raise typer.Exit(result.failures[0].exit_code)
    check_int8(result.records, min_int8_share)
