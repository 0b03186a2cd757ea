"""The CUDA device of this machine, asked of the driver itself: no toolkit and no wheel needed.

TensorRT's runtime has been seen to crash the process where there is no driver, so nothing of it is
created before `find_device` has returned.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lightawnet_edge.errors import BackendUnavailableError

_LIBRARY = "libcuda.so.1"
"""The driver's own library: on a workstation beside the kernel module, on a Jetson in L4T."""
_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of the driver API."""
_NAME_BYTES = 256
_BUS_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaDevice:
    """The first CUDA device, and the driver that serves it."""

    name: str
    capability: int
    """Compute capability, major and minor in one number: 87 for Jetson Orin."""
    cuda: str
    """Newest CUDA version that the driver takes, e.g. '12.6'."""
    bus: str = ""
    """PCI bus id, by which NVML finds the same device; empty where the driver has none."""


def find_device(load: Callable[[str], Any] = ctypes.CDLL) -> CudaDevice:
    """Initialize the driver and describe its first device.

    Args:
        load: Opens a shared library by name.

    Raises:
        BackendUnavailableError: There is no driver, it does not start, or it sees no device.
    """
    try:
        driver = load(_LIBRARY)
    except OSError as error:
        raise BackendUnavailableError(
            "cuda", f"there is no NVIDIA driver ({error}). Use a machine with an NVIDIA GPU."
        ) from error
    count, version = ctypes.c_int(), ctypes.c_int()
    _check(driver.cuInit(0), "cuInit")
    _check(driver.cuDeviceGetCount(ctypes.byref(count)), "cuDeviceGetCount")
    if not count.value:
        raise BackendUnavailableError("cuda", "the NVIDIA driver sees no device.")
    _check(driver.cuDriverGetVersion(ctypes.byref(version)), "cuDriverGetVersion")
    major, minor = (_attribute(driver, code) for code in (_MAJOR, _MINOR))
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _check(driver.cuDeviceGetName(name, _NAME_BYTES, 0), "cuDeviceGetName")
    return CudaDevice(
        name=name.value.decode(),
        capability=10 * major + minor,
        cuda=f"{version.value // 1000}.{version.value % 1000 // 10}",
        bus=_bus(driver),
    )


def _bus(driver: Any) -> str:
    found = ctypes.create_string_buffer(_BUS_BYTES)
    return "" if driver.cuDeviceGetPCIBusId(found, _BUS_BYTES, 0) else found.value.decode()


def _attribute(driver: Any, code: int) -> int:
    value = ctypes.c_int()
    _check(driver.cuDeviceGetAttribute(ctypes.byref(value), code, 0), "cuDeviceGetAttribute")
    return value.value


def _check(status: int, call: str) -> None:
    if status:
        raise BackendUnavailableError(
            "cuda",
            f"the NVIDIA driver answered {call} with error {status}. See whether `nvidia-smi` "
            "(on a Jetson: `tegrastats`) works.",
        )
