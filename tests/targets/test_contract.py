"""One contract for all backends; a new backend adds a name, not a test file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from lightawnet_edge.bundle.contract import Port
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, SpecError
from lightawnet_edge.specs import Precision, Target
from lightawnet_edge.targets import table
from lightawnet_edge.targets.base import WARMUP, kind_of

# TensorRT needs a device: its tests are its own.
EACH = pytest.mark.parametrize("target", [Target.ONNX, Target.OPENVINO], ids=str)


@pytest.fixture
def doubling(tmp_path: Path) -> Path:
    """An ONNX file that doubles a uint8 frame (2, 3): `twice`, and halves it: `half`."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["frame"], ["x"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["x", "x"], ["twice"]),
            helper.make_node("Div", ["x", "two"], ["half"]),
        ],
        "doubling",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, [2, 3])],
        [
            helper.make_tensor_value_info("twice", TensorProto.FLOAT, [2, 3]),
            helper.make_tensor_value_info("half", TensorProto.FLOAT, [2, 3]),
        ],
        [helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])],
    )
    path = tmp_path / "doubling.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


@EACH
def test_an_engine_computes_what_the_graph_says(
    target: Target, doubling: Path, tmp_path: Path
) -> None:
    backend = table.builder_for(target, Precision.FP32)
    folder = tmp_path / "engine"
    folder.mkdir()
    built = backend.build(doubling, folder, Precision.FP32)
    session = backend.load(Engine.read(folder / built.engine, Precision.FP32), 1)
    frame = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.testing.assert_array_equal(session.infer(frame, ("half",))["half"], frame / 2)
    assert set(session.infer(frame, ("half", "twice"))) == {"half", "twice"}
    session.close()


@EACH
def test_an_engine_says_what_it_takes_and_gives(
    target: Target, doubling: Path, tmp_path: Path
) -> None:
    backend = table.builder_for(target, Precision.FP32)
    built = backend.build(doubling, tmp_path, Precision.FP32)
    session = backend.load(Engine.read(tmp_path / built.engine, Precision.FP32), 1)
    assert session.ports.source == Port(shape=(2, 3), dtype="uint8")
    twice = Port(shape=(2, 3), dtype="float32")
    assert dict(session.ports.outputs) == {"twice": twice, "half": twice}
    session.close()


def test_a_graph_that_fails_on_a_frame_gives_one_sentence_and_goes_on() -> None:
    """Its output has as many values as its input, and so many more as the first pixel says."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["frame"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Gather", ["whole", "first"], ["more"], axis=0),
            helper.make_node("Add", ["more", "six"], ["size"]),
            helper.make_node("Reshape", ["frame", "size"], ["y"]),
        ],
        "fails",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, [6])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, ["some"])],
        [
            helper.make_tensor("first", TensorProto.INT64, [1], [0]),
            helper.make_tensor("six", TensorProto.INT64, [1], [6]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    engine = Engine(
        name="g.onnx", files={"g.onnx": model.SerializeToString()}, precision=Precision.FP32
    )
    session = table.get(Target.ONNX).load(engine, 1)
    assert session.ports.outputs["y"] == Port(shape=(-1,), dtype="uint8")
    fits = np.arange(6, dtype=np.uint8)
    with pytest.raises(BackendUnavailableError, match="the engine does not run: ") as caught:
        session.infer(fits + 1, ("y",))
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(session.infer(fits, ("y",))["y"], fits)
    session.close()


def test_what_openvino_says_of_a_call_that_fails_becomes_one_sentence(
    doubling: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No graph is known that its CPU plugin fails on: it takes even shapes that do not fit."""

    class Failing:
        def infer(self, inputs: object, share_inputs: bool) -> None:
            raise RuntimeError("Exception from src/x.cpp:1:\nCheck 'a' failed\nno memory left\n\n")

    session = table.get(Target.OPENVINO).load(Engine.read(doubling, Precision.FP32), 1)
    monkeypatch.setattr(session, "_request", Failing())
    with pytest.raises(
        BackendUnavailableError, match=r"^'openvino' .*the engine does not run: no memory left$"
    ):
        session.infer(np.zeros((2, 3), np.uint8), ("half",))


