"""The CPU plugin sums a frame's boxes as integers, and scales what it is given as it stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
import torch
from torch import nn

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.graph.device_graph import DeviceModel, to_onnx
from lightawnet_edge.graph.view import GraphView
from lightawnet_edge.model.lowering import lower
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.specs import (
    ColorOrder,
    Matrix,
    Normalization,
    Precision,
    Range,
    Region,
    Scaling,
    Size,
    Target,
    Yuv,
)
from lightawnet_edge.targets import table
from lightawnet_edge.targets.base import ReadBack
from lightawnet_edge.targets.openvino.scaling import specialize
from tests.conftest import blobs

FP32 = Precision.FP32


def contract(frame: Size, crop: Region | None = None) -> Contract:
    return Contract(
        frame=frame, color=ColorOrder.RGB, network=Size(64, 64), normalization=Normalization(),
        threshold=0.5, probability=True, crop=crop,
    )  # fmt: skip


def built(network: LightAWNet, wanted: Contract, folder: Path) -> Engine:
    traits = table.traits_of(Target.OPENVINO)
    lowered = lower(network, rewrites=traits.rewrites_for(FP32))
    model = to_onnx(lowered, wanted, traits.scaling)
    onnx.save(model, folder / "device.onnx")
    backend = table.builder_for(Target.OPENVINO, FP32)
    return Engine.read(folder / backend.build(folder / "device.onnx", folder, FP32).engine, FP32)


def read_back(engine: Engine, wanted: Contract) -> ReadBack:
    frames = [blobs(1, wanted.frame)[0][0]] * 4
    return table.builder_for(Target.OPENVINO, FP32).read_back(engine, 1, frames)


@pytest.mark.parametrize("crop", [None, Region(40, 20, 400, 240)])
def test_boxes_of_bytes_run_as_integers(
    crop: Region | None, network: LightAWNet, tmp_path: Path
) -> None:
    wanted = contract(Size(288, 512), crop)
    found = read_back(built(network, wanted, tmp_path), wanted)
    boxes = [one for one in found.layers if "/boxes/" in one.name]
    assert [(one.kind, one.executed) for one in boxes] == [("convolution", Precision.INT8)]
    assert "resize" in {one.kind for one in found.layers if one.name.startswith("/mask/")}


@pytest.mark.parametrize(
    ("color", "frame", "convolutions"),
    [
        (ColorOrder.NV12, Size(288, 512), 2),  # boxes of 4 rows are boxes of 2 pairs of them
        (ColorOrder.YUY2, Size(288, 512), 2),
        (ColorOrder.RGB, Size(320, 70), 1),  # rows alone
        (ColorOrder.RGB, Size(100, 640), 1),  # runs of a row alone
        (ColorOrder.RGB, Size(61, 67), 0),
    ],
)
def test_each_plane_of_bytes_has_its_sums(
    color: ColorOrder, frame: Size, convolutions: int, network: LightAWNet, tmp_path: Path
) -> None:
    yuv = None if color.chroma is None else Yuv(matrix=Matrix.BT709, range=Range.LIMITED)
    wanted = replace(contract(frame), color=color, yuv=yuv)
    onnx.save(to_onnx(lower(network), wanted, Scaling.PRODUCTS), tmp_path / "device.onnx")
    model = openvino.Core().read_model(tmp_path / "device.onnx")
    specialize(model)
    names = [node.get_friendly_name() for node in model.get_ordered_ops()]
    assert sum("/boxes/Convolution" in name for name in names) == convolutions
    generator = np.random.default_rng(0)
    seen = generator.integers(0, 256, wanted.frame_shape, dtype=np.uint8)
    request = openvino.Core().compile_model(model, "CPU").create_infer_request()
    found = request.infer([seen])["probability"]
    with torch.no_grad():
        expected = DeviceModel(network, wanted)(torch.from_numpy(seen))[1]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_convolutions_of_an_engine_are_those_of_its_network(
    network: LightAWNet, tmp_path: Path
) -> None:
    wanted = contract(Size(288, 512))
    engine = built(network, wanted, tmp_path)
    found = table.builder_for(Target.OPENVINO, FP32).read_back(engine, 1)
    named = [one.name for one in found.layers]
    assert sorted(named) == sorted(GraphView(onnx.load(tmp_path / "device.onnx")).convs)
    assert {one.executed for one in found.layers} == {FP32}


def test_a_pixel_at_the_threshold_is_foreground(tmp_path: Path) -> None:
    class Tie(nn.Module):
        """Gives logits that are equal to the threshold everywhere."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :1] * 0

    wanted = contract(Size(288, 512))
    graph = to_onnx(Tie().eval(), wanted, Scaling.PRODUCTS)  # type: ignore[arg-type] # no LightAWNet
    onnx.save(graph, tmp_path / "device.onnx")
    model = openvino.Core().read_model(tmp_path / "device.onnx")
    specialize(model)
    request = openvino.Core().compile_model(model, "CPU").create_infer_request()
    assert (request.infer([blobs(1, wanted.frame)[0][0]])["mask"] == 255).all()


def test_a_model_without_scaling_stays_as_it_is(network: LightAWNet, tmp_path: Path) -> None:
    onnx.save(to_onnx(lower(network), contract(Size(64, 64))), tmp_path / "device.onnx")
    model = openvino.Core().read_model(tmp_path / "device.onnx")
    before = [node.get_friendly_name() for node in model.get_ordered_ops()]
    specialize(model)
    assert [node.get_friendly_name() for node in model.get_ordered_ops()] == before
