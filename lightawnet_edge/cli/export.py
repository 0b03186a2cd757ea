"""`export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lightawnet_edge.bundle.kit import USUAL_SETTINGS, BuilderSettings
from lightawnet_edge.bundle.manifest import manifest_json
from lightawnet_edge.cli.terminal import JsonFlag, narrate, out_console, print_json
from lightawnet_edge.data.faults import printable
from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.packaged import DEFAULT_WEIGHTS
from lightawnet_edge.specs import ColorOrder, Method, Precision, Routing, Size, Target
from lightawnet_edge.targets.table import TARGETS

_INT8, _TENSORRT = "INT8", "TensorRT"
"""Groups of options in the help."""


def _complete_target(incomplete: str) -> list[str]:
    return [name for name in TARGETS if name.startswith(incomplete)]


def export(
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="The same as --weights.", show_default=False)
    ] = "",
    target: Annotated[
        Target,
        typer.Option(
            help=f"What the engine is for: {', '.join(TARGETS)}.",
            metavar="TARGET",
            parser=Target.parse,
            autocompletion=_complete_target,
        ),
    ] = Target.OPENVINO,
    fp32: Annotated[bool, typer.Option("--fp32", help="Exact, in FP32 (the default).")] = False,
    bf16: Annotated[bool, typer.Option("--bf16", help="In BF16.")] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="In FP16.")] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="In INT8, calibrated on real frames.")
    ] = False,
    weights: Annotated[
        str, typer.Option(help="Checkpoint file, or name of packaged weights.")
    ] = DEFAULT_WEIGHTS,
    routing: Annotated[
        Routing | None,
        typer.Option(
            help="Kernels computed per frame (exact), frozen to the calibration mean, or each as "
            "--max-dice-drop allows. Default: static for INT8, dynamic otherwise.",
            metavar="dynamic|static|auto",
        ),
    ] = None,
    max_dice_drop: Annotated[
        float | None,
        typer.Option(
            help="Dice that approximations may cost, as measured: with --routing auto layers that "
            "would break it stay dynamic (default 0.005), with --int8 the worst layers go back to "
            "float.",
        ),
    ] = None,
    frame: Annotated[
        str, typer.Option(help="HEIGHTxWIDTH of the camera's frames. Default: the network's input.")
    ] = "",
    network: Annotated[
        str, typer.Option(help="Input size of the network. Default: the checkpoint's.")
    ] = "",
    bgr: Annotated[bool, typer.Option("--bgr", help="Frames come in BGR order.")] = False,
    threshold: Annotated[
        float, typer.Option(help="Probability from which a pixel is foreground.")
    ] = 0.5,
    no_probability: Annotated[
        bool,
        typer.Option("--no-probability", help="Leave out the output 'probability': mask alone."),
    ] = False,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Folder of real frames that set scales and routing. Default: packaged samples."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of bundles.")] = Path("engines"),
    name: Annotated[
        str, typer.Option(help="Name of the bundle. Default: made from the request.")
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Build again, and replace a bundle of this name.")
    ] = False,
    method: Annotated[
        Method | None,
        typer.Option(
            help="How ranges of activations follow from the calibration frames: min-max, "
            "percentile, entropy or mse. Default: the best on held-out frames, or percentile "
            "below 64 frames.",
            metavar="METHOD",
            rich_help_panel=_INT8,
        ),
    ] = None,
    max_disagreement: Annotated[
        float | None,
        typer.Option(
            help="Fail when the masks of an engine that is not exact differ from those of FP32 in "
            "more of the pixels. Default: 0.05, and lesions must be found again; 1 takes any.",
        ),
    ] = None,
    min_int8_share: Annotated[
        float | None,
        typer.Option(
            help="Fail when less runs in INT8, of the MACs of convolutions with a constant kernel. "
            "Default: 0.90; 0 takes any.",
            rich_help_panel=_INT8,
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            help="jetson-orin, jetson-thor or jetson-xavier. Default: this machine's GPU; without "
            "one, jetson-orin.",
            rich_help_panel=_TENSORRT,
        ),
    ] = "",
    jetpack: Annotated[
        str,
        typer.Option(
            help="Version of the device's JetPack. Default: the usual one.",
            rich_help_panel=_TENSORRT,
        ),
    ] = "",
    dla: Annotated[
        bool,
        typer.Option(
            "--dla",
            help="Let the device's DLA core 0 take what it can.",
            rich_help_panel=_TENSORRT,
        ),
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option(
            help="Folder of real frames, with masks or without, that the typed graph is compared "
            "with FP32 on. Default: packaged ones, or those of --calibration.",
            rich_help_panel=_TENSORRT,
        ),
    ] = None,
    must_build: Annotated[
        bool,
        typer.Option(
            "--must-build",
            help="Fail with 4 where only a kit could be made here.",
            rich_help_panel=_TENSORRT,
        ),
    ] = False,
    workspace: Annotated[
        int,
        typer.Option(
            help="Most scratch memory that the builder may use, in MiB.", rich_help_panel=_TENSORRT
        ),
    ] = USUAL_SETTINGS.workspace_mib,
    opt_level: Annotated[
        int | None,
        typer.Option(
            help="0 (builds fast) to 5 (runs fast). Default: the builder's own.",
            rich_help_panel=_TENSORRT,
        ),
    ] = None,
    version_compatible: Annotated[
        bool,
        typer.Option(
            "--version-compatible",
            help="The plan loads with later minor versions, too; it then carries host code.",
            rich_help_panel=_TENSORRT,
        ),
    ] = False,
    hardware_compatible: Annotated[
        bool,
        typer.Option(
            "--hardware-compatible",
            help="The plan loads on every GPU from Ampere on; not for a Jetson.",
            rich_help_panel=_TENSORRT,
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Build an engine from a checkpoint: a bundle with engine, device graph and manifest."""
    from lightawnet_edge.export import pipeline
    from lightawnet_edge.export.describe import describe
    from lightawnet_edge.export.spec import ExportSpec
    from lightawnet_edge.targets.making import KitOptions

    spec = ExportSpec(
        target=target,
        precision=_precision(fp32=fp32, bf16=bf16, fp16=fp16, int8=int8),
        weights=_checkpoint(file, weights),
        routing=routing,
        frame=Size.parse(frame) if frame else None,
        network=Size.parse(network) if network else None,
        color=ColorOrder.BGR if bgr else None,
        threshold=threshold,
        probability=not no_probability,
        calibration=calibration,
        out=out,
        name=name or None,
        force=force,
        min_int8_share=min_int8_share,
        max_disagreement=max_disagreement,
        method=method,
        max_dice_drop=max_dice_drop,
        kit=KitOptions(
            device=device or None,
            jetpack=jetpack or None,
            dla=dla,
            check=check,
            must_build=must_build,
            builder=BuilderSettings(
                workspace_mib=workspace,
                optimization_level=opt_level,
                version_compatible=version_compatible,
                hardware_compatible=hardware_compatible,
            ),
        ),
    )
    result = pipeline.export(spec, narrate=narrate)
    if as_json:
        manifest = manifest_json(result.bundle.manifest)
        path = printable(str(result.bundle.path))
        print_json({"bundle": path, "built": result.built, "manifest": manifest})
        return
    if not result.built:
        narrate(
            "nothing to do: this bundle exists, made from equal inputs (--force builds it again)"
        )
    out_console.print(describe(result.bundle), highlight=False, soft_wrap=True)


def _checkpoint(file: str, weights: str) -> str:
    if file and weights not in (DEFAULT_WEIGHTS, file):
        raise SpecError(f"One checkpoint per bundle: found '{file}' and --weights {weights}.")
    return file or weights


def _precision(**flags: bool) -> Precision:
    chosen = [name for name, given in flags.items() if given]
    if len(chosen) > 1:
        raise SpecError(
            f"One precision per bundle: found --{' and --'.join(chosen)}. Export twice."
        )
    return Precision(chosen[0]) if chosen else Precision.FP32
