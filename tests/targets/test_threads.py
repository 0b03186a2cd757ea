"""Threads of an engine when nobody says how many: toolchains themselves see no CPU quota."""

from __future__ import annotations

import openvino
import pytest
from openvino import opset13 as ops

from lightawnet_edge.specs import Precision
from lightawnet_edge.targets.onnx import engine as onnx_engine
from lightawnet_edge.targets.openvino import engine as openvino_engine

EACH = pytest.mark.parametrize(("asked", "taken"), [(None, 1), (2, 2)])


@EACH
def test_onnx_runtime_keeps_within_the_quota(
    asked: int | None, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_engine, "default_threads", lambda: 1)
    options = onnx_engine.OnnxRuntimeBackend()._options(asked)
    assert options.intra_op_num_threads == taken


@EACH
def test_openvino_keeps_within_the_quota(
    asked: int | None, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_engine, "default_threads", lambda: 1)
    x = ops.parameter([1, 3])
    model = openvino.Model([ops.relu(x)], [x])
    compiled = openvino_engine.OpenVinoBackend()._compile(model, Precision.FP32, asked)
    assert compiled.get_property("INFERENCE_NUM_THREADS") == taken
