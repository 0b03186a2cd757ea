"""The command line: parse, call one function, print its result."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.console import Console

from lightawnet_edge import __version__
from lightawnet_edge.errors import EdgeError, SpecError
from lightawnet_edge.specs import ColorOrder, Precision, Routing, Size, Target

if TYPE_CHECKING:
    from lightawnet_edge.benchmarks.runner import BenchSpec

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="LightAWNet from a PyTorch checkpoint to a measured engine on an edge device.",
    epilog="Exit codes: 0 done, 2 bad request, 3 bad or changed file, 4 backend cannot run here, "
    "5 check failed.",
)
out_console = Console()
err_console = Console(stderr=True)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of text.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and log messages.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Set up logging, once, on stderr."""
    logging.basicConfig(level=logging.DEBUG if debug else logging.ERROR, stream=sys.stderr)


def _narrate(text: str) -> None:
    err_console.print(f"[dim]· {text}[/dim]", highlight=False)


@app.command()
def doctor(as_json: JsonFlag = False) -> None:
    """Say what this machine can build and run, and the reason for what it cannot."""
    from lightawnet_edge.doctor import examine, render

    findings = examine()
    if as_json:
        typer.echo(json.dumps([finding.to_json() for finding in findings], indent=2))
    else:
        out_console.print(render(findings), soft_wrap=True, highlight=False)


@app.command("import-checkpoint")
def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="Pickle of the authors' code: {'state', 'epoch'}.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Checkpoint to write (.safetensors).")],
    size: Annotated[str, typer.Option(help="Input size that the weights were trained at.")] = "256x256",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Convert a checkpoint of the authors' code, without running any code in it."""
    from lightawnet_edge.model.checkpoint import convert_author_checkpoint

    if out.exists() and not force:
        raise SpecError(f"'{out}' exists. Choose another --out, or replace it with --force.")
    meta = convert_author_checkpoint(file, out, Size.parse(size))
    typer.echo(out)
    _narrate(f"{meta.in_channels} input channel(s), {meta.size}, min-max normalization")


@app.command()
def export(
    target: Annotated[Target, typer.Option(help="What the engine is for.")] = Target.OPENVINO,
    fp32: Annotated[bool, typer.Option("--fp32", help="Exact, in FP32 (the default).")] = False,
    bf16: Annotated[bool, typer.Option("--bf16", help="In BF16.")] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="In FP16.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="In INT8, calibrated on real frames.")] = False,
    weights: Annotated[
        str, typer.Option(help="Checkpoint file, or name of packaged weights.")
    ] = "polypgen",
    routing: Annotated[
        Optional[Routing],  # noqa: UP045 - Typer reads annotations at run time, on Python 3.10 too
        typer.Option(
            help="Kernels computed per frame (exact), or frozen to the calibration mean. "
            "Default: static for INT8, dynamic otherwise."
        ),
    ] = None,
    frame: Annotated[
        str, typer.Option(help="HEIGHTxWIDTH of the camera's frames. Default: the network's input.")
    ] = "",
    network: Annotated[
        str, typer.Option(help="Input size of the network. Default: what it was trained at.")
    ] = "",
    bgr: Annotated[bool, typer.Option("--bgr", help="Frames come in BGR order.")] = False,
    threshold: Annotated[float, typer.Option(help="Probability from which a pixel is foreground.")] = 0.5,
    probability: Annotated[
        bool, typer.Option(help="Give the engine the output 'probability' beside the mask.")
    ] = True,
    calibration: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder of real frames that set scales and routing. Default: packaged samples."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of bundles.")] = Path("engines"),
    name: Annotated[str, typer.Option(help="Name of the bundle. Default: made from the request.")] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Build again, and replace a bundle of this name.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Build an engine from a checkpoint: a bundle with engine, device graph and manifest."""
    from lightawnet_edge.export import pipeline

    spec = pipeline.ExportSpec(
        target=target,
        precision=_precision(fp32=fp32, bf16=bf16, fp16=fp16, int8=int8),
        weights=weights,
        routing=routing,
        frame=Size.parse(frame) if frame else None,
        network=Size.parse(network) if network else None,
        color=ColorOrder.BGR if bgr else None,
        threshold=threshold,
        probability=probability,
        calibration=calibration,
        out=out,
        name=name or None,
        force=force,
    )
    result = pipeline.export(spec, narrate=_narrate)
    if as_json:
        manifest = result.bundle.manifest.to_json()
        typer.echo(json.dumps({"bundle": str(result.bundle.path), "built": result.built, "manifest": manifest}))
        return
    if not result.built:
        _narrate("nothing to do: this bundle exists, made from equal inputs (--force builds it again)")
    out_console.print(pipeline.describe(result.bundle), highlight=False, soft_wrap=True)


def _precision(**flags: bool) -> Precision:
    chosen = [name for name, given in flags.items() if given]
    if len(chosen) > 1:
        raise SpecError(f"One precision per bundle: found --{' and --'.join(chosen)}. Export twice.")
    return Precision(chosen[0]) if chosen else Precision.FP32


@app.command()
def run(
    bundle: Annotated[Path, typer.Argument(help="Folder that 'export' wrote.")],
    files: Annotated[list[Path], typer.Argument(help="Images, videos, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for masks and overlays.")] = Path("masks"),
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves it to the backend.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Segment images or a video: masks and overlays, with progress."""
    from rich.progress import Progress

    from lightawnet_edge.runtime.playback import expand, play
    from lightawnet_edge.runtime.segmenter import Segmenter

    inputs = expand(files)
    done, skipped = [], []
    with (
        Segmenter.load(bundle, threads=threads or None) as segmenter,
        Progress(console=err_console, transient=True, disable=not err_console.is_terminal) as progress,
    ):
        task = progress.add_task("segmenting", total=len(inputs) if len(inputs) > 1 else None)
        for played in play(segmenter, inputs, out):
            progress.advance(task)
            (skipped if played.error else done).append(played)
            if played.error:
                err_console.print(f"[yellow]skipped[/yellow] {played.error}", highlight=False, soft_wrap=True)
    if as_json:
        rows = [{"name": p.name, "foreground": p.foreground, "error": p.error} for p in [*done, *skipped]]
        typer.echo(json.dumps(rows))
    else:
        typer.echo(f"{len(done)} masks and overlays in {out}, {len(skipped)} skipped")
    if not done:
        raise SpecError("Every frame was skipped.")


