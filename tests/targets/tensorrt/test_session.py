"""A session's buffers, copies and CUDA graph, on CUDA and TensorRT in host memory."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightawnet_edge.bundle.contract import Port
from lightawnet_edge.bundle.kit import Binding
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, SpecError
from lightawnet_edge.machine.cuda_driver import CudaDevice, find_device
from lightawnet_edge.targets.tensorrt.cuda_runtime import Cuda, open_cuda
from lightawnet_edge.targets.tensorrt.session import TensorRtSession, check_binding
from tests.targets.tensorrt.host_cuda import (
    COMPUTE_MS,
    COPY_MS,
    FAILED,
    SHAPE,
    HostCuda,
    HostTensorRt,
)

CALLS = (
    "cudaEventCreate", "cudaEventDestroy", "cudaEventElapsedTime", "cudaEventRecordWithFlags",
    "cudaFree", "cudaFreeHost", "cudaGetLastError", "cudaGraphDestroy", "cudaGraphExecDestroy",
    "cudaGraphInstantiateWithFlags", "cudaGraphLaunch", "cudaHostAlloc", "cudaMalloc",
    "cudaMemcpyAsync", "cudaRuntimeGetVersion", "cudaStreamBeginCapture", "cudaStreamCreate",
    "cudaStreamDestroy", "cudaStreamEndCapture", "cudaStreamSynchronize",
)  # fmt: skip
ORIN = CudaDevice(name="Orin", capability=87, cuda="12.6")
BOUND = Binding(tensorrt="TensorRT 10.3.0", capabilities=(87,), device="Orin", cuda="12.6")


def frame(value: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.full(SHAPE, value, np.uint8)


def open_one(api: HostCuda) -> TensorRtSession:
    return TensorRtSession(HostTensorRt(api), b"plan", Cuda(api))


@pytest.mark.parametrize("captures", [True, False], ids=["graph", "no graph"])
def test_a_frame_goes_in_and_what_was_asked_for_comes_out(captures: bool) -> None:
    api = HostCuda(captures=captures)
    session = open_one(api)
    launched = api.calls["cudaGraphLaunch"]
    found = session.infer(frame(100), ("mask", "probability"))
    np.testing.assert_array_equal(found["mask"], frame(155))
    np.testing.assert_array_equal(found["probability"], np.full(SHAPE, 50, np.float32))
    assert set(session.infer(frame(7), ("mask",))) == {"mask"}
    assert api.calls["cudaGraphLaunch"] - launched == (2 if captures else 0)


@pytest.mark.parametrize("captures", [True, False], ids=["graph", "no graph"])
def test_the_device_tells_copies_from_computing(captures: bool) -> None:
    session = open_one(HostCuda(captures=captures))
    session.infer(frame(1), ("mask",))
    found = session.device_time()
    assert found is not None
    assert found.copy_s == pytest.approx(3 * COPY_MS / 1000), "one input, two outputs"
    assert found.compute_s == pytest.approx(COMPUTE_MS / 1000)


def test_a_device_that_does_not_tell_its_times_runs_all_the_same() -> None:
    class Silent(HostCuda):
        def cudaEventElapsedTime(self, start: int, end: int) -> tuple[int, float]:  # noqa: N802
            return FAILED, 0.0

    session = open_one(Silent())
    np.testing.assert_array_equal(session.infer(frame(1), ("mask",))["mask"], frame(254))
    assert session.device_time() is None


def test_outputs_are_the_caller_s_to_keep() -> None:
    session = open_one(HostCuda())
    first = session.infer(frame(1), ("mask",))["mask"]
    session.infer(frame(2), ("mask",))
    session.close()
    np.testing.assert_array_equal(first, frame(254))


def test_outputs_are_written_where_the_caller_wants_them() -> None:
    session = open_one(HostCuda())
    mine = np.zeros(SHAPE, np.uint8)
    assert session.infer(frame(1), ("mask",), {"mask": mine})["mask"] is mine
    np.testing.assert_array_equal(mine, frame(254))


def test_nothing_is_allocated_on_the_device_once_a_session_is_open() -> None:
    api = HostCuda()
    session = open_one(api)
    before = api.calls["cudaMalloc"], len(api.memory)
    assert before == (6, 6), "host and device memory of three tensors"
    for value in range(5):
        session.infer(frame(value), ("mask", "probability"))
    assert (api.calls["cudaMalloc"], len(api.memory)) == before


def test_a_session_says_what_its_plan_takes_and_gives() -> None:
    ports = open_one(HostCuda()).ports
    assert ports.source == Port(shape=SHAPE, dtype="uint8")
    assert {name: port.dtype for name, port in ports.outputs.items()} == {
        "mask": "uint8",
        "probability": "float32",
    }


def test_closing_frees_everything_and_twice_does_no_harm() -> None:
    api = HostCuda()
    session = open_one(api)
    session.close()
    session.close()
    assert not api.memory
    assert api.calls["cudaStreamDestroy"] == api.calls["cudaStreamCreate"] == 1
    assert api.calls["cudaGraphExecDestroy"] == api.calls["cudaGraphDestroy"] == 1
    assert api.calls["cudaEventDestroy"] == api.calls["cudaEventCreate"] == 4
    with pytest.raises(SpecError, match="is closed"):
        session.infer(frame(1), ("mask",))


def test_a_refused_plan_gives_its_reason_and_frees_everything() -> None:
    api = HostCuda()
    with pytest.raises(
        ArtifactError, match=r"TensorRT 10\.3\.0 cannot load the plan: Serialization assertion"
    ):
        TensorRtSession(HostTensorRt(api), b"other", Cuda(api))
    assert not api.memory
    assert api.calls["cudaStreamDestroy"] == 1


def test_an_error_of_cuda_names_the_call() -> None:
    class Full(HostCuda):
        def cudaMalloc(self, size: int) -> tuple[int, int]:  # noqa: N802 # CUDA's name
            return 2, 0

    with pytest.raises(BackendUnavailableError, match=r"cudaHostAlloc answered 2\."):
        open_one(Full())


def test_a_plan_of_another_version_is_refused_with_the_command_that_rebuilds_it() -> None:
    check_binding(BOUND, "TensorRT 10.3.0", ORIN, Path("kit"))
    with pytest.raises(BackendUnavailableError) as caught:
        check_binding(BOUND, "TensorRT 10.7.0", ORIN, Path("engines/kit"))
    assert str(caught.value) == (
        "'engines/kit' cannot run here: its plan was built by TensorRT 10.3.0, here is TensorRT "
        "10.7.0. Build it again on this machine: lightawnet-edge build --force engines/kit"
    )


def test_a_plan_for_another_gpu_is_refused_with_both_named() -> None:
    other = CudaDevice(name="NVIDIA H200", capability=90, cuda="13.0")
    with pytest.raises(
        BackendUnavailableError,
        match=r"built for SM87, the NVIDIA H200 here is SM90\. .*build --force kit, if .* --device",
    ):
        check_binding(BOUND, "TensorRT 10.3.0", other, Path("kit"))


@pytest.mark.parametrize(
    ("built", "found", "loads"),
    [
        ("TensorRT 10.3.0", "TensorRT 10.13.2", True),
        ("TensorRT 10.3.0", "TensorRT 10.3.0.post1", True),
        ("TensorRT 10.3.0", "TensorRT 10.2.0", False),
        ("TensorRT 10.3.0", "TensorRT 11.4.1", False),
        ("TensorRT 10.3.0", "TensorRT-RTX 10.7.0", False),
    ],
)
def test_a_version_compatible_plan_loads_with_later_minor_versions(
    built: str, found: str, loads: bool
) -> None:
    bound = replace(BOUND, tensorrt=built, version_compatible=True)
    if loads:
        check_binding(bound, found, ORIN, Path("kit"))
    else:
        with pytest.raises(BackendUnavailableError, match="its plan was built by"):
            check_binding(bound, found, ORIN, Path("kit"))


def test_a_hardware_compatible_plan_loads_from_ampere_on() -> None:
    bound = replace(BOUND, capabilities=(86,), hardware_compatible=True)
    check_binding(bound, "TensorRT 10.3.0", replace(ORIN, capability=89), Path("kit"))
    with pytest.raises(BackendUnavailableError, match="built for SM86"):
        check_binding(bound, "TensorRT 10.3.0", replace(ORIN, capability=75), Path("kit"))


@pytest.mark.parametrize("host_code", [True, False])
def test_only_a_plan_that_says_so_may_bring_code(host_code: bool) -> None:
    api = HostCuda()
    trt = HostTensorRt(api)
    TensorRtSession(trt, b"plan", Cuda(api), host_code=host_code)
    assert getattr(trt.runtime, "engine_host_code_allowed", False) is host_code


def test_cuda_python_has_every_call_of_a_session() -> None:
    from cuda.bindings import runtime

    assert [name for name in CALLS if not hasattr(runtime, name)] == []
    assert runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
    assert runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
    assert (runtime.cudaEventRecordDefault, runtime.cudaEventRecordExternal) == (0, 1)


def test_cuda_python_without_a_driver_says_so() -> None:
    try:
        find_device()
    except BackendUnavailableError:
        with pytest.raises(BackendUnavailableError, match=r"cudaStreamCreate answered cudaError"):
            open_cuda("13.0")
    else:
        open_cuda("13.0").close()


def test_a_missing_cuda_python_is_asked_for_in_the_driver_s_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("cuda.bindings.runtime", "cuda.cudart"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendUnavailableError, match=r"pip install 'cuda-python==12\.\*'"):
        open_cuda("12.6")


def test_a_cuda_python_for_a_newer_cuda_than_the_driver_s_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(
        BackendUnavailableError, match=r"for CUDA 13, expected 12: .* 12\.6 .*'cuda-python==12\.\*'"
    ):
        open_cuda("12.6")


def test_the_older_layout_of_cuda_python_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    monkeypatch.setitem(sys.modules, "cuda", HostCuda())
    monkeypatch.setitem(sys.modules, "cuda.cudart", HostCuda())
    cuda = open_cuda("11.4")
    assert cuda.stream == 7
    cuda.close()


@pytest.mark.gpu
@pytest.mark.parametrize("recorded", [False, True], ids=["queued", "graph"])
def test_a_device_copies_and_tells_the_time(recorded: bool) -> None:
    """On any NVIDIA GPU: memory, stream, events and graph as `TensorRtSession` uses them."""
    cuda = open_cuda(find_device().cuda)
    size_bytes = 1 << 20
    source, given = cuda.pinned(size_bytes)
    target, found = cuda.pinned(size_bytes)
    memory, start, end = cuda.device(size_bytes), cuda.event(), cuda.event()

    def work() -> None:
        cuda.mark(start)
        cuda.to_device(memory, source, size_bytes)
        cuda.to_host(target, memory, size_bytes)
        cuda.mark(end)

    run = cuda.record(work) if recorded else work
    for value in (3, 200):
        given[:], found[:] = value, 0
        run()
        cuda.wait()
        assert (found == value).all()
        assert 0 < cuda.between_s(start, end) < 1
    cuda.close()