@EACH
def test_outputs_are_the_caller_s_to_keep(target: Target, doubling: Path, tmp_path: Path) -> None:
    backend = table.builder_for(target, Precision.FP32)
    folder = tmp_path / "engine"
    folder.mkdir()
    built = backend.build(doubling, folder, Precision.FP32)
    session = backend.load(Engine.read(folder / built.engine, Precision.FP32), 1)
    first = session.infer(np.ones((2, 3), np.uint8), ("twice",))["twice"]
    session.infer(np.full((2, 3), 7, np.uint8), ("twice",))
    assert (first == 2).all()
    session.close()


@EACH
def test_outputs_are_written_where_the_caller_wants_them(
    target: Target, doubling: Path, tmp_path: Path
) -> None:
    backend = table.builder_for(target, Precision.FP32)
    built = backend.build(doubling, tmp_path, Precision.FP32)
    session = backend.load(Engine.read(tmp_path / built.engine, Precision.FP32), 1)
    mine = np.zeros_like(session.infer(np.ones((2, 3), np.uint8), ("twice",))["twice"])
    found = session.infer(np.full((2, 3), 7, np.uint8), ("half", "twice"), {"twice": mine})
    assert found["twice"] is mine
    assert (mine == 14).all()
    assert (found["half"] == 3.5).all()
    session.close()


@EACH
def test_every_precision_is_executed_or_refused_with_a_reason(target: Target) -> None:
    refusals = table.get(target).refusals()
    assert set(refusals) == set(Precision)
    assert refusals[Precision.FP32] is None
    for precision, reason in refusals.items():
        if reason is None:
            assert table.get_for(target, precision)
        else:
            with pytest.raises(BackendUnavailableError, match="cannot run here"):
                table.get_for(target, precision)


@EACH
def test_a_broken_engine_gives_one_sentence(target: Target, tmp_path: Path) -> None:
    for name in ("engine.onnx", "engine.xml"):
        (tmp_path / name).write_bytes(b"not a model")
    engine = tmp_path / ("engine.onnx" if target == Target.ONNX else "engine.xml")
    with pytest.raises(ArtifactError, match=r"cannot take '.*engine") as caught:
        table.get(target).load(Engine.read(engine, Precision.FP32), 1)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_fp16_on_onnxruntime_s_cpu_is_refused_not_emulated() -> None:
    with pytest.raises(BackendUnavailableError, match="would cast to fp32 silently"):
        table.get_for(Target.ONNX, Precision.FP16)


def test_a_target_that_is_none_is_answered_with_all_that_are() -> None:
    known = "onnx, openvino, tensorrt, tensorrt-rtx"
    for ask in (table.get, table.maker, table.probe, table.quantizer, table.traits_of):
        with pytest.raises(SpecError, match=rf"Unknown target 'coreml'\. Known: {known}\."):
            ask(Target("coreml"))
    assert table.find("pytorch") is None
    assert not table.on_gpu("pytorch")
    assert table.on_gpu(Target.TENSORRT_RTX)


@pytest.mark.parametrize("target", table.known(), ids=str)
def test_every_target_fills_its_roles_or_says_why_not(target: Target) -> None:
    traits = table.traits_of(target)
    assert callable(table.quantizer(target))
    assert callable(table.maker(target))
    if traits.can_probe:
        assert {"results", "watch", "in_float"} <= set(dir(table.probe(target)))
    else:
        with pytest.raises(BackendUnavailableError, match="shows no results of single layers"):
            table.probe(target)


