"""The device graph as a TensorRT takes it: quantized, typed, and how far that is from FP32."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightawnet_edge.bundle.choices import MethodRecord
from lightawnet_edge.errors import EdgeError
from lightawnet_edge.graph.comparison import Truths, compare
from lightawnet_edge.graph.magnitudes import magnitudes
from lightawnet_edge.graph.quantization import Frames
from lightawnet_edge.graph.simulation import Runs, simulated, simulated_masks
from lightawnet_edge.graph.typed import islands, to_fp16
from lightawnet_edge.graph.view import GraphView
from lightawnet_edge.progress import Narrate
from lightawnet_edge.scores.agreement import Agreement
from lightawnet_edge.specs import Precision
from lightawnet_edge.targets.making import DEVICE_GRAPH, Order, Quantize
from lightawnet_edge.targets.tensorrt.second_opinion import in_openvino

if TYPE_CHECKING:
    import onnx

_SIMULATED, _SECOND = "ONNX Runtime", "OpenVINO"
_NEVER_HELD = frozenset({"QuantizeLinear", "DequantizeLinear", "Cast"})
"""Nodes that state a type of their own: a weakly typed builder is not told to hold them in FP32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Of which types a graph shall be, and by which frames that is found and checked."""

    precision: Precision
    """FP32, FP16, or INT8 with FP16 for the rest."""
    typed: bool
    """Whether the graph states its types; else builder flags ask for them."""
    frames: Frames
    """Calibration frames: they set scales, and tell where FP16 would overflow."""
    check: Frames
    """Frames that the graph is compared with FP32 on."""
    truths: Truths | None
    """True masks of `check`, where there are any."""


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
    numerics: Agreement
    """How far the simulation is from the FP32 graph."""
    second: Agreement | None = None
    """The same by OpenVINO, whose kernels are others; None where it cannot run the graph."""
    method: MethodRecord | None = None
    """How INT8 ranges were found."""


def typed_graph(order: Order, wanted: Wanted) -> TypedGraph:
    """Quantize and type an FP32 device graph with both outputs, and compare it with what it was.

    Raises:
        CheckFailedError: The typed graph gives values that are not finite.
    """
    graph = order.graph
    base, keep, record = graph, dict[str, str](), None
    if wanted.precision is Precision.INT8:
        base, record = _quantized(graph, order.quantize)
    typed = base
    if wanted.precision is not Precision.FP32:
        order.narrate("looking for what FP16 would lose")
        keep = islands(base, magnitudes(graph, wanted.frames))
        typed = to_fp16(base, keep)
    order.narrate("comparing the typed graph with FP32, simulated on this CPU")
    runs = {_SIMULATED: simulated(typed), **_second_opinion(typed, order.narrate)}
    found = compare(simulated(graph), runs, wanted.check, wanted.truths)
    return TypedGraph(
        model=typed if wanted.typed else base,
        requested=GraphView(typed).asked,
        float_layers=() if wanted.typed else _held(base, keep),
        simulation=runs[_SIMULATED],
        numerics=found[_SIMULATED],
        second=found.get(_SECOND),
        method=record,
    )


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


def _quantized(graph: onnx.ModelProto, quantize: Quantize) -> tuple[onnx.ModelProto, MethodRecord]:
    import onnx

    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / DEVICE_GRAPH
        onnx.save(graph, source)
        file, record = quantize(source, Path(scratch), simulated_masks)
        return onnx.load(file), record


def _held(model: onnx.ModelProto, keep: Mapping[str, str]) -> tuple[str, ...]:
    """The islands that a weakly typed builder can be told of: what INT8 runs is not among them."""
    import onnx

    view = GraphView(model)
    floats = set(view.of_type(onnx.TensorProto.FLOAT))
    return tuple(
        node.name
        for node in model.graph.node
        if node.name in keep
        and node.op_type not in _NEVER_HELD
        and node.output[0] in floats
        and not (node.op_type == "Conv" and view.operator(node.input[1]) == "DequantizeLinear")
    )
