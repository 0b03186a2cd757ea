"""A device graph at work without a GPU: by ONNX Runtime as it stands, and by OpenVINO's kernels.

ONNX Runtime's CPU provider has no FP16 convolution: it computes in FP32, and drops the rounding
between two such nodes, so that neither the error nor an overflow shows. So an FP16 graph is first
rewritten into an FP32 one in which every FP16 tensor is rounded, and that one is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.graph.view import GraphView
from lightawnet_edge.specs import Precision

if TYPE_CHECKING:
    import onnx

OUTPUTS = ("mask", "probability")
Runs = Callable[[UInt8], tuple[UInt8, NDArray[np.float32]]]
"""Runs one frame, shaped like the graph's input: its mask, and its probability."""


def simulated(model: onnx.ModelProto) -> Runs:
    """Open a device graph of both outputs in ONNX Runtime, without any optimization.

    FP16 tensors are rounded one by one, Q/DQ pairs kept.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors alone
    # Optimized, Q/DQ pairs become integer convolutions with another rounding than TensorRT's.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session: Any = ort.InferenceSession(
        rounded(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def run(frame: UInt8) -> tuple[UInt8, NDArray[np.float32]]:
        mask, probability = session.run(OUTPUTS, {session.get_inputs()[0].name: frame})
        return mask, probability

    return run


def simulated_masks(
    source: Path, _: Precision, frames: Callable[[], Iterable[UInt8]]
) -> list[NDArray[np.bool_]]:
    """Masks of a device graph's file, its Q/DQ pairs run as they stand, on this CPU."""
    import onnx

    run = simulated(onnx.load(source))
    return [run(frame)[0] > 0 for frame in frames()]


def rounded(model: onnx.ModelProto) -> onnx.ModelProto:
    """An FP32 graph that computes what an FP16 graph does: every FP16 tensor passes two casts.

    Sums inside a node are FP32, as in tensor cores. A graph without FP16 comes back as it is.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    half, single = TensorProto.FLOAT16, TensorProto.FLOAT
    halves = set(GraphView(model).of_type(half))
    nodes: list[onnx.NodeProto] = []
    for source in model.graph.node:
        node = onnx.NodeProto()
        node.CopyFrom(source)
        if node.op_type == "Cast" and node.input[0] in halves:
            node.CopyFrom(helper.make_node("Identity", node.input, node.output, name=node.name))
        nodes.append(node)
        for index, name in enumerate(node.output):
            if name not in halves:
                continue
            node.output[index] = f"{name}/exact"
            nodes.append(helper.make_node("Cast", [f"{name}/exact"], [f"{name}/half"], to=half))
            nodes.append(helper.make_node("Cast", [f"{name}/half"], [name], to=single))
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:], result.graph.value_info[:]
    result.graph.node.extend(nodes)
    for tensor in result.graph.initializer:
        if tensor.data_type == half:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return result
