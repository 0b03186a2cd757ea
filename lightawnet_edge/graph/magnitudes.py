"""How large the values of every float tensor get on real frames: what decides about FP16."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.graph.view import GraphView

if TYPE_CHECKING:
    import onnx

_BOTH = ("ReduceMax", "ReduceMin")


def magnitudes(model: onnx.ModelProto, frames: Callable[[], Iterable[UInt8]]) -> dict[str, float]:
    """Largest absolute value of each float tensor of an FP32 graph, weights included.

    Two reductions per tensor are added to a copy of the graph, so that scalars alone come out:
    memory grows neither with the number of frames nor with the number of tensors.

    Args:
        model: A device graph with one input; static shapes, so that every tensor has a type.
        frames: Starts over with each call; uint8, shaped like the graph's input.

    Raises:
        SpecError: There are no frames.
        ArtifactError: The FP32 graph itself gives values that are not finite.
    """
    import onnxruntime as ort
    from onnx import numpy_helper

    found = {
        tensor.name: float(np.abs(numpy_helper.to_array(tensor)).max(initial=0))
        for tensor in model.graph.initializer
        if tensor.data_type == tensor.FLOAT
    }
    watched, names = _watched(model)
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = ort.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    outputs = [f"{name}/{how}" for name in names for how in _BOTH]
    peaks = np.zeros(len(names))
    count = 0
    for frame in frames():
        values = np.array(session.run(outputs, {session.get_inputs()[0].name: frame}))
        _check_finite(values, outputs)
        peaks = np.maximum(peaks, np.abs(values).reshape(-1, len(_BOTH)).max(1))
        count += 1
    if not count:
        raise SpecError("FP16 needs calibration frames to find what overflows, and there are none.")
    return found | dict(zip(names, peaks.tolist(), strict=True))


def _watched(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """A copy whose outputs are the extremes of its float activations, and these tensors' names."""
    import onnx
    from onnx import TensorProto, helper

    names = GraphView(model).of_type(TensorProto.FLOAT)
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    for name in names:
        for how in _BOTH:
            output = f"{name}/{how}"
            watched.graph.node.append(helper.make_node(how, [name], [output], keepdims=0))
            watched.graph.output.append(
                helper.make_tensor_value_info(output, TensorProto.FLOAT, [])
            )
    return watched, names


def _check_finite(values: np.ndarray, outputs: list[str]) -> None:
    if np.isfinite(values).all():
        return
    name = outputs[int(np.flatnonzero(~np.isfinite(values))[0])].rpartition("/")[0]
    raise ArtifactError(
        f"The FP32 graph gives values that are not finite in '{name}' on a calibration frame: no "
        "precision can repair that. Check the checkpoint's weights."
    )
