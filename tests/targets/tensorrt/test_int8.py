"""Explicit Q/DQ in the form that TensorRT takes, for static and for dynamic routing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.graph.device_graph import to_onnx
from lightawnet_edge.graph.magnitudes import magnitudes
from lightawnet_edge.model.lowering import lower
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.specs import ColorOrder, Method, Normalization, Target
from lightawnet_edge.targets.tensorrt.int8 import STEPS, check_quantization, float_convs
from tests.conftest import SIZE, blobs
from tests.targets.drafts import quantize
from tests.targets.graphs import quantized_conv


def frames() -> list[UInt8]:
    return [frame for frame, _ in blobs(2, SIZE)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, network: LightAWNet) -> Path:
    contract = Contract(
        frame=SIZE,
        color=ColorOrder.RGB,
        network=SIZE,
        normalization=Normalization(),
        threshold=0.5,
        probability=True,
    )
    path = tmp_path_factory.mktemp("dynamic") / "device.onnx"
    onnx.save(to_onnx(lower(network), contract), path)
    return path


@pytest.fixture(scope="module")
def quantized(source: Path, tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    return onnx.load(quantize(source, tmp_path_factory.mktemp("int8"), Target.TENSORRT, frames))


def test_computed_kernels_stay_in_float_and_the_rest_is_quantized(
    source: Path, quantized: onnx.ModelProto
) -> None:
    wide = float_convs(onnx.load(source))
    assert wide["e1/dynamic"] == "its kernel is computed"
    assert wide["e1/depthwise"] == "it is grouped"
    assert wide["u1/squeeze"] == wide["e1/dynamic/routing"] == "it works on one pixel"
    assert wide["out"] == "its output meets the threshold"
    producer = {name: node.op_type for node in quantized.graph.node for name in node.output}
    convs = [node for node in quantized.graph.node if node.op_type == "Conv"]
    assert len(convs) > len(wide)
    for node in convs:
        both = [producer.get(name) == "DequantizeLinear" for name in node.input[:2]]
        assert both == [node.name not in wide] * 2, node.name


def test_only_quantized_convolutions_read_quantized_tensors(quantized: onnx.ModelProto) -> None:
    """Not the mean that routes, not a residual: they would lose precision for nothing."""
    pairs = {n.output[0] for n in quantized.graph.node if n.op_type == "DequantizeLinear"}
    readers = {n.op_type for n in quantized.graph.node if pairs.intersection(n.input)}
    assert readers == {"Conv"}


def test_scales_and_zero_points_are_what_tensorrt_takes(quantized: onnx.ModelProto) -> None:
    check_quantization(quantized)
    constants = {t.name: numpy_helper.to_array(t) for t in quantized.graph.initializer}
    for node in quantized.graph.node:
        if node.op_type == "Conv" and len(node.input) > 2:
            assert constants[node.input[2]].dtype == np.float32, "a bias stays in float"
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        scale = constants[node.input[1]]
        assert scale.dtype == np.float32
        stored = constants.get(node.input[0])
        assert scale.shape == (() if stored is None else stored.shape[:1])


def activation_scales(model: onnx.ModelProto) -> dict[str, float]:
    """Tensor to its scale, for every quantizer of activations."""
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    return {
        node.input[0]: float(constants[node.input[1]])
        for node in model.graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] not in constants
    }


def test_ranges_are_those_of_all_frames_by_the_method_that_was_asked_for(
    source: Path, tmp_path: Path
) -> None:
    made = {
        method: activation_scales(
            onnx.load(quantize(source, tmp_path, Target.TENSORRT, frames, method=method))
        )
        for method in (Method.MIN_MAX, Method.PERCENTILE)
    }
    peaks = magnitudes(onnx.load(source), frames)
    assert len(made[Method.MIN_MAX]) > 10
    for name, scale in made[Method.MIN_MAX].items():
        assert scale == pytest.approx(peaks[name] / STEPS, rel=1e-3), name
        assert 0 < made[Method.PERCENTILE][name] <= scale * 1.001, name
    assert made[Method.MIN_MAX] != made[Method.PERCENTILE]


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (quantized_conv(scale_shape=(1,)), r"'x/Quantize' in INT8: .*shape \(1,\), expected \(\)"),
        (quantized_conv(zero_point=3), "'x/Quantize' in INT8: its zero point is 3, expected 0"),
        (quantized_conv(int32_bias=True), "'bias/Dequantize' in INT8: its constant is Int32"),
    ],
    ids=["1-D scale", "zero point", "Int32 bias"],
)
def test_what_tensorrt_refuses_or_runs_in_float_is_refused_first(
    graph: onnx.ModelProto, message: str
) -> None:
    with pytest.raises(ArtifactError, match=message):
        check_quantization(graph)


def test_integer_operators_are_refused() -> None:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("ConvInteger", ["x", "w"], ["y"], name="conv")], "g", [], []
    )
    with pytest.raises(ArtifactError, match="it is a ConvInteger, expected a Conv between Q/DQ"):
        check_quantization(onnx.helper.make_model(graph))


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not ONNX")
    with pytest.raises(ArtifactError, match="cannot quantize"):
        quantize(broken, tmp_path, Target.TENSORRT, frames)
