"""A TensorRT engine at work: pinned buffers, one stream, one CUDA graph from frame to mask."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.contract import Port
from lightawnet_edge.bundle.kit import Binding
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError
from lightawnet_edge.machine.cuda_driver import CudaDevice, find_device
from lightawnet_edge.targets.base import DeviceTime, Ports, Tensors, handed_over
from lightawnet_edge.targets.session import SerialSession
from lightawnet_edge.targets.tensorrt.cuda_runtime import Cuda, open_cuda
from lightawnet_edge.targets.tensorrt.devices import AMPERE
from lightawnet_edge.targets.tensorrt.options import describe

logger = logging.getLogger(__name__)

_EVENTS = 4
"""Start, frame on the device, outputs computed, outputs on the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tensor:
    """An input or output: device memory, and pinned host memory of the same size."""

    device: int
    host: int
    array: NDArray[Any]
    """The host memory in the tensor's type and shape."""
    is_input: bool


class TensorRtSession(SerialSession):
    """A deserialized engine with its memory.

    All memory is allocated here, none by `infer`, but for outputs that it is given no array for.
    """

    def __init__(self, trt: Any, plan: bytes, cuda: Cuda, *, host_code: bool = False) -> None:
        """Load a plan and run it once, on whatever the buffers hold.

        Args:
            trt: Module that built the plan.
            plan: Bytes that were verified: a plan can carry code.
            cuda: Closed with the session, and when loading fails.
            host_code: Whether the plan may bring code of its own, as version-compatible ones do.

        Raises:
            ArtifactError: TensorRT does not take the plan.
            BackendUnavailableError: CUDA answers with an error, e.g. for want of memory.
        """
        super().__init__()
        self._cuda = cuda
        self._queue: Callable[[], None] = _unloaded
        try:
            self._log = _log(trt)
            self._runtime: Any = trt.Runtime(self._log)
            if host_code:  # there is no such attribute before 8.6
                self._runtime.engine_host_code_allowed = True
            self.engine: Any = self._runtime.deserialize_cuda_engine(plan)
            self._context: Any = self.engine and self.engine.create_execution_context()
            if not self._context:
                raise ArtifactError(self._refusal(trt))
            self._tensors = self._bound_tensors(trt)
            self.ports = self._told_ports()
            self._events = tuple(cuda.event() for _ in range(_EVENTS))
            self._queue = self._warmed_up()
        except BaseException:
            self.close()
            raise

    def _run(self, frame: NDArray[Any], outputs: tuple[str, ...], out: Tensors | None) -> Tensors:
        """Run one frame; every output crosses to the host, those asked for are copied."""
        (source,) = (tensor for tensor in self._tensors.values() if tensor.is_input)
        np.copyto(source.array, frame)
        self._queue()
        self._cuda.wait()
        return {name: handed_over(name, self._tensors[name].array, out) for name in outputs}

    def _device_time(self) -> DeviceTime | None:
        """Of the last call, by events around the copies; None where CUDA does not tell."""
        start, fed, computed, end = self._events
        try:
            copy_s = self._cuda.between_s(start, fed) + self._cuda.between_s(computed, end)
            return DeviceTime(copy_s=copy_s, compute_s=self._cuda.between_s(fed, computed))
        except BackendUnavailableError as error:
            logger.info("No times of the device: %s", error)
            return None

    def _free(self) -> None:
        """Free the engine, then its memory."""
        self._queue = _unloaded
        self._tensors = {}
        self._context = self.engine = self._runtime = None
        self._cuda.close()

    def _refusal(self, trt: Any) -> str:
        reason = "; ".join(self._log.errors) or "it gives no reason"
        return f"{describe(trt)} cannot load the plan: {reason}."

    def _bound_tensors(self, trt: Any) -> dict[str, _Tensor]:
        found = {}
        for index in range(self.engine.num_io_tensors):
            name = self.engine.get_tensor_name(index)
            shape = tuple(self.engine.get_tensor_shape(name))
            dtype = np.dtype(trt.nptype(self.engine.get_tensor_dtype(name)))
            size_bytes = int(np.prod(shape)) * dtype.itemsize
            host, raw = self._cuda.pinned(size_bytes)
            found[name] = _Tensor(
                device=self._cuda.device(size_bytes),
                host=host,
                array=raw.view(dtype).reshape(shape),
                is_input=self.engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT,
            )
            self._context.set_tensor_address(name, found[name].device)
        return found

    def _told_ports(self) -> Ports:
        inputs, outputs = (
            {
                name: Port(shape=tensor.array.shape, dtype=tensor.array.dtype.name)
                for name, tensor in self._tensors.items()
                if tensor.is_input is wanted
            }
            for wanted in (True, False)
        )
        return Ports.of("the plan", inputs, outputs)

    def _warmed_up(self) -> Callable[[], None]:
        """Run once, so that all is allocated; then as a CUDA graph, where that can be recorded."""
        self._enqueue()
        self._cuda.wait()
        try:
            queue = self._cuda.record(self._enqueue)
        except BackendUnavailableError as error:
            logger.info("No CUDA graph: %s", error)
            return self._enqueue
        queue()
        self._cuda.wait()
        return queue

    def _enqueue(self) -> None:
        start, fed, computed, end = self._events
        self._cuda.mark(start)
        for tensor in self._tensors.values():
            if tensor.is_input:
                self._cuda.to_device(tensor.device, tensor.host, tensor.array.nbytes)
        self._cuda.mark(fed)
        if not self._context.execute_async_v3(int(self._cuda.stream)):
            reason = "; ".join(self._log.errors) or "it gives no reason"
            raise BackendUnavailableError("tensorrt", f"the engine does not run: {reason}.")
        self._cuda.mark(computed)
        for tensor in self._tensors.values():
            if not tensor.is_input:
                self._cuda.to_host(tensor.host, tensor.device, tensor.array.nbytes)
        self._cuda.mark(end)


