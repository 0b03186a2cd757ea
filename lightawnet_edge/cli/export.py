"""`export`."""

from __future__ import annotations

from typing import Annotated

import typer

from lightawnet_edge.bundle.kit import BuilderSettings
from lightawnet_edge.bundle.manifest import manifest_json
from lightawnet_edge.cli.options import Options, takes
from lightawnet_edge.cli.terminal import JsonFlag, narrate, out_console, print_json, progress_bar
from lightawnet_edge.data.faults import printable
from lightawnet_edge.errors import SpecError
from lightawnet_edge.export.spec import ExportSpec
from lightawnet_edge.model.packaged import DEFAULT_WEIGHTS
from lightawnet_edge.specs import ColorOrder, Precision, Target
from lightawnet_edge.targets.making import KitOptions
from lightawnet_edge.targets.table import TARGETS


def _complete_target(incomplete: str) -> list[str]:
    return [name for name in TARGETS if name.startswith(incomplete)]


@takes(ExportSpec)
@takes(KitOptions, into="kit")
@takes(BuilderSettings, into="builder")
def export(
    *,
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
    bgr: Annotated[bool, typer.Option("--bgr", help="The same as --color bgr.")] = False,
    options: Options,
    kit: Options,
    builder: Options,
    as_json: JsonFlag = False,
) -> None:
    """Build an engine from a checkpoint: a bundle with engine, device graph and manifest."""
    options["weights"] = _checkpoint(file, options["weights"])
    if bgr:
        options["color"] = _bgr(options["color"])
    spec = ExportSpec(
        target=target,
        precision=_precision(fp32=fp32, bf16=bf16, fp16=fp16, int8=int8),
        kit=KitOptions(**kit, builder=BuilderSettings(**builder)),
        **options,
    )
    from lightawnet_edge.export import pipeline  # once the request makes sense: it takes a while
    from lightawnet_edge.export.describe import describe

    with progress_bar() as show:
        result = pipeline.export(spec, narrate=narrate, on_step=show)
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


def _bgr(color: ColorOrder | None) -> ColorOrder:
    if color not in (None, ColorOrder.BGR):
        raise SpecError(f"One colour order per bundle: found --bgr and --color {color}.")
    return ColorOrder.BGR


def _precision(**flags: bool) -> Precision:
    chosen = [name for name, given in flags.items() if given]
    if len(chosen) > 1:
        raise SpecError(
            f"One precision per bundle: found --{' and --'.join(chosen)}. Export twice."
        )
    return Precision(chosen[0]) if chosen else Precision.FP32
