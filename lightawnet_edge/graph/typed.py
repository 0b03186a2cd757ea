"""FP16 in the graph: every tensor gets its type, and FP32 islands stay where FP16 would lose.

TensorRT 10 takes the types of a strongly typed graph as they stand, and TensorRT 11 knows nothing
else. The conversion is our own, in place of ONNX Runtime's: that one keeps Resize in FP32 and lifts
small weights to 1e-7, and it cannot tell why a node stayed in FP32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lightawnet_edge.graph.view import GraphView

if TYPE_CHECKING:
    import onnx

HALF_MAX = 65504.0
"""The largest finite FP16 value."""
MARGIN = 8.0
"""How much larger than on the calibration frames a value may get before FP16 overflows."""
_ALWAYS = {
    "Softmax": "a sum of exponentials",
    "Sigmoid": "an exponential of its input",
    "ReduceMean": "a mean over many pixels",
    "GlobalAveragePool": "a mean over many pixels",
    "QuantizeLinear": "scales are FP32",
    "DequantizeLinear": "scales are FP32",
    "Cast": "its type is stated",
}


def islands(
    model: onnx.ModelProto, magnitude_of: Mapping[str, float], margin: float = MARGIN
) -> dict[str, str]:
    """Name every node that stays in FP32, with the reason.

    These are: what stands before the first convolution, where the range is the camera's, and after
    the last one, where the threshold is met; exponentials, and the scores that a softmax takes;
    means over many pixels, and what works on such a mean; quantization and the convolutions that it
    surrounds; and whatever came closer to the largest FP16 value than by a factor `margin` on the
    frames behind `magnitude_of`.
    """
    outside = _outside_the_convolutions(model)
    view = GraphView(model)
    scores = {node.input[0] for node in model.graph.node if node.op_type == "Softmax"}
    limit = HALF_MAX / margin
    found = {}
    for node in model.graph.node:
        peak = max(magnitude_of.get(name, 0.0) for name in [*node.input, *node.output])
        if node.name in outside:
            found[node.name] = outside[node.name]
        elif node.op_type in _ALWAYS:
            found[node.name] = _ALWAYS[node.op_type]
        elif node.output[0] in scores:
            found[node.name] = "the scores of a softmax"
        elif node.op_type == "Conv" and view.operator(node.input[1]) == "DequantizeLinear":
            found[node.name] = "quantized: it runs in INT8"
        elif _is_one_pixel(view.shape(node.output[0])):
            found[node.name] = "one pixel: FP32 costs nothing, and saves casts"
        elif peak > limit:
            found[node.name] = f"values up to {peak:.3g}, the limit is {limit:.3g}"
    return found


def _is_one_pixel(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[2:] == (1, 1)


def _outside_the_convolutions(model: onnx.ModelProto) -> dict[str, str]:
    """Nodes that depend on no convolution, and nodes that no convolution depends on."""
    after: set[str] = set()
    for node in model.graph.node:
        if node.op_type == "Conv" or after.intersection(node.input):
            after.update(node.output)
    before: set[str] = set()
    for node in reversed(model.graph.node):
        if node.op_type == "Conv" or before.intersection(node.output):
            before.update(node.input)
    found = {}
    for node in model.graph.node:
        if not after.intersection(node.output):
            found[node.name] = "before the first convolution"
        elif not before.intersection(node.output) and node.op_type != "Conv":
            found[node.name] = "after the last convolution"
    return found


def to_fp16(model: onnx.ModelProto, keep: Mapping[str, str]) -> onnx.ModelProto:
    """Convert an FP32 graph to FP16 outside of the nodes in `keep`, whose names are the keys.

    The types of inputs and outputs stay. A tensor that both sides need is cast once.
    """
    return _Conversion(model, keep).run()


class _Conversion:
    """One conversion: nodes in their order, with casts put in where two types meet."""

    def __init__(self, model: onnx.ModelProto, keep: Mapping[str, str]) -> None:
        import onnx
        from onnx import TensorProto, numpy_helper

        self._model = onnx.shape_inference.infer_shapes(model)
        self._keep = keep
        self._float, self._half = TensorProto.FLOAT, TensorProto.FLOAT16
        graph = self._model.graph
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._to_array, self._from_array = numpy_helper.to_array, numpy_helper.from_array
        values = [*graph.value_info, *graph.output, *graph.input]
        self._type_of = {value.name: value.type.tensor_type.elem_type for value in values}
        self._type_of |= {name: tensor.data_type for name, tensor in self._weights.items()}
        self._outputs = {value.name for value in graph.output}
        self._cast: dict[tuple[str, int], str] = {}
        self._halved: dict[str, onnx.TensorProto] = {}
        self._nodes: list[onnx.NodeProto] = []

    def run(self) -> onnx.ModelProto:
        """The converted model, checked and with fresh types on its tensors."""
        import onnx

        for node in self._model.graph.node:
            self._convert(node)
        used = {name for node in self._nodes for name in node.input}
        kept = [tensor for name, tensor in self._weights.items() if name in used]
        graph = self._model.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend([*kept, *self._halved.values()])
        typed = onnx.shape_inference.infer_shapes(self._model, strict_mode=True)
        onnx.checker.check_model(typed, full_check=True)
        return typed

    def _convert(self, node: onnx.NodeProto) -> None:
        wanted = self._float if node.name in self._keep else self._half
        for index, name in enumerate(node.input):
            # Inputs beyond the data of a Resize are a region and scales, which stay FP32.
            if name and not (node.op_type == "Resize" and index):
                node.input[index] = self._as(name, wanted)
        casts_back = []
        for index, name in enumerate(node.output):
            if wanted != self._half or self._type_of.get(name) != self._float:
                continue
            if name in self._outputs:  # its type stays; FP16 readers take the value before the cast
                node.output[index] = self._cast[name, self._half] = f"{name}/fp16"
                casts_back.append((node.output[index], name))
            else:
                self._type_of[name] = self._half
        self._nodes.append(node)
        for half, name in casts_back:
            self._add_cast(half, name, self._float)

    def _as(self, name: str, wanted: int) -> str:
        """The name under which a tensor is to be had in a float type; other types stay."""
        given = self._type_of[name]
        if given == wanted or given not in (self._float, self._half):
            return name
        if (name, wanted) not in self._cast:
            self._cast[name, wanted] = alias = (
                f"{name}/{'fp16' if wanted == self._half else 'fp32'}"
            )
            if name in self._weights:
                values = self._to_array(self._weights[name]).astype(np.float16)
                self._halved[alias] = self._from_array(values, alias)
            else:
                self._add_cast(name, alias, wanted)
        return self._cast[name, wanted]

    def _add_cast(self, source: str, target: str, to: int) -> None:
        from onnx import helper

        self._nodes.append(
            helper.make_node("Cast", [source], [target], name=f"{target}/Cast", to=to)
        )
