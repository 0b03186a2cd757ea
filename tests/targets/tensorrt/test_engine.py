"""What the TensorRT backends say of this machine, and of engines."""

from __future__ import annotations

import json
import sys

import pytest

from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError
from lightawnet_edge.machine.cuda_driver import CudaDevice
from lightawnet_edge.specs import Precision, Target
from lightawnet_edge.targets import table
from lightawnet_edge.targets.tensorrt.builder import local_platform
from lightawnet_edge.targets.tensorrt.log import convolution_records, parse_inspector

FIND = "lightawnet_edge.targets.tensorrt.engine.find_device"


def layer(name: str, *inputs: str, kind: str = "CaskConvolution") -> dict[str, object]:
    """A layer as an inspector tells of it."""
    return {
        "Name": name,
        "LayerType": kind,
        "Inputs": [{"Name": "x", "Format/Datatype": text} for text in inputs],
        "Outputs": [{"Name": "y", "Format/Datatype": inputs[0]}],
        "TacticName": "sm80_xmma_fprop",
        "Metadata": f"[ONNX Layer: {name}]\u001e[ONNX Layer: /act]",
    }


def test_an_inspector_s_words_become_executed_precisions() -> None:
    text = json.dumps(
        {
            "Layers": [
                "a layer without details",
                layer("a", "Thirty-two wide channel vectorized row major Int8 format"),
                layer("b", "Channel major FP16 format where channel % 8 == 0"),
                layer("c", "Row major linear FP32"),
                layer("d", "Half"),
            ]
        }
    )
    asked = dict.fromkeys(["a", "b", "c", "d", "gone"], Precision.INT8)
    found = {record.name: record for record in convolution_records(parse_inspector(text), asked)}
    assert [found[name].executed for name in "abcd"] == [
        Precision.INT8,
        Precision.FP16,
        Precision.FP32,
        Precision.FP16,
    ]
    assert found["gone"].executed is None
    assert found["a"].kernel == "sm80_xmma_fprop"


def test_without_a_driver_nothing_runs_and_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_here() -> CudaDevice:
        raise BackendUnavailableError("cuda", "there is no NVIDIA driver.")

    monkeypatch.setattr(FIND, none_here)
    backend = table.get(Target.TENSORRT_RTX)
    assert backend.version().startswith("1.")
    assert set(backend.refusals().values()) == {"there is no NVIDIA driver."}


def test_a_gpu_that_tensorrt_rtx_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hopper = CudaDevice(name="NVIDIA H200", capability=90, cuda="13.0")
    monkeypatch.setattr(FIND, lambda: hopper)
    reason = table.get(Target.TENSORRT_RTX).refusals()[Precision.FP16]
    assert reason == "the NVIDIA H200 here is SM90, expected one of SM80, SM86, SM89, SM120, SM121"
    ada = CudaDevice(name="RTX 4000", capability=89, cuda="13.0")
    monkeypatch.setattr(FIND, lambda: ada)
    refusals = table.get(Target.TENSORRT_RTX).refusals()
    assert [name for name, reason in refusals.items() if reason] == [Precision.BF16]


def test_a_missing_tensorrt_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    table.get.cache_clear()
    with pytest.raises(BackendUnavailableError, match=r"'tensorrt' cannot run here: .*JetPack"):
        table.get(Target.TENSORRT)
    assert local_platform() is None


def test_this_machine_s_tensorrt_and_gpu_are_a_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorrt_rtx

    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt_rtx)
    orin = CudaDevice(name="Orin", capability=87, cuda="12.6")
    monkeypatch.setattr("lightawnet_edge.targets.tensorrt.builder.find_device", lambda: orin)
    found = local_platform()
    assert found is not None
    assert (found.device, found.capabilities, found.typed) == ("jetson-orin", (87,), True)
    assert found.tensorrt == ".".join(tensorrt_rtx.__version__.split(".")[:2])


def test_a_plan_that_does_not_say_what_it_was_built_for_is_not_loaded() -> None:
    plan = Engine(name="engine.plan", files={"engine.plan": b"plan"}, precision=Precision.FP16)
    with pytest.raises(ArtifactError, match=r"'engine\.plan' does not say what it was built for"):
        table.get(Target.TENSORRT_RTX).load(plan, None)
