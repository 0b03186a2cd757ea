"""The driver is asked for its first device, and every way in which it can be absent is a reason."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from typing import Any

import pytest

from lightawnet_edge.errors import BackendUnavailableError
from lightawnet_edge.machine.cuda_driver import CudaDevice, find_device

BUS = "0000:00:00.0"


@dataclass
class Driver:
    """A driver library with one Jetson Orin."""

    status: int = 0
    bus_status: int = 0
    devices: int = 1

    def cuInit(self, _flags: int) -> int:  # noqa: N802 - the driver's own names
        return self.status

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.devices
        return 0

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = 12060
        return 0

    def cuDeviceGetAttribute(self, value: Any, code: int, _device: int) -> int:  # noqa: N802
        value._obj.value = {75: 8, 76: 7}[code]
        return 0

    def cuDeviceGetName(self, name: Any, size: int, _device: int) -> int:  # noqa: N802
        assert size >= len(b"Orin") + 1
        ctypes.memmove(name, b"Orin\0", 5)
        return 0

    def cuDeviceGetPCIBusId(self, bus: Any, size: int, _device: int) -> int:  # noqa: N802
        assert size >= len(BUS) + 1
        ctypes.memmove(bus, BUS.encode() + b"\0", len(BUS) + 1)
        return self.bus_status


def test_the_first_device_is_described() -> None:
    orin = CudaDevice(name="Orin", capability=87, cuda="12.6", bus=BUS)
    assert find_device(lambda _: Driver()) == orin
    assert find_device(lambda _: Driver(bus_status=101)) == replace(orin, bus="")


def test_no_driver_is_a_reason() -> None:
    def missing(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    with pytest.raises(BackendUnavailableError, match=r"no NVIDIA driver \(libcuda\.so\.1"):
        find_device(missing)


def test_a_driver_that_does_not_start_is_a_reason() -> None:
    with pytest.raises(BackendUnavailableError, match="answered cuInit with error 999"):
        find_device(lambda _: Driver(status=999))


def test_a_driver_without_a_device_is_a_reason() -> None:
    with pytest.raises(BackendUnavailableError, match="sees no device"):
        find_device(lambda _: Driver(devices=0))
