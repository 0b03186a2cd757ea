"""The CUDA calls that a session makes, behind one thin class; cuda-python is imported on demand.

`Cuda` owns all that it gives out, and frees it when it is closed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.errors import BackendUnavailableError

_LAYOUTS = ("cuda.bindings.runtime", "cuda.cudart")
"""Where cuda-python keeps the runtime API: from 12.6 on, and before."""


def open_cuda(cuda_version: str) -> Cuda:
    """Import cuda-python.

    Args:
        cuda_version: Newest CUDA version that the driver takes, for the advice.

    Raises:
        BackendUnavailableError: It is not installed, or made for a newer CUDA than the driver's.
    """
    major = cuda_version.partition(".")[0]
    advice = f"Install it: pip install 'cuda-python=={major}.*'"
    for name in _LAYOUTS:
        try:
            api = import_module(name)
        except ImportError as error:
            reason = error
            continue
        if (newer := _major_of(api)) > int(major):
            raise BackendUnavailableError(
                "cuda-python",
                f"it is for CUDA {newer}, expected {major}: the driver takes CUDA {cuda_version} "
                f"at most. {advice}",
            )
        return Cuda(api)
    raise BackendUnavailableError("cuda-python", f"{reason}. {advice}") from reason


def _major_of(api: Any) -> int:
    """Major version of the CUDA that cuda-python was made for; 0 where it does not tell."""
    status, version = api.cudaRuntimeGetVersion()
    return 0 if int(status) else int(version) // 1000


class Cuda:
    """One stream, and memory for it. Addresses and handles are what cuda-python takes and gives."""

    def __init__(self, api: Any) -> None:
        """Create the stream.

        Args:
            api: cuda-python's runtime module.

        Raises:
            BackendUnavailableError: As for every call here: CUDA answers with an error.
        """
        self._api = api
        self._undo: list[tuple[str, Any]] = []
        self._recording = False
        self.stream: Any = self._give("cudaStreamCreate", "cudaStreamDestroy")

    def pinned(self, size_bytes: int) -> tuple[int, NDArray[np.uint8]]:
        """Page-locked host memory: its address, and the same bytes as an array."""
        address = int(self._give("cudaHostAlloc", "cudaFreeHost", size_bytes, 0))
        buffer = (ctypes.c_uint8 * size_bytes).from_address(address)
        return address, np.ctypeslib.as_array(buffer)

    def device(self, size_bytes: int) -> int:
        """The address of device memory."""
        return int(self._give("cudaMalloc", "cudaFree", size_bytes))

    def to_device(self, device: int, host: int, size_bytes: int) -> None:
        """Queue a copy from host memory."""
        kind = self._api.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", device, host, size_bytes, kind, self.stream)

    def to_host(self, host: int, device: int, size_bytes: int) -> None:
        """Queue a copy from device memory."""
        kind = self._api.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", host, device, size_bytes, kind, self.stream)

    def event(self) -> Any:
        """A point in the stream's work that can be timed."""
        return self._give("cudaEventCreate", "cudaEventDestroy")

    def mark(self, event: Any) -> None:
        """Queue an event: it happens when all that was queued before is done."""
        # Within a graph an event is the graph's own business, unless it is recorded as external.
        name = "cudaEventRecordExternal" if self._recording else "cudaEventRecordDefault"
        flag = getattr(self._api, name)
        self._call("cudaEventRecordWithFlags", event, self.stream, flag)

    def between_s(self, start: Any, end: Any) -> float:
        """Seconds from one event to another, by the device's clock; both have happened."""
        return float(self._call("cudaEventElapsedTime", start, end)) / 1000

    def wait(self) -> None:
        """Return when all that was queued is done."""
        self._call("cudaStreamSynchronize", self.stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record what `work` queues as a CUDA graph, and return what queues the whole graph.

        Raises:
            BackendUnavailableError: Something in it cannot be recorded; the stream is usable still.
        """
        mode = self._api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", self.stream, mode)
        self._recording = True
        try:
            work()
        finally:  # a stream that is left in capture takes nothing else
            self._recording = False
            status, graph = self._api.cudaStreamEndCapture(self.stream)
            self._api.cudaGetLastError()  # a failed capture would be told of by the next call
        self._check("cudaStreamEndCapture", status)
        self._undo.append(("cudaGraphDestroy", graph))
        replayable = self._give("cudaGraphInstantiateWithFlags", "cudaGraphExecDestroy", graph, 0)
        return lambda: self._call("cudaGraphLaunch", replayable, self.stream)

    def close(self) -> None:
        """Free all that was given out, last things first; closing twice does no harm."""
        while self._undo:
            name, handle = self._undo.pop()
            getattr(self._api, name)(handle)

    def _give(self, name: str, undo: str, *arguments: Any) -> Any:
        handle = self._call(name, *arguments)
        self._undo.append((undo, handle))
        return handle

    def _call(self, name: str, *arguments: Any) -> Any:
        status, *values = getattr(self._api, name)(*arguments)
        self._check(name, status)
        return values[0] if values else None

    def _check(self, name: str, status: Any) -> None:
        if int(status):
            code = getattr(status, "name", int(status))
            raise BackendUnavailableError("cuda", f"{name} answered {code}.")