@app.command()
def bench(
    bundles: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Argument(help="Bundles to measure. Default: every bundle under engines/."),
    ] = None,
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder with images/ and masks/. Default: the packaged evaluation frames."),
    ] = None,
    split: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="File with the names of the frames to use, one a line."),
    ] = None,
    checkpoint: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Weights of the FP32 baseline. Default: found among the packaged ones."),
    ] = None,
    baseline: Annotated[bool, typer.Option(help="Compare with PyTorch eager in FP32.")] = True,
    calls: Annotated[int, typer.Option(help="Timed calls of each engine.")] = 200,
    seconds: Annotated[float, typer.Option(help="Longest time for the timed calls of each engine.")] = 20.0,
    rounds: Annotated[int, typer.Option(help="Turns that each engine takes, interleaved.")] = 10,
    limit: Annotated[int, typer.Option(help="Use at most this many frames; 0 uses all.")] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads of every engine; 0: physical cores.")] = 0,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of reports.")] = Path("reports"),
    as_json: JsonFlag = False,
) -> None:
    """Measure latency and accuracy of bundles side by side; write a report."""
    from lightawnet_edge.benchmarks.runner import BenchSpec, find_bundles

    spec = BenchSpec(
        data=data,
        split=split,
        checkpoint=checkpoint,
        baseline=baseline,
        calls=calls,
        seconds=seconds,
        rounds=rounds,
        limit=limit or None,
        threads=threads or None,
    )
    _bench(bundles or find_bundles(Path("engines")), spec, out, as_json)


@app.command()
def demo(
    weights: Annotated[
        str, typer.Option(help="Checkpoint file, or name of packaged weights.")
    ] = "polypgen",
    engines: Annotated[Path, typer.Option(help="Folder of bundles.")] = Path("engines"),
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of reports.")] = Path("reports"),
    calls: Annotated[int, typer.Option(help="Timed calls of each engine.")] = 200,
    limit: Annotated[int, typer.Option(help="Use at most this many frames; 0 uses all.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Packaged weights and frames to OpenVINO engines to a report; offline, no arguments."""
    from lightawnet_edge.benchmarks.runner import BenchSpec
    from lightawnet_edge.export import pipeline
    from lightawnet_edge.model.checkpoint import resolve

    checkpoint = resolve(weights)
    made = []
    for precision in (Precision.FP32, Precision.INT8):
        err_console.print(f"OpenVINO {str(precision).upper()}", style="bold")
        spec = pipeline.ExportSpec(
            target=Target.OPENVINO, precision=precision, weights=str(checkpoint), out=engines
        )
        made.append(pipeline.export(spec, narrate=_narrate).bundle.path)
    _bench(made, BenchSpec(checkpoint=checkpoint, calls=calls, limit=limit or None), out, as_json)


def _bench(bundles: list[Path], spec: BenchSpec, out: Path, as_json: bool) -> None:
    from rich.progress import Progress

    from lightawnet_edge.benchmarks.report import console, folder_name, write_report
    from lightawnet_edge.benchmarks.runner import Step
    from lightawnet_edge.benchmarks.runner import bench as measure

    with Progress(
        console=err_console, transient=True, disable=not err_console.is_terminal
    ) as progress:
        task = progress.add_task("starting", total=None)

        def observe(step: Step) -> None:
            progress.update(task, description=step.stage, completed=step.done, total=step.total)

        result = measure(bundles, spec, observer=observe)
    page = write_report(result, out / folder_name(result))
    if as_json:
        typer.echo(json.dumps(result.to_json()["records"]))
    else:
        out_console.print(console(result))
        typer.echo(f"report: {page}")


def main() -> None:
    """Run the command line; turn the package's own errors into one line and an exit code."""
    try:
        app()
    except EdgeError as error:
        if "--debug" in sys.argv:
            raise
        err_console.print(f"[red]error:[/red] {_escape(str(error))}", highlight=False, soft_wrap=True)
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:
        # The reader of stdout has gone, e.g. `| head`: not our error. Python must not flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


if __name__ == "__main__":
    main()
