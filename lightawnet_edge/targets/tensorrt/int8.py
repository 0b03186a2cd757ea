"""INT8 for TensorRT: explicit Q/DQ pairs in the form that its parser and its kernels take.

Everything is symmetric, with zero points of 0. Activation scales are 0-D: TensorRT takes a 1-D one
as well, and then runs the convolution in float without a word. Weight scales are per channel, and
a bias stays FP32 outside of the pairs, since the parser refuses Int32 behind DequantizeLinear.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightawnet_edge.calibration.ranges import reach
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.graph.quantization import FLOAT_NODES, Frames
from lightawnet_edge.graph.view import GraphView
from lightawnet_edge.specs import Method
from lightawnet_edge.targets.onnx.int8 import frame_reader, observe, quantized_tensors

if TYPE_CHECKING:
    import onnx

STEPS = 127
"""Of symmetric INT8 on either side of zero."""


def float_convs(model: onnx.ModelProto) -> dict[str, str]:
    """Name every convolution that stays in float, with the reason.

    These are: the last one, whose output meets the threshold; convolutions with a computed kernel,
    which TensorRT runs in float or refuses; those on one pixel, which decide about all others and
    cost nothing; and grouped ones, since TensorRT's INT8 kernels want the channels of a group in
    multiples of 4, and a depthwise convolution has one.
    """
    view, found = GraphView(model), {}
    for name, conv in view.convs.items():
        groups = next((a.i for a in conv.attribute if a.name == "group"), 1)
        if any(re.fullmatch(pattern, name) for pattern in FLOAT_NODES):
            found[name] = "its output meets the threshold"
        elif name in view.computed:
            found[name] = "its kernel is computed"
        elif math.prod(view.shape(conv.output[0])[2:]) == 1:
            found[name] = "it works on one pixel"
        elif groups > 1:
            found[name] = "it is grouped"
    return found


class TensorRtDraft:
    """A device graph with Q/DQ pairs where TensorRT wants them, and the values that they see.

    Routing may be static or dynamic; with the latter the computed kernels stay in float.
    """

    def __init__(self, device_graph: Path, frames: Frames, floats: Sequence[str] = ()) -> None:
        """Place the pairs, and count the activations; what stays in float is `float_convs`."""
        self._model = _paired(device_graph, next(iter(frames())))
        self._seen = observe(device_graph, quantized_tensors(self._model.graph), frames)
        _feed_the_rest_in_float(self._model)

    def write(self, folder: Path, method: Method) -> Path:
        """Write the model with the ranges of a method, and return its file.

        Raises:
            ArtifactError: The tool left what TensorRT would refuse.
        """
        import onnx

        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        _scale(model, {name: reach(histogram, method) for name, histogram in self._seen.items()})
        check_quantization(model)
        file = folder / "quantized.onnx"
        onnx.save(model, file)
        return file


def _paired(device_graph: Path, frame: UInt8) -> onnx.ModelProto:
    """Let the tool place pairs and quantize weights; its ranges, of one frame, are replaced."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as scratch:
        aside = Path(scratch) / "graph.onnx"  # the tool writes its own files beside its input
        aside.write_bytes(device_graph.read_bytes())
        file = Path(scratch) / "quantized.onnx"
        quantize_static(
            aside,
            file,
            frame_reader([frame]),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=list(float_convs(onnx.load(device_graph))),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "DedicatedQDQPair": True,
                "QuantizeBias": False,
                "OpTypesToExcludeOutputQuantization": ["Conv"],
            },
        )
        return onnx.load(file)


def _scale(model: onnx.ModelProto, reaches: Mapping[str, float]) -> None:
    """Write the scales of activations, whose 127 steps on either side reach so far."""
    import numpy as np
    from onnx import numpy_helper

    reach_of = {
        node.input[1]: reaches[node.input[0]]
        for node in model.graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] in reaches
    }
    for tensor in model.graph.initializer:
        if tensor.name in reach_of:
            scale = np.array(reach_of[tensor.name] / STEPS, np.float32)
            tensor.CopyFrom(numpy_helper.from_array(scale, tensor.name))


def _feed_the_rest_in_float(model: onnx.ModelProto) -> None:
    """Give the float tensor back to whatever is no quantized convolution.

    ONNX Runtime puts a pair into a tensor for all of its readers: a mean that routes, a residual
    and a depthwise convolution would lose precision for nothing.
    """
    view = GraphView(model)

    def unpacked(name: str) -> str:
        """The tensor before a pair of activations; any other tensor is itself."""
        if view.operator(name) != "DequantizeLinear":
            return name
        start = view.makers.get(view.makers[name].input[0])
        return start.input[0] if start is not None else name

    for node in model.graph.node:
        if node.op_type == "Conv" and view.operator(node.input[1]) == "DequantizeLinear":
            continue
        for index, name in enumerate(node.input):
            node.input[index] = unpacked(name)


def check_quantization(model: onnx.ModelProto) -> None:
    """Refuse what TensorRT's parser would refuse, and what it would run in float without a word.

    Raises:
        ArtifactError: With the name of the first such node and what to change.
    """
    for node, problem in _problems(model):
        raise ArtifactError(f"TensorRT cannot run node '{node}' in INT8: {problem}")


def _problems(model: onnx.ModelProto) -> Iterator[tuple[str, str]]:
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("QLinearConv", "ConvInteger"):
            yield node.name, f"it is a {node.op_type}, expected a Conv between Q/DQ pairs."
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        data, scale = constants.get(node.input[0]), constants.get(node.input[1])
        if data is not None and data.data_type == data.INT32:
            yield node.name, "its constant is Int32. Leave the bias in float (QuantizeBias off)."
        if data is None and scale is not None and len(scale.dims):
            problem = (
                f"the scale of an activation has shape {tuple(scale.dims)}, expected (): with 1-D "
                "scales the convolution silently runs in float. Take care that numpy keeps it 0-D."
            )
            yield node.name, problem
        zero = constants.get(node.input[2]) if len(node.input) > 2 else None
        if zero is not None and numpy_helper.to_array(zero).any():
            values = numpy_helper.to_array(zero)
            first = values[values != 0][0]
            yield node.name, f"its zero point is {first}, expected 0. Quantize symmetrically."
