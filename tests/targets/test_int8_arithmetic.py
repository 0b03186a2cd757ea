"""Integer convolutions give what integers give, on whatever CPU the tests run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.errors import BackendUnavailableError
from lightawnet_edge.machine.machine import int8_saturates
from lightawnet_edge.specs import Precision, Target
from lightawnet_edge.targets import table
from lightawnet_edge.targets.openvino import engine

CHANNELS, SIDE = 32, 8
STEPS = {1: 1 << 13, 3: 1 << 17}
"""Kernel to the step of its quantized result: a power of two, so that no sum is rounded before."""


def convolution(weight: NDArray[np.int8]) -> onnx.ModelProto:
    """Frame uint8 (1, C, 8, 8), convolved with integers, in steps of `STEPS`."""
    side = weight.shape[-1]
    arrays: dict[str, NDArray[Any]] = {
        "one": np.array(1, np.float32),
        "zero": np.array(0, np.uint8),
        "weight": weight,
        "ones": np.ones(len(weight), np.float32),
        "step": np.array(STEPS[side], np.float32),
        "middle": np.array(128, np.uint8),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["frame"], ["x"], to=TensorProto.FLOAT),
        node("QuantizeLinear", ["x", "one", "zero"], ["xq"]),
        node("DequantizeLinear", ["xq", "one", "zero"], ["xd"]),
        node("DequantizeLinear", ["weight", "ones"], ["wd"], axis=0),
        node("Conv", ["xd", "wd"], ["a"], name="conv", kernel_shape=[side, side]),
        node("QuantizeLinear", ["a", "step", "middle"], ["aq"]),
        node("DequantizeLinear", ["aq", "step", "middle"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "convolution",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, CHANNELS, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def exact(frame: NDArray[np.uint8], weight: NDArray[np.int8]) -> NDArray[np.float32]:
    """The same in 64-bit integers."""
    side = weight.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(frame.astype(np.int64), (side, side), (2, 3))
    sums = np.einsum("bchwij,ocij->bohw", windows, weight.astype(np.int64))
    step = STEPS[side]
    return np.asarray(np.clip(np.rint(sums / step), -128, 127) * step, np.float32)


def cases(peak: int, side: int) -> list[tuple[NDArray[np.uint8], NDArray[np.int8]]]:
    """A frame and weights up to `peak`: all at the end of their range, and at random."""
    rng = np.random.default_rng(0)
    shape = (CHANNELS, CHANNELS, side, side)
    ends = np.full(shape, peak, np.int8)
    ends[::2] = -peak
    white = np.full((1, CHANNELS, SIDE, SIDE), 255, np.uint8)
    noise = rng.integers(0, 256, white.shape, dtype=np.uint8)
    return [
        (white, ends),
        (noise, ends),
        (noise, rng.integers(-peak, peak + 1, shape, dtype=np.int8)),
    ]


def engine_of(weight: NDArray[np.int8]) -> Engine:
    data = convolution(weight).SerializeToString()
    return Engine(name="conv.onnx", files={"conv.onnx": data}, precision=Precision.INT8)


def check(target: Target, frame: NDArray[np.uint8], weight: NDArray[np.int8]) -> None:
    """Let a target convolve integers, and compare."""
    conv, backend = engine_of(weight), table.get(target)
    (layer,) = backend.read_back(conv).layers
    assert layer.executed is Precision.INT8
    found = backend.load(conv, 1).infer(frame, ("y",))["y"]
    np.testing.assert_array_equal(found, exact(frame, weight))


@pytest.mark.parametrize("side", [1, 3])
def test_onnx_runtime_computes_in_exact_integers_on_every_cpu(side: int) -> None:
    for frame, weight in cases(127, side):
        check(Target.ONNX, frame, weight)


@pytest.mark.parametrize("side", [1, 3])
def test_openvino_computes_in_exact_integers_or_says_why_it_cannot(side: int) -> None:
    for frame, weight in cases(64, side):
        check(Target.OPENVINO, frame, weight)
    for frame, weight in cases(127, side):
        if int8_saturates():
            with pytest.raises(BackendUnavailableError, match="may saturate"):
                check(Target.OPENVINO, frame, weight)
        else:
            check(Target.OPENVINO, frame, weight)


def test_an_engine_whose_products_may_saturate_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "int8_saturates", lambda: True)
    _, weight = cases(65, 1)[0]
    backend = table.get(Target.OPENVINO)
    for ask in (backend.read_back, partial(backend.load, threads=None)):
        with pytest.raises(BackendUnavailableError) as caught:
            ask(engine_of(weight))
        assert str(caught.value) == (
            "'openvino int8' cannot run here: this CPU has no VNNI and adds products of 8-bit "
            "integers in 16 bits, where those of 1 convolutions may saturate, e.g. 'conv'. "
            "Export the bundle on such a CPU, where weights get 7 bits, or with --target onnx."
        )


@pytest.mark.parametrize("side", [1, 3])
def test_what_is_said_of_this_cpu_is_what_openvino_shows(side: int, tmp_path: Path) -> None:
    """Its kernels are those of the CPU, whatever the weights are."""
    file = tmp_path / "conv.onnx"
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    wrong = []
    for frame, weight in cases(127, side):
        onnx.save(convolution(weight), file)
        compiled = openvino.Core().compile_model(file, "CPU", settings)
        wrong.append(bool((compiled([frame])["y"] != exact(frame, weight)).any()))
    assert any(wrong) is int8_saturates()
