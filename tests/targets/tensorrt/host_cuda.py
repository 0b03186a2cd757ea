"""CUDA and TensorRT in host memory, as far as a session calls them, to see what a session does."""
# ruff: noqa: N802, N815 # the names are those of CUDA and TensorRT

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

SHAPE = (2, 3)
FAILED = 900
COPY_MS, COMPUTE_MS = 1.0, 20.0


class HostCuda:
    """The calls of cuda-python's runtime module, with their results; device memory is the host's.

    Work that is queued runs when the stream is waited for, so that a forgotten wait shows.
    """

    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaEventRecordDefault, cudaEventRecordExternal = 0, 1
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self, *, captures: bool = True) -> None:
        self.calls: Counter[str] = Counter()
        self.memory: dict[int, Any] = {}
        self.clock_ms = 0.0
        self._captures = captures
        self._happened: dict[int, float] = {}
        self._queued: list[Callable[[], None]] = []
        self._captured: list[Callable[[], None]] | None = None

    def __getattr__(self, name: str) -> Any:
        """Calls that only count: events of creation and destruction."""
        if not name.startswith("cuda"):
            raise AttributeError(name)

        def call(*arguments: Any) -> tuple[int, int]:
            self.calls[name] += 1
            return 0, 7

        return call

    def queue(self, work: Callable[[], None]) -> None:
        (self._queued if self._captured is None else self._captured).append(work)

    def cudaMalloc(self, size: int) -> tuple[int, int]:
        self.calls["cudaMalloc"] += 1
        buffer = (ctypes.c_uint8 * size)()
        self.memory[ctypes.addressof(buffer)] = buffer
        return 0, ctypes.addressof(buffer)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[int, int]:
        return self.cudaMalloc(size)

    def cudaFree(self, address: int) -> tuple[int]:
        del self.memory[address]
        return (0,)

    cudaFreeHost = cudaFree

    def cudaMemcpyAsync(
        self, target: int, source: int, size: int, kind: int, stream: int
    ) -> tuple[int]:
        def copy() -> None:
            ctypes.memmove(target, source, size)
            self.clock_ms += COPY_MS

        self.queue(copy)
        return (0,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        for work in self._queued:
            work()
        self._queued = []
        return (0,)

    def cudaEventCreate(self) -> tuple[int, int]:
        self.calls["cudaEventCreate"] += 1
        return 0, self.calls["cudaEventCreate"]

    def cudaEventRecordWithFlags(self, event: int, stream: int, flag: int) -> tuple[int]:
        captured = self._captured is not None
        assert flag == (self.cudaEventRecordExternal if captured else self.cudaEventRecordDefault)
        self.queue(lambda: self._happened.update({event: self.clock_ms}))
        return (0,)

    def cudaEventElapsedTime(self, start: int, end: int) -> tuple[int, float]:
        return 0, self._happened[end] - self._happened[start]

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple[int]:
        self._captured = []
        return (0,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[int, Any]:
        graph, self._captured = self._captured, None
        return (0, graph) if self._captures else (FAILED, None)

    def cudaGraphInstantiateWithFlags(self, graph: Any, flags: int) -> tuple[int, Any]:
        return 0, graph

    def cudaGraphLaunch(self, graph: Any, stream: int) -> tuple[int]:
        self.calls["cudaGraphLaunch"] += 1
        self._queued += graph
        return (0,)


class _Log:
    ERROR, INTERNAL_ERROR = 1, 0


class HostTensorRt:
    """A module whose engines invert a uint8 frame to `mask` and halve it to float32 `probability`.

    The one plan that it takes is b"plan".
    """

    __name__ = "tensorrt"
    __version__ = "10.3.0"
    ILogger = _Log
    TensorIOMode = SimpleNamespace(INPUT="in", OUTPUT="out")

    def __init__(self, cuda: HostCuda) -> None:
        self._cuda = cuda

    def nptype(self, dtype: Any) -> Any:
        return dtype

    def Runtime(self, log: Any) -> Any:
        def deserialize(plan: bytes) -> Any:
            if plan == b"plan":
                return _Engine(self._cuda)
            log.log(_Log.ERROR, "Serialization assertion failed")
            return None

        self.runtime = SimpleNamespace(deserialize_cuda_engine=deserialize)
        return self.runtime


class _Engine:
    _TENSORS: ClassVar[dict[str, Any]] = {
        "frame": np.uint8,
        "mask": np.uint8,
        "probability": np.float32,
    }

    def __init__(self, cuda: HostCuda) -> None:
        self._cuda = cuda
        self.num_io_tensors = len(self._TENSORS)

    def get_tensor_name(self, index: int) -> str:
        return list(self._TENSORS)[index]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return SHAPE

    def get_tensor_dtype(self, name: str) -> Any:
        return self._TENSORS[name]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name == "frame" else "out"

    def create_execution_context(self) -> Any:
        return _Context(self._cuda, self._TENSORS)


class _Context:
    def __init__(self, cuda: HostCuda, tensors: dict[str, Any]) -> None:
        self._cuda = cuda
        self._tensors = tensors
        self._addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> None:
        self._addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        self._cuda.queue(self._run)
        return True

    def _run(self) -> None:
        frame, mask, probability = (
            np.frombuffer(self._cuda.memory[self._addresses[name]], dtype)
            for name, dtype in self._tensors.items()
        )
        mask[:] = 255 - frame
        probability[:] = frame / np.float32(2)
        self._cuda.clock_ms += COMPUTE_MS
