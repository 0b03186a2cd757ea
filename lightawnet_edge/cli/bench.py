"""`bench` and `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lightawnet_edge.benchmarks.plan import BenchSpec
from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.cli.options import Options, takes
from lightawnet_edge.cli.paths import ENGINES, complete_bundle, expand_patterns, find_bundle
from lightawnet_edge.cli.report import page_or_reason
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
from lightawnet_edge.errors import BackendUnavailableError
from lightawnet_edge.specs import Precision, Size, State, Target
from lightawnet_edge.targets import table

CAMERA = Size(1080, 1920)
"""What an endoscope's camera gives, in `demo`."""


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
    found = _runnable(named) if named else _left(find_bundles(ENGINES))
    _bench(found, spec, out, as_json, min_int8_share)


def _left(found: list[Path]) -> list[Path]:
    """Those of all bundles that can be measured here; none that is left out is a failure."""
    left, reasons = [], []
    for path in found:
        if (reason := _refusal(path)) is None:
            left.append(path)
        else:
            reasons.append((path, reason))
    if not left:
        raise reasons[0][1]
    for path, reason in reasons:
        narrate(f"left out: {_short(path, reason)}")
    return left


def _short(path: Path, reason: BackendUnavailableError) -> str:
    """Why a bundle is left out, in a few words where these say all."""
    if Bundle.open(path).manifest.state is State.BUILT:
        return f"'{path}': {reason}"
    return f"'{path}' is not built (lightawnet-edge build)"


def _runnable(named: list[Path]) -> list[Path]:
    """All bundles that were asked for; one that cannot run here is refused before the first."""
    for path in named:
        if (reason := _refusal(path)) is not None:
            raise reason
    return named


def _refusal(path: Path) -> BackendUnavailableError | None:
    """Why a bundle cannot be measured here: it has no engine yet, or nothing runs it."""
    bundle = Bundle.open(path)
    manifest = bundle.manifest
    try:
        _ = bundle.engine
        table.get_for(manifest.target, manifest.precision)
    except BackendUnavailableError as error:
        return error
    return None


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
    """Packaged weights and frames to OpenVINO engines to a report; offline, no arguments.

    For frames of the network's size, and for 1080x1920, as endoscopes give: these are the packaged
    frames, stretched.
    """
    from lightawnet_edge.bundle.store import check_writable
    from lightawnet_edge.export import pipeline
    from lightawnet_edge.export.resolve import resolve
    from lightawnet_edge.export.spec import ExportSpec
    from lightawnet_edge.model.packaged import resolve as find_checkpoint

    check_writable(out)
    checkpoint = find_checkpoint(weights)
    spec = BenchSpec(checkpoints=(checkpoint,), calls=calls, limit=limit or None)
    wanted = [
        ExportSpec(
            target=Target.OPENVINO,
            precision=precision,
            weights=str(checkpoint),
            frame=frame,
            out=engines,
            replace=True,
        )
        for frame in (None, CAMERA)
        for precision in (Precision.FP32, Precision.INT8)
    ]
    for one in wanted:
        resolve(one)  # what the second would be refused for is known before the first is made
    narrate(f"{CAMERA} frames are the packaged ones, stretched: no camera gave them")
    made = []
    for one in wanted:
        frame = f", frames of {one.frame}" if one.frame else ""
        err_console.print(f"OpenVINO {str(one.precision).upper()}{frame}", style="bold")
        with progress_bar() as show:
            made.append(pipeline.export(one, narrate=narrate, on_step=show).bundle.path)
    _bench(made, spec, out, as_json)


def _bench(
    bundles: list[Path],
    spec: BenchSpec,
    out: Path,
    as_json: bool,
    min_int8_share: float | None = None,
) -> None:
    from lightawnet_edge.benchmarks.gate import check_int8
    from lightawnet_edge.benchmarks.report import console, document, folder_name, write_json
    from lightawnet_edge.benchmarks.result import SCHEMA
    from lightawnet_edge.benchmarks.runner import bench as measure
    from lightawnet_edge.benchmarks.samples import SAMPLES

    with progress_bar() as show:
        result = measure(
            bundles, spec, on_step=show, narrate=narrate, asked=command_line(), out=out
        )
    file = write_json(result, out / folder_name(result))
    if not result.failures:  # what engines gave before they failed stands there alone
        (file.parent / SAMPLES).unlink(missing_ok=True)
    shown, failed = page_or_reason(result, file)
    if as_json:
        print_json(document(result, shown), SCHEMA)
    else:
        out_console.print(console(result))
        typer.echo(f"report: {shown}")
    if failed is not None:
        raise failed
    for failure in result.failures:
        warn(f"{failure.bundle}: {failure.reason}")
    if result.failures:
        raise typer.Exit(result.failures[0].exit_code)
    check_int8(result.records, min_int8_share)
