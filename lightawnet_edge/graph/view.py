"""One look at an ONNX graph: who makes a tensor, what it is, and what is asked of convolutions."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

from lightawnet_edge.specs import Precision

if TYPE_CHECKING:
    import onnx


class GraphView:
    """A model as it is now: tensors that are added later are not seen."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Look at a model; nothing is inferred before it is asked for."""
        self._model = model
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.makers = {name: node for node in model.graph.node for name in node.output}

    @cached_property
    def convs(self) -> dict[str, onnx.NodeProto]:
        """Every Conv by its name, in the order of the graph."""
        return {node.name: node for node in self._model.graph.node if node.op_type == "Conv"}

    @cached_property
    def values(self) -> dict[str, onnx.TypeProto.Tensor]:
        """Type and shape of every tensor that is no constant, as far as they can be inferred."""
        import onnx

        graph = onnx.shape_inference.infer_shapes(self._model).graph
        known = [*graph.input, *graph.value_info, *graph.output]
        return {
            value.name: value.type.tensor_type
            for value in known
            if value.name not in self.constants
        }

    def operator(self, tensor: str) -> str:
        """Operator of the node that makes a tensor; empty for a constant or an input."""
        maker = self.makers.get(tensor)
        return str(maker.op_type) if maker is not None else ""

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of a tensor or constant; empty where it is not known."""
        if tensor in self.constants:
            return tuple(self.constants[tensor].dims)
        value = self.values.get(tensor)
        return tuple(dim.dim_value for dim in value.shape.dim) if value is not None else ()

    def of_type(self, kind: int) -> list[str]:
        """Names of the tensors of an ONNX element type, constants left out."""
        return [name for name, value in self.values.items() if value.elem_type == kind]

    @cached_property
    def macs(self) -> dict[str, int]:
        """Multiply-accumulates per frame of every Conv, by its name."""
        return {
            name: math.prod(self.shape(conv.input[1])) * math.prod(self.shape(conv.output[0])[2:])
            for name, conv in self.convs.items()
        }

    @cached_property
    def computed(self) -> frozenset[str]:
        """Names of the Convs whose kernel is computed per frame: their routing is dynamic."""
        return frozenset(
            name for name, conv in self.convs.items() if conv.input[1] not in self.constants
        )

    @cached_property
    def asked(self) -> dict[str, Precision]:
        """What the graph asks of every Conv: INT8 between Q/DQ pairs, else the type it reads."""
        import onnx

        halves = set(self.of_type(onnx.TensorProto.FLOAT16))
        asked = {}
        for name, conv in self.convs.items():
            asked[name] = Precision.FP16 if conv.input[0] in halves else Precision.FP32
            if all(self.operator(tensor) == "DequantizeLinear" for tensor in conv.input[:2]):
                asked[name] = Precision.INT8
        return asked
