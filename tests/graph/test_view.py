"""A view of a graph says who makes a tensor, its shape, and what is asked of each convolution."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from lightawnet_edge.graph.view import GraphView
from lightawnet_edge.specs import Precision
from tests.targets.graphs import CHANNELS, quantized_conv


def conv_of(kind: int, *, computed: bool = False) -> onnx.ModelProto:
    """One 1x1 convolution on a tensor of a type; its kernel is a weight, or follows from one."""
    nodes = [helper.make_node("Conv", ["x", "k"], ["y"], name="conv", kernel_shape=[1, 1])]
    if computed:
        nodes.insert(0, helper.make_node("Neg", ["w"], ["k"], name="mix"))
    values = [helper.make_tensor_value_info(name, kind, [1, 2, 4, 6]) for name in ("x", "y")]
    kernel = helper.make_tensor("w" if computed else "k", kind, [2, 2, 1, 1], [1.0] * 4)
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [kernel])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_what_is_asked_of_a_convolution_is_what_it_reads() -> None:
    assert GraphView(conv_of(TensorProto.FLOAT)).asked == {"conv": Precision.FP32}
    assert GraphView(conv_of(TensorProto.FLOAT16)).asked == {"conv": Precision.FP16}
    assert GraphView(quantized_conv()).asked == {"conv": Precision.INT8}


def test_a_kernel_that_a_node_makes_is_computed() -> None:
    assert GraphView(conv_of(TensorProto.FLOAT, computed=True)).computed == {"conv"}
    assert not GraphView(conv_of(TensorProto.FLOAT)).computed


def test_multiplications_are_those_of_kernel_and_pixels() -> None:
    assert GraphView(conv_of(TensorProto.FLOAT)).macs == {"conv": 2 * 2 * 4 * 6}
    assert GraphView(quantized_conv()).macs == {"conv": CHANNELS * CHANNELS * 9 * 32 * 32}


def test_tensors_have_makers_shapes_and_types_as_far_as_they_are_known() -> None:
    view = GraphView(conv_of(TensorProto.FLOAT, computed=True))
    assert (view.operator("k"), view.operator("w"), view.operator("x")) == ("Neg", "", "")
    assert (view.shape("w"), view.shape("k"), view.shape("gone")) == ((2, 2, 1, 1),) * 2 + ((),)
    assert view.of_type(TensorProto.FLOAT) == ["x", "k", "y"]
    assert not view.of_type(TensorProto.FLOAT16)
