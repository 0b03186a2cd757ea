"""Small graphs that a TensorRT takes or refuses."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS = 16


def quantized_conv(
    *, scale_shape: tuple[int, ...] = (), zero_point: int = 0, int32_bias: bool = False
) -> onnx.ModelProto:
    """One convolution between Q/DQ pairs; the defaults are what TensorRT runs in INT8."""
    arrays = {
        "scale": np.full(scale_shape, 0.05, np.float32),
        "zero": np.full(scale_shape, zero_point, np.int8),
        "weight": np.ones((CHANNELS, CHANNELS, 3, 3), np.int8),
        "weight_scale": np.full(CHANNELS, 0.01, np.float32),
        "weight_zero": np.zeros(CHANNELS, np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], name="x/Quantize"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["dq"], name="x/Dequantize"),
        helper.make_node(
            "DequantizeLinear",
            ["weight", "weight_scale", "weight_zero"],
            ["kernel"],
            name="weight/Dequantize",
            axis=0,
        ),
    ]
    if int32_bias:
        arrays["integers"] = np.ones(CHANNELS, np.int32)
        arrays["bias_scale"] = np.full(CHANNELS, 5e-4, np.float32)
        nodes.append(
            helper.make_node(
                "DequantizeLinear",
                ["integers", "bias_scale"],
                ["bias"],
                name="bias/Dequantize",
                axis=0,
            )
        )
    else:
        arrays["bias"] = np.ones(CHANNELS, np.float32)
    nodes.append(
        helper.make_node(
            "Conv", ["dq", "kernel", "bias"], ["y"], name="conv", kernel_shape=[3, 3], pads=[1] * 4
        )
    )
    shape = [1, CHANNELS, 32, 32]
    graph = helper.make_graph(
        nodes,
        "conv",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