@pytest.fixture
def half_quantized(tmp_path: Path) -> dict[Target, Path]:
    """Frame (1, 8, 16, 16), a quantized 3x3 convolution 'first', a float 1x1 'second'."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-64, 65, (8, 8, 3, 3), dtype=np.int8)  # fits on every CPU
    pointwise = rng.normal(size=(8, 8, 1, 1)).astype(np.float32)
    return {
        Target.ONNX: _half_quantized_onnx(weight, pointwise, tmp_path / "half.onnx"),
        Target.OPENVINO: _half_quantized_ir(weight, pointwise, tmp_path / "half.xml"),
    }


def _half_quantized_onnx(weight: np.ndarray, pointwise: np.ndarray, path: Path) -> Path:
    node = helper.make_node
    graph = helper.make_graph(
        [
            node("Cast", ["frame"], ["x"], to=TensorProto.FLOAT),
            node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
            node("DequantizeLinear", ["xq", "scale", "zero"], ["xd"]),
            node("DequantizeLinear", ["weight", "step"], ["wd"], axis=0),
            node("Conv", ["xd", "wd"], ["a"], name="first", kernel_shape=[3, 3], pads=[1] * 4),
            node("QuantizeLinear", ["a", "scale", "zero"], ["aq"]),
            node("DequantizeLinear", ["aq", "scale", "zero"], ["ad"]),
            node("Conv", ["ad", "pointwise"], ["b"], name="second", kernel_shape=[1, 1]),
            node("Relu", ["b"], ["y"]),
        ],
        "half",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, 8, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 16, 16])],
        [
            helper.make_tensor("scale", TensorProto.FLOAT, [], [1.0]),
            helper.make_tensor("zero", TensorProto.UINT8, [], [0]),
            helper.make_tensor("step", TensorProto.FLOAT, [8], [0.01] * 8),
            onnx.numpy_helper.from_array(weight, "weight"),
            onnx.numpy_helper.from_array(pointwise, "pointwise"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def _half_quantized_ir(weight: np.ndarray, pointwise: np.ndarray, path: Path) -> Path:
    import openvino
    from openvino import opset13 as ops

    frame = ops.parameter([1, 8, 16, 16], np.uint8, name="frame")
    one, zero = [1, 1], [0, 0]
    quantized = ops.fake_quantize(ops.convert(frame, "f32"), 0.0, 255.0, 0.0, 255.0, 256)
    kernel = ops.multiply(ops.convert(ops.constant(weight), "f32"), np.float32(0.01))
    first = ops.convolution(quantized, kernel, one, one, one, one, name="first")
    second = ops.convolution(first, ops.constant(pointwise), one, zero, zero, one, name="second")
    result = ops.result(ops.relu(second))
    result.get_output_tensor(0).set_names({"y"})
    openvino.save_model(openvino.Model([result], [frame]), path, compress_to_fp16=False)
    return path


@EACH
def test_an_engine_tells_what_it_was_asked_for_and_what_it_executes(
    target: Target, half_quantized: dict[Target, Path], tmp_path: Path
) -> None:
    backend = table.builder_for(target, Precision.FP32)
    folder = tmp_path / "engine"
    folder.mkdir()
    first, second = backend.build(half_quantized[target], folder, Precision.INT8).layers
    assert (first.name, first.requested, first.executed) == (
        "first",
        Precision.INT8,
        Precision.INT8,
    )
    assert (second.name, second.requested) == ("second", Precision.FP32)
    assert second.executed is Precision.FP32
    assert first.kernel != second.kernel
    assert first.kernel
    exact = backend.read_back(Engine.read(half_quantized[target], Precision.FP32)).layers[1]
    assert exact.requested is exact.executed is Precision.FP32


@EACH
def test_every_layer_that_ran_is_timed_after_a_warm_up(
    target: Target, half_quantized: dict[Target, Path]
) -> None:
    frames = [np.full((1, 8, 16, 16), value, np.uint8) for value in range(WARMUP + 5)]
    engine = Engine.read(half_quantized[target], Precision.INT8)
    found = table.get(target).read_back(engine, 1, frames)
    assert found.call_s is not None
    assert {"first", "second"} <= set(found.layer_s) == {layer.name for layer in found.layers}
    # Whole microseconds: each layer's mean may be off by two.
    slack_s = 2e-6 * len(found.layers)
    assert 0 < sum(found.layer_s.values()) <= found.call_s + slack_s
    cold = table.get(target).read_back(engine, 1, frames[:WARMUP])
    assert cold.call_s is None
    assert not cold.layer_s
    assert [layer.name for layer in cold.layers] == ["first", "second"]


def test_operators_have_a_kind_whatever_their_variant() -> None:
    assert kind_of("QLinearConv") == kind_of("FusedConv") == kind_of("Convolution") == "convolution"
    assert kind_of("Convert") == "reorder/convert"
    assert kind_of("NhwcMaxPool") == "pooling"
    assert kind_of("QLinearLeakyRelu") == "elementwise"
    assert kind_of("Attention") == "other"
