"""The device graph as a TensorRT takes it: for which device, in which types, how far from FP32."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightawnet_edge.approximation.method import quantize_best
from lightawnet_edge.bundle.choices import MethodRecord
from lightawnet_edge.bundle.kit import BuilderSettings
from lightawnet_edge.bundle.manifest import Manifest
from lightawnet_edge.errors import BackendUnavailableError, EdgeError, SpecError
from lightawnet_edge.export.spec import ExportSpec
from lightawnet_edge.graph.comparison import Numerics, Truths, compare
from lightawnet_edge.graph.magnitudes import magnitudes
from lightawnet_edge.graph.simulation import Runs, simulated, simulated_masks
from lightawnet_edge.graph.typed import islands, to_fp16
from lightawnet_edge.progress import Narrate
from lightawnet_edge.specs import TENSORRT_TARGETS, Method, Precision, Routing, Target
from lightawnet_edge.targets.quantize import Frames
from lightawnet_edge.targets.tensorrt.builder import import_tensorrt, local_platform
from lightawnet_edge.targets.tensorrt.devices import RTX, Platform, check_platform, find_platform
from lightawnet_edge.targets.tensorrt.finish import finish
from lightawnet_edge.targets.tensorrt.log import requested_of
from lightawnet_edge.targets.tensorrt.second_opinion import in_openvino

if TYPE_CHECKING:
    import onnx

DEFAULT_DEVICE = "jetson-orin"
"""What a kit is for where no device is named and none is here."""
_SIMULATED, _SECOND = "ONNX Runtime", "OpenVINO"
_NEVER_HELD = frozenset({"QuantizeLinear", "DequantizeLinear", "Cast"})
"""Nodes that state a type of their own: a weakly typed builder is not told to hold them in FP32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a TensorRT export shall end in."""

    platform: Platform
    builds_here: bool
    """Whether the engine can be built on this machine, now."""
    dla: bool
    builder: BuilderSettings
    tools: Mapping[str, str]
    """Name to version of the toolchain that builds here."""

    @property
    def label(self) -> str | None:
        """The device, for the name of a bundle; None where the target says it."""
        return None if self.platform.device == RTX else self.platform.device


def request_of(spec: ExportSpec, routing: Routing) -> Request | None:
    """Find the device that an export is for, and whether it is built here; None for other targets.

    Raises:
        SpecError: The device cannot do what is asked for.
        BackendUnavailableError: TensorRT-RTX, which builds here or nowhere, is not installed; or
            the engine must be built here, and cannot be.
    """
    if spec.target not in TENSORRT_TARGETS:
        return None
    options = spec.tensorrt
    tools: dict[str, str] = {}
    if spec.target is Target.TENSORRT_RTX:
        platform, here = find_platform(RTX), True
        tools = {"tensorrt-rtx": str(import_tensorrt(Target.TENSORRT_RTX).__version__)}
    else:
        platform, here = _jetson_or_here(options.device, options.jetpack)
    check_platform(platform, spec.precision, routing, dla=options.dla, settings=options.builder)
    if options.must_build and not here:
        raise BackendUnavailableError(
            str(spec.target),
            f"engines for {platform} are built on the device, and this machine is none. Leave "
            "--must-build out to get a kit that the device finishes.",
        )
    return Request(
        platform=platform,
        builds_here=here,
        dla=options.dla,
        builder=options.builder,
        tools=tools,
    )


def _jetson_or_here(device: str | None, jetpack: str | None) -> tuple[Platform, bool]:
    local = local_platform()
    if device is None and jetpack is None and local is not None:
        return local, True
    platform = find_platform(device or DEFAULT_DEVICE, jetpack)
    if platform.device == RTX:
        raise SpecError(
            f"--device {RTX}: engines of TensorRT-RTX are built ahead of time, here and now. Use "
            f"--target {Target.TENSORRT_RTX}."
        )
    same = local is not None and (local.capabilities, local.tensorrt) == (
        platform.capabilities,
        platform.tensorrt,
    )
    return platform, same


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedGraph:
    """A graph for the builder, and what is known of it without a GPU."""

    model: onnx.ModelProto
    requested: Mapping[str, Precision]
    """Every convolution to the precision that it is asked to run in."""
    float_layers: tuple[str, ...]
    """Nodes that a weakly typed builder must hold in FP32; empty where the graph says it."""
    simulation: Runs
    """Runs it in its types, on this CPU."""
    numerics: Numerics
    """How far the simulation is from the FP32 graph."""
    second: Numerics | None = None
    """The same by OpenVINO, whose kernels are others; None where it cannot run the graph."""
    method: MethodRecord | None = None
    """How INT8 ranges were found."""


def typed_graph(
    graph: onnx.ModelProto,
    platform: Platform,
    precision: Precision,
    frames: Frames,
    check: Frames,
    narrate: Narrate,
    *,
    truths: Truths | None = None,
    method: Method | None = None,
) -> TypedGraph:
    """Quantize and type an FP32 device graph with both outputs, and compare it with what it was.

    Args:
        graph: FP32 device graph; stays as it is.
        platform: Decides whether types stand in the graph or in builder flags.
        precision: FP32, FP16, or INT8 with FP16 for the rest.
        frames: Calibration frames: they set scales, and tell where FP16 would overflow.
        check: Frames that the two graphs are compared on.
        narrate: Told what is going on.
        truths: True masks of `check`, where there are any.
        method: Of INT8 ranges; None: the best on some of `frames`, where they are enough.

    Raises:
        CheckFailedError: The typed graph gives values that are not finite.
    """
    base, keep, record = graph, dict[str, str](), None
    if precision is Precision.INT8:
        base, record = _quantized(graph, frames, method, narrate)
    typed = base
    if precision is not Precision.FP32:
        narrate("looking for what FP16 would lose")
        keep = islands(base, magnitudes(graph, frames))
        typed = to_fp16(base, keep)
    narrate("comparing the typed graph with FP32, simulated on this CPU")
    runs = {_SIMULATED: simulated(typed), **_second_opinion(typed, narrate)}
    found = compare(simulated(graph), runs, check, truths)
    return TypedGraph(
        model=typed if platform.typed else base,
        requested=requested_of(typed),
        float_layers=() if platform.typed else _held(base, keep),
        simulation=runs[_SIMULATED],
        numerics=found[_SIMULATED],
        second=found.get(_SECOND),
        method=record,
    )


def finish_here(folder: Path, manifest: Manifest, path: Path, narrate: Narrate) -> Manifest:
    """Build the engine of a kit that is being made, and replay its golden frames where that runs.

    Args:
        folder: Gets the plan.
        manifest: Of the kit.
        path: Where the folder will stand, for messages.
        narrate: Told what is going on.

    Raises:
        ArtifactError: TensorRT does not take the graph.
        CheckFailedError: The engine ran, and computes something else than its graph.
    """
    made = finish(folder, manifest, shown=path, narrate=narrate)
    (folder / manifest.engine).write_bytes(made.plan)
    if made.not_replayed is not None:
        narrate(f"the golden frames were not replayed: {made.not_replayed}")
    return made.manifest


def without_probability(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with its mask alone, less the nodes that only the probability needs."""
    import onnx

    return onnx.utils.Extractor(model).extract_model(["frame"], ["mask"])


