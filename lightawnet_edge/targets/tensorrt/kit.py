"""A kit: what a device needs to build an engine, and to tell whether it computes right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lightawnet_edge.bundle.kit import Kit
from lightawnet_edge.bundle.layers import LayerRecord
from lightawnet_edge.bundle.limits import AgreementLimits
from lightawnet_edge.bundle.manifest import Manifest, Source
from lightawnet_edge.calibration.frames import CalibrationSet, tell_of
from lightawnet_edge.codec import encode
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.graph.simulation import simulated
from lightawnet_edge.progress import Narrate, Stage
from lightawnet_edge.scores.agreement import shows_lesion
from lightawnet_edge.specs import Precision, State
from lightawnet_edge.targets.making import DEVICE_GRAPH, Made, Order, Prepared, Request, conv_layers
from lightawnet_edge.targets.tensorrt.builder import ENGINE
from lightawnet_edge.targets.tensorrt.devices import RTX
from lightawnet_edge.targets.tensorrt.expected import golden_of, spread, tolerance_for
from lightawnet_edge.targets.tensorrt.finish import finish
from lightawnet_edge.targets.tensorrt.golden import GOLDEN
from lightawnet_edge.targets.tensorrt.request import DeviceBuild, check_set, device_build
from lightawnet_edge.targets.tensorrt.trtexec import trtexec_line
from lightawnet_edge.targets.tensorrt.typed_graph import (
    TypedGraph,
    Wanted,
    typed_graph,
    without_probability,
)

if TYPE_CHECKING:
    import onnx

TYPED_GRAPH = "typed.onnx"


def prepare(request: Request) -> Prepared:
    """Prepare a kit, and its engine where this machine is the device.

    Raises:
        SpecError: The device cannot do what is asked for, or the frames to check on are none.
        ArtifactError: The frames to check on cannot be read.
        BackendUnavailableError: As for `device_build`.
    """
    build = device_build(request)
    check = check_set(request.calibration, request.kit.check, packaged=request.packaged)
    return Prepared(
        # A kit is checked by its probability, whether or not its engine gives one.
        contract=replace(request.contract, probability=True),
        # FP16 leaves in FP32 what overflows on calibration frames.
        calibrated=request.precision in (Precision.FP16, Precision.INT8),
        make=partial(_make, request, build, check),
        finish=_finish if build.builds_here else None,
        label=build.label,
        inputs=(
            repr(build),
            check.source.sha256,
            check.listed.masks_digest(),
            request.min_int8_share,
        ),
        tools=build.tools,
    )


def _make(request: Request, build: DeviceBuild, check: CalibrationSet, order: Order) -> Made:
    """Write typed graph and golden frames beside the device graph.

    Raises:
        CheckFailedError: The typed graph gives values that are not finite.
    """
    contract = request.contract
    if check is not request.calibration:
        tell_of(check, order.narrate, masks=True)

    def told(stage: str, frames: CalibrationSet) -> Iterator[UInt8]:
        counted = Stage(stage, len(frames), order.on_step)
        return counted.over(frames.frames(contract.camera))

    typed = typed_graph(
        order,
        Wanted(
            precision=request.precision,
            typed=build.platform.typed,
            frames=partial(told, "looking at ranges", request.calibration),
            check=partial(told, "comparing with FP32", check),
            truths=partial(check.truths, contract.frame) if check.has_masks else None,
        ),
    )
    golden = golden_of(spread(check, contract), simulated(order.graph))
    if not any(map(shows_lesion, golden.masks)):
        order.narrate("no check frame shows a lesion: the device cannot tell whether one is lost")
    tolerance = tolerance_for(golden, typed.simulation)
    if not contract.probability:
        golden = replace(golden, probabilities=None)
    golden.write(order.folder / GOLDEN)
    graph = _written(order, typed.model, probability=contract.probability)
    asked = (LayerRecord(name=name, requested=kind) for name, kind in typed.requested.items())
    return Made(
        engine=ENGINE,
        layers=conv_layers(asked, order.graph),
        executed={},
        agreement=None,
        state=State.PENDING,
        kit=_kit(request, build, typed, graph, check.source, tolerance),
        method=typed.method,
    )


def _written(order: Order, typed: onnx.ModelProto, *, probability: bool) -> str:
    """Write the graph that the device builds, and return its name: the device graph's if it is."""
    import onnx

    model, whole = typed, typed is order.graph
    if not probability:
        onnx.save(without_probability(order.graph), order.folder / DEVICE_GRAPH)
        model = without_probability(typed)
    if whole:
        return DEVICE_GRAPH
    onnx.save(model, order.folder / TYPED_GRAPH)
    return TYPED_GRAPH


def _finish(folder: Path, manifest: Manifest, path: Path, narrate: Narrate) -> Manifest:
    """Build the engine of a kit that is being made, and replay its golden frames where that runs.

    Raises:
        ArtifactError: TensorRT does not take the graph.
        CheckFailedError: The engine ran, and computes something else than its graph.
    """
    made = finish(manifest, lambda name: (folder / name).read_bytes(), shown=path, narrate=narrate)
    (folder / manifest.engine).write_bytes(made.plan)
    if made.not_replayed is not None:
        narrate(f"the golden frames were not replayed: {made.not_replayed}")
    return made.manifest


def _kit(
    request: Request,
    build: DeviceBuild,
    typed: TypedGraph,
    graph: str,
    source: Source,
    tolerance: AgreementLimits,
) -> Kit:
    platform = build.platform
    line = None
    if platform.device != RTX:
        line = trtexec_line(
            platform,
            request.precision,
            graph=graph,
            engine=ENGINE,
            float_layers=typed.float_layers,
            dla=build.dla,
            settings=build.builder,
        )
    return Kit(
        graph=graph,
        golden=GOLDEN,
        device=platform.device,
        jetpack=platform.jetpack,
        tensorrt=platform.tensorrt,
        capabilities=platform.capabilities,
        typed=platform.typed,
        float_layers=typed.float_layers,
        dla=build.dla,
        builder=build.builder,
        numerics={
            **encode(typed.numerics),
            "openvino": encode(typed.second),
            "on": encode(source),
        },
        tolerance=tolerance,
        min_int8_share=request.min_int8_share,
        trtexec=line,
    )
