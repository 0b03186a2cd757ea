"""In an OpenVINO model, convolutions read integers, and nothing else is quantized."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from openvino import opset13 as ops

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.calibration.ranges import with_zero
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.graph.device_graph import to_onnx
from lightawnet_edge.graph.quantization import float_patterns
from lightawnet_edge.model.lowering import lower
from lightawnet_edge.specs import ColorOrder, Method, Normalization, Precision, Size, Target
from lightawnet_edge.targets import table
from lightawnet_edge.targets.openvino import int8
from lightawnet_edge.targets.openvino.convolutions import MOVERS
from lightawnet_edge.targets.openvino.int8 import OpenVinoDraft
from lightawnet_edge.targets.openvino.quantizers import (
    ENTRY,
    SHIFT,
    enter_as_bytes,
    quantize,
    source,
    store_integers,
)
from tests.conftest import SIZE, blobs, random_network

Bundles = dict[tuple[str, str], Path]
ONE, NONE = [1, 1], [0, 0]
HEIGHT, WIDTH = 8, 16


def frames() -> list[UInt8]:
    return [frame for frame, _ in blobs(4, SIZE)]


def drafted(graph: Path, floats: tuple[str, ...] = ()) -> OpenVinoDraft:
    return OpenVinoDraft(graph, frames, floats)


def nodes_of(file: Path) -> dict[str, Any]:
    return {op.get_friendly_name(): op for op in openvino.Core().read_model(file).get_ops()}


def test_every_convolution_but_those_in_float_reads_a_quantizer_and_nothing_else_does(
    bundles: Bundles,
) -> None:
    bundle = Bundle.open(bundles["openvino", "int8"])
    nodes = nodes_of(bundle.path / bundle.manifest.engine)
    read = set()
    for layer in bundle.manifest.layers:
        conv = nodes.get(f"{layer.name}/WithoutBiases") or nodes[layer.name]
        origin = conv.input_value(0).get_node()
        while origin.get_type_name() in MOVERS:
            origin = origin.input_value(0).get_node()
        if origin.get_type_name() == "FakeQuantize":
            read.add(origin.get_friendly_name())
            assert layer.requested == "int8" or layer.name.startswith("out/border/")
        else:
            assert layer.name == "e1/depthwise" or layer.requested == "fp32", layer.name
    quantizers = {name for name, op in nodes.items() if op.get_type_name() == "FakeQuantize"}
    assert quantizers == read
    for name in quantizers:
        kinds = {
            one.get_node().get_type_name() for one in nodes[name].output(0).get_target_inputs()
        }
        assert kinds <= MOVERS | {"Convolution"}


@pytest.mark.parametrize(
    ("changes", "reads_bytes"),
    [
        ({}, True),
        ({"color": ColorOrder.BGR}, True),
        ({"color": ColorOrder.GRAY}, True),
        ({"frame": Size(80, 96)}, False),
        ({"normalization": Normalization(method="minmax")}, False),
    ],
    ids=["rgb", "bgr", "gray", "other size", "minmax"],
)
def test_int8_is_close_to_float_whatever_the_frame(
    changes: dict[str, Any], reads_bytes: bool, tmp_path: Path
) -> None:
    values = {"frame": SIZE, "color": ColorOrder.RGB, "normalization": Normalization(), **changes}
    wanted = Contract(network=SIZE, threshold=0.5, probability=True, **values)
    gray = wanted.color is ColorOrder.GRAY
    twin = random_network(1 if gray else 3, experts=1)
    rewrites = table.traits_of(Target.OPENVINO).rewrites_for(Precision.INT8)
    lowered = lower(twin, rewrites=rewrites, bgr=wanted.color is ColorOrder.BGR)
    onnx.save(to_onnx(lowered, wanted), tmp_path / "device.onnx")
    seen = [frame for frame, _ in blobs(4, wanted.frame)]
    seen = [frame[:, :, 1].copy() for frame in seen] if gray else seen
    draft = OpenVinoDraft(tmp_path / "device.onnx", lambda: seen, float_patterns())
    file = draft.write(tmp_path, Method.MIN_MAX)
    assert (f"e1/depthwise{ENTRY}" in nodes_of(file)) is reads_bytes
    backend = table.get(Target.OPENVINO)
    exact = backend.load(Engine.read(tmp_path / "device.onnx", Precision.FP32), 1)
    found = backend.load(Engine.read(file, Precision.INT8), 1)
    for frame in seen:
        one, other = (engine.infer(frame, ("probability",)) for engine in (exact, found))
        assert np.abs(one["probability"] - other["probability"]).mean() < 0.03


@pytest.mark.parametrize(("saturates", "peak"), [(True, 64), (False, 127)])
def test_weights_use_the_integers_that_the_cpu_can_add(
    saturates: bool, peak: int, bundles: Bundles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "int8_saturates", lambda: saturates)
    file = drafted(bundles["openvino", "int8"] / "device.onnx").write(tmp_path, Method.MIN_MAX)
    integers = [
        op.data
        for op in nodes_of(file).values()
        if op.get_type_name() == "Constant" and op.get_element_type().get_type_name() == "i8"
    ]
    assert len(integers) > 30
    assert {int(np.abs(kernel.astype(int)).max()) for kernel in integers} == {peak}


def model_of(
    weight: NDArray[np.float32], *, mean: float = 0.5, scale: float = 0.25, shift: bool = False
) -> openvino.Model:
    """Frame uint8 (H, W, 3), normalized, in cells of four pixels, convolved; and itself added."""
    frame = ops.parameter([HEIGHT, WIDTH, 3], np.uint8, name="frame")
    x = ops.unsqueeze(ops.transpose(ops.convert(frame, "f32"), np.array([2, 0, 1])), np.array([0]))
    x = ops.divide(
        ops.subtract(ops.divide(x, np.float32(255)), np.float32(mean)), np.float32(scale)
    )
    if shift:
        x = ops.relu(x)  # no longer a normalization
    x = ops.transpose(x, np.array([0, 2, 3, 1]))
    x = ops.reshape(x, np.array([1, HEIGHT, WIDTH // 4, 12]), special_zero=False)
    x = ops.transpose(x, np.array([0, 3, 1, 2]))
    conv = ops.convolution(x, ops.constant(weight), ONE, NONE, NONE, ONE, name="conv")
    results = [ops.result(conv), ops.result(ops.add(x, np.float32(0)))]
    for result, name in zip(results, ("y", "x"), strict=True):
        result.get_output_tensor(0).set_names({name})
    return openvino.Model(results, [frame])


def run(model: Any, frame: UInt8) -> dict[str, NDArray[np.float32]]:
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    found = openvino.Core().compile_model(model, "CPU", settings)([frame])
    return {name: np.array(found[name]) for name in ("x", "y")}


@given(
    seed=st.integers(0, 2**16),
    kernel=st.sampled_from([1, 3]),
    mean=st.sampled_from([0.5, 0.0, 0.45, 1.0]),
    scale=st.sampled_from([0.25, 1.0]),
)
@settings(deadline=None, max_examples=10)
def test_bytes_go_into_the_first_convolution_as_they_are(
    seed: int, kernel: int, mean: float, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    # Whole numbers up to the peak: weights that lose nothing, so that the frame would show.
    weight = rng.integers(-62, 63, (16, 12, kernel, kernel)).astype(np.float32)
    weight[:, 0, 0, 0] = 63
    model = model_of(weight, mean=mean, scale=scale)
    frame = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    expected = run(model, frame)
    (conv,) = (op for op in model.get_ops() if op.get_type_name() == "Convolution")
    store_integers(conv, 63)
    assert enter_as_bytes(conv)
    found = run(model, frame)
    np.testing.assert_allclose(found["x"], expected["x"], atol=1e-5)
    tolerance = 1e-5 * float(np.abs(expected["y"]).max())
    np.testing.assert_allclose(found["y"], expected["y"], atol=tolerance)
    names = {op.get_friendly_name() for op in model.get_ops()}
    assert {f"conv{SHIFT}", f"conv{ENTRY}"} <= names


def test_what_is_more_than_a_normalization_gets_a_quantizer() -> None:
    model = model_of(np.ones((16, 12, 1, 1), np.float32), shift=True)
    (conv,) = (op for op in model.get_ops() if op.get_type_name() == "Convolution")
    store_integers(conv, 63)
    assert not enter_as_bytes(conv)


@given(seed=st.integers(0, 2**16), kernel=st.sampled_from([1, 3]))
@settings(deadline=None, max_examples=10)
def test_a_quantizer_of_pointwise_convolutions_begins_at_zero_and_they_are_shifted(
    seed: int, kernel: int
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-62, 63, (16, 12, kernel, kernel)).astype(np.float32)
    weight[:, 0, 0, 0] = 63
    model = model_of(weight, shift=True)
    frame = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    expected = run(model, frame)
    (conv,) = (op for op in model.get_ops() if op.get_type_name() == "Convolution")
    store_integers(conv, 63)
    low, high = with_zero(-1.0, 3.0)
    quantize(source(conv), (low, high))
    (quantizer,) = (op for op in model.get_ops() if op.get_type_name() == "FakeQuantize")
    ends = [float(quantizer.input_value(place).get_node().data) for place in (1, 2, 3, 4)]
    given = [0, high - low] if kernel == 1 else [low, high]
    assert ends == pytest.approx([low, high, *given])
    found = run(model, frame)
    step = 4 / 255
    allowed = step / 2 * np.abs(weight).sum((1, 2, 3)).max() + 1e-3
    np.testing.assert_allclose(found["y"], expected["y"], atol=allowed)
    # What is no convolution reads floats: less than a millionth of a step moves.
    np.testing.assert_allclose(found["x"], expected["x"], atol=1e-8)