def _second_opinion(typed: onnx.ModelProto, narrate: Narrate) -> dict[str, Runs]:
    try:
        return {_SECOND: in_openvino(typed)}
    except EdgeError as error:
        narrate(f"no second opinion: {error}")
        return {}


def _quantized(
    graph: onnx.ModelProto,
    frames: Frames,
    method: Method | None,
    narrate: Narrate,
) -> tuple[onnx.ModelProto, MethodRecord]:
    import onnx

    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "device.onnx"
        onnx.save(graph, source)
        file, record = quantize_best(
            source,
            Path(scratch),
            Target.TENSORRT,
            frames,
            masks=simulated_masks,
            method=method,
            narrate=narrate,
        )
        return onnx.load(file), record


def _held(model: onnx.ModelProto, keep: Mapping[str, str]) -> tuple[str, ...]:
    """The islands that a weakly typed builder can be told of: what INT8 runs is not among them."""
    import onnx

    typed = onnx.shape_inference.infer_shapes(model).graph
    floats = {
        value.name
        for value in (*typed.value_info, *typed.output)
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    producer = {name: node.op_type for node in model.graph.node for name in node.output}
    return tuple(
        node.name
        for node in model.graph.node
        if node.name in keep
        and node.op_type not in _NEVER_HELD
        and node.output[0] in floats
        and not (node.op_type == "Conv" and producer.get(node.input[1]) == "DequantizeLinear")
    )
