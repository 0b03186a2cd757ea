"""Quantization keeps what must stay in float there, uses each frame, and says nothing on stdout."""

from __future__ import annotations

import logging
from pathlib import Path

import onnx
import openvino
import pytest

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.specs import Target
from tests.conftest import SIZE, blobs
from tests.targets.drafts import quantize

Bundles = dict[tuple[str, str], Path]


def frames() -> list[UInt8]:
    return [frame for frame, _ in blobs(4, SIZE)]


@pytest.fixture(scope="module")
def quantized(bundles: Bundles, tmp_path_factory: pytest.TempPathFactory) -> dict[Target, Path]:
    # The device graph of an INT8 bundle is the FP32 graph with static routing.
    graph = bundles["onnx", "int8"] / "device.onnx"
    return {
        target: quantize(graph, tmp_path_factory.mktemp(str(target)), target, frames)
        for target in (Target.ONNX, Target.OPENVINO)
    }


def test_onnx_weights_are_symmetric_per_channel(quantized: dict[Target, Path]) -> None:
    graph = onnx.load(quantized[Target.ONNX]).graph
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = [name for name in values if name.endswith(".weight_quantized")]
    assert len(weights) > 30
    for name in weights:
        stem = name.removesuffix("_quantized")
        assert values[f"{stem}_scale"].shape == values[name].shape[:1], (
            "one scale per output channel"
        )
        assert not values[f"{stem}_zero_point"].any()


def test_the_logits_and_the_softmax_stay_in_float(
    bundles: Bundles, quantized: dict[Target, Path]
) -> None:
    # ONNX Runtime makes an integer convolution of a float one between quantized neighbours: ask
    # the engine.
    for target in ("onnx", "openvino"):
        assert 0 < Bundle.open(bundles[target, "int8"]).manifest.executed["fp32"] < 0.1
    graph = onnx.load(quantized[Target.ONNX]).graph
    (last,) = [node for node in graph.node if node.name == "/network/out/DepthToSpace"]
    makers = {name: node.op_type for node in graph.node for name in node.output}
    assert makers[last.input[0]] == "Concat"
    followers = {node.op_type for node in graph.node if last.output[0] in node.input}
    assert "QuantizeLinear" not in followers
    model = openvino.Core().read_model(quantized[Target.OPENVINO])
    by_name = {op.get_friendly_name(): op for op in model.get_ops()}
    for name in ("/network/out/DepthToSpace", "/network/attention/MatMul"):
        assert by_name[name].input_value(0).get_node().get_type_name() != "FakeQuantize", name


@pytest.mark.parametrize("target", [Target.ONNX, Target.OPENVINO])
def test_scales_follow_the_frames_and_nothing_else(
    bundles: Bundles,
    quantized: dict[Target, Path],
    target: Target,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def dark() -> list[UInt8]:
        return [frame // 8 for frame in frames()]

    graph = bundles["onnx", "int8"] / "device.onnx"
    made = [weights_of(quantized[target])]
    for source in (frames, dark):
        folder = tmp_path / source.__name__
        folder.mkdir()
        made.append(weights_of(quantize(graph, folder, target, source)))
    assert made[0] == made[1], "equal frames give equal scales"
    assert made[0] != made[2]
    assert capfd.readouterr().out == "", "quantizers must not write to stdout"
    assert logging.root.manager.disable == logging.NOTSET


def weights_of(model: Path) -> bytes:
    return model.with_suffix(".bin" if model.suffix == ".xml" else model.suffix).read_bytes()


def test_a_broken_graph_is_one_sentence(tmp_path: Path) -> None:
    graph = tmp_path / "device.onnx"
    graph.write_bytes(b"no graph")
    for target in (Target.ONNX, Target.OPENVINO):
        with pytest.raises(ArtifactError, match=r"cannot quantize .*device\.onnx"):
            quantize(graph, tmp_path, target, frames)
