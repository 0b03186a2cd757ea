"""TensorRT's parser takes the device graph: shown with the TensorRT-RTX wheel, without a GPU.

A green build proves the parser and the typing, not numerics or speed: kernels are compiled on a
GPU, when the engine is loaded.
"""

from __future__ import annotations

from typing import Any

import pytest
import tensorrt_rtx as trt
import torch

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.graph.device_graph import to_onnx
from lightawnet_edge.model.lowering import lower
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.model.routing import mean_routing
from lightawnet_edge.specs import ColorOrder, Matrix, Normalization, Range, Region, Size, Yuv


@pytest.mark.parametrize("routing", ["dynamic", "static"])
@pytest.mark.parametrize("frame", [Size(64, 64), Size(540, 960)], ids=str)
def test_the_device_graph_parses_and_builds(routing: str, frame: Size, network: LightAWNet) -> None:
    build(network, routing, contract(frame))


def test_a_region_parses_and_builds(network: LightAWNet) -> None:
    build(network, "static", contract(Size(540, 960), crop=Region(210, 0, 540, 540)))


@pytest.mark.parametrize("color", [ColorOrder.NV12, ColorOrder.YUY2], ids=str)
def test_yuv_parses_and_builds(color: ColorOrder, network: LightAWNet) -> None:
    yuv = Yuv(matrix=Matrix.BT709, range=Range.LIMITED)
    crop = Region(210, 0, 540, 540)
    build(network, "static", contract(Size(540, 960), color=color, yuv=yuv, crop=crop))


def contract(frame: Size, **changes: Any) -> Contract:
    values: dict[str, Any] = {
        "frame": frame,
        "color": ColorOrder.BGR,
        "network": Size(64, 64),
        "normalization": Normalization(),
        "threshold": 0.5,
        "probability": True,
    }
    return Contract(**(values | changes))


def build(network: LightAWNet, routing: str, contract: Contract) -> None:
    frozen = mean_routing(network, [torch.randn(1, 3, 64, 64)]) if routing == "static" else None
    graph = to_onnx(lower(network, frozen), contract)
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    definition = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(definition, logger)
    parsed = parser.parse(graph.SerializeToString())
    assert parsed, [parser.get_error(i).desc() for i in range(parser.num_errors)]
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    assert config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    assert builder.build_serialized_network(definition, config) is not None