def _unloaded() -> None:
    raise BackendUnavailableError("tensorrt", "the engine is not loaded.")


def open_session(trt: Any, plan: bytes, bound: Binding, folder: Path) -> TensorRtSession:
    """Check that a plan fits this machine, then load it.

    Args:
        trt: Module that shall run it.
        plan: Verified bytes.
        bound: What the plan was built for.
        folder: Of its bundle, for the command that builds it again.

    Raises:
        BackendUnavailableError: There is no driver or no cuda-python, or the plan was built by
            another version or for another compute capability.
        ArtifactError: TensorRT does not take the plan all the same.
    """
    device = find_device()
    check_binding(bound, describe(trt), device, folder)
    cuda = open_cuda(device.cuda)
    return TensorRtSession(trt, plan, cuda, host_code=bound.version_compatible)


def check_binding(bound: Binding, version: str, device: CudaDevice, folder: Path) -> None:
    """Refuse a plan that TensorRT would refuse, in words that help.

    Raises:
        BackendUnavailableError: With what was found, what was expected, and how to build it again.
    """
    again = f"Build it again on this machine: lightawnet-edge build --force {folder}"
    if bound.tensorrt != version and not (bound.version_compatible and _follows(bound, version)):
        raise BackendUnavailableError(
            str(folder), f"its plan was built by {bound.tensorrt}, here is {version}. {again}"
        )
    elsewhere = bound.hardware_compatible and device.capability >= AMPERE
    if device.capability not in bound.capabilities and not elsewhere:
        named = ", ".join(f"SM{capability}" for capability in bound.capabilities)
        raise BackendUnavailableError(
            str(folder),
            f"its plan was built for {named}, the {device.name} here is SM{device.capability}. "
            f"{again}, if the kit is made for this device; else export for it with --device.",
        )


def _follows(bound: Binding, version: str) -> bool:
    """Whether a TensorRT takes version-compatible plans of another: a later one, same major."""
    (maker, built), (name, found) = (text.rsplit(" ", 1) for text in (bound.tensorrt, version))
    old, new = (tuple(map(int, re.findall(r"\d+", text))) for text in (built, found))
    return maker == name and old[0] == new[0] and new >= old


def _log(trt: Any) -> Any:
    """A logger that keeps the errors."""

    class Log(trt.ILogger):  # type: ignore[misc] # their class is untyped
        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(message)

    return Log()
