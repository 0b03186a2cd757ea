"""One contract for all backends; a new backend adds a name, not a test file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from lightawnet_edge import backends
from lightawnet_edge.backends.base import mac_shares
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError
from lightawnet_edge.specs import Precision, Target

EACH = pytest.mark.parametrize("target", [Target(name) for name in backends.NAMES])


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
    backend = backends.get(target)
    folder = tmp_path / "engine"
    folder.mkdir()
    built = backend.build(doubling, folder, Precision.FP32)
    session = backend.load(folder / built.engine, Precision.FP32, 1)
    frame = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.testing.assert_array_equal(session.infer(frame, ("half",))["half"], frame / 2)
    assert set(session.infer(frame, ("half", "twice"))) == {"half", "twice"}
    session.close()


@EACH
def test_outputs_are_the_caller_s_to_keep(target: Target, doubling: Path, tmp_path: Path) -> None:
    backend = backends.get(target)
    folder = tmp_path / "engine"
    folder.mkdir()
    built = backend.build(doubling, folder, Precision.FP32)
    session = backend.load(folder / built.engine, Precision.FP32, 1)
    first = session.infer(np.ones((2, 3), np.uint8), ("twice",))["twice"]
    session.infer(np.full((2, 3), 7, np.uint8), ("twice",))
    assert (first == 2).all()
    session.close()


@EACH
def test_every_precision_is_executed_or_refused_with_a_reason(target: Target) -> None:
    refusals = backends.get(target).refusals()
    assert set(refusals) == set(Precision)
    assert refusals[Precision.FP32] is None
    for precision, reason in refusals.items():
        if reason is None:
            assert backends.get_for(target, precision)
        else:
            with pytest.raises(BackendUnavailableError, match="cannot run here"):
                backends.get_for(target, precision)


@EACH
def test_a_broken_engine_gives_one_sentence(target: Target, tmp_path: Path) -> None:
    for name in ("engine.onnx", "engine.xml"):
        (tmp_path / name).write_bytes(b"not a model")
    engine = tmp_path / ("engine.onnx" if target is Target.ONNX else "engine.xml")
    with pytest.raises(ArtifactError, match=r"cannot take '.*engine") as caught:
        backends.get(target).load(engine, Precision.FP32, 1)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_fp16_on_onnxruntime_s_cpu_is_refused_not_emulated() -> None:
    with pytest.raises(BackendUnavailableError, match="would cast to fp32 silently"):
        backends.get_for(Target.ONNX, Precision.FP16)


def test_a_target_without_a_builder_says_what_there_is() -> None:
    with pytest.raises(BackendUnavailableError, match="It builds: onnx, openvino"):
        backends.get(Target.TENSORRT)


def test_mac_shares_sum_to_one_and_name_what_was_not_found() -> None:
    shares = mac_shares(
        {"a": Precision.INT8, "b": Precision.FP32, "gone": Precision.BF16}, {"a": 6, "b": 1, "c": 3}
    )
    assert shares == {"fp32": 0.1, "fp16": 0.0, "bf16": 0.0, "int8": 0.6, "unknown": 0.3}
    assert "unknown" not in mac_shares({"a": Precision.INT8}, {"a": 6})
