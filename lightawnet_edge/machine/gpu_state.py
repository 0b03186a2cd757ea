"""Clock, heat and power of an NVIDIA GPU now, and the power mode that a Jetson is held to.

A Jetson's own GPU is read from files of its kernel, any other from NVML. What cannot be read is
None or left out, never guessed. Nothing here has been tried on a device: the files and calls are
those of NVIDIA's documents and of JetPack's own tools.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

_JETSON_GPUS = ("gpu", "ga10b", "gv11b")
"""How device trees call a Jetson's own GPU: Orin from JetPack 6 on, Orin before, Xavier."""
_RAILS = "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in*_label"
"""The names that a Jetson's power monitors give to what they measure."""
_UNUSED_RAILS = ("NC", "sum of shunt voltages")
_SLOWED = {0x04: "power limit", 0x08: "hardware slowdown", 0x20: "heat", 0x40: "heat, in hardware",
           0x80: "power brake"}  # fmt: skip
"""Bits of NVML's clocks event reasons that hold a busy GPU below the clock it was given."""
_MODE = re.compile(r"^NV Power Mode:\s*(\S+)", re.MULTILINE)
_NVPMODEL_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuState:
    """What a GPU said of itself at one moment."""

    clock_hz: float | None = None
    clock_range_hz: tuple[float, float] | None = None
    """Between which the system may move the clock, where it tells: `jetson_clocks` makes the two
    equal."""
    temperature_c: float | None = None
    power_w: Mapping[str, float] = field(default_factory=dict)
    """What is measured, in the board's words, to watts: 'VDD_IN', ...; 'board' by NVML."""
    slowed: tuple[str, ...] = ()
    """Why the clock is held down now, as far as the system tells."""


def read_gpu(bus: str, root: Path = Path("/"), nvml: str = "pynvml") -> GpuState:
    """Read the state of a GPU now; where nothing can be read, a state that says nothing.

    Args:
        bus: PCI bus id of `find_device`, for NVML.
        root: Of the file system.
        nvml: Module of NVML's Python binding, of the package nvidia-ml-py.
    """
    return _of_jetson(root) or _of_nvml(nvml, bus) or GpuState()


def read_power_mode(run: Callable[[str], str] | None = None) -> str | None:
    """Ask `nvpmodel` for the power mode of this Jetson; None where there is no such program."""
    return power_mode_of((run or _nvpmodel)("nvpmodel"))


def power_mode_of(text: str) -> str | None:
    """The mode in what `nvpmodel -q` prints, e.g. 'MODE_15W_6CORE'; None where none is named."""
    found = _MODE.search(text)
    return found[1] if found else None


def _nvpmodel(name: str) -> str:
    """What `nvpmodel -q` prints; nothing where it is missing or fails."""
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if program is None:
        return ""
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            [program, "-q"], capture_output=True, text=True, timeout=_NVPMODEL_S, check=True
        )
        return done.stdout
    return ""


def _of_jetson(root: Path) -> GpuState | None:
    """State of a Jetson's own GPU; None where there is none."""
    clocks = next(
        (
            folder
            for folder in sorted(root.glob("sys/class/devfreq/*"))
            if _text(folder / "device/of_node/name").rstrip("\0") in _JETSON_GPUS
        ),
        None,
    )
    if clocks is None:
        return None
    low, high = _number(clocks / "min_freq"), _number(clocks / "max_freq")
    zones = [
        _number(zone.with_name("temp"))
        for zone in sorted(root.glob("sys/class/thermal/thermal_zone*/type"))
        if _text(zone).lower().startswith("gpu")
    ]
    heat = max((milli for milli in zones if milli is not None), default=None)
    return GpuState(
        clock_hz=_number(clocks / "cur_freq"),
        clock_range_hz=None if low is None or high is None else (low, high),
        temperature_c=None if heat is None else heat / 1000,
        power_w=_rails_w(root),
    )


def _rails_w(root: Path) -> dict[str, float]:
    """Watts of each rail that a Jetson's power monitors name."""
    found = {}
    for label in sorted(root.glob(_RAILS)):
        name, number = _text(label), label.name.removesuffix("_label")
        volts = _number(label.with_name(f"{number}_input"))
        amperes = _number(label.with_name(f"{number.replace('in', 'curr')}_input"))
        if name not in _UNUSED_RAILS and volts is not None and amperes is not None:
            found[name] = volts * amperes / 1e6  # both in thousandths
    return found


def _of_nvml(name: str, bus: str) -> GpuState | None:
    """State by NVML; None where its binding or its library is missing, or knows no such device."""
    try:
        nvml = import_module(name)
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    try:
        device = nvml.nvmlDeviceGetHandleByPciBusId(bus)
    except nvml.NVMLError:
        return None
    else:
        return _asked(nvml, device)
    finally:
        nvml.nvmlShutdown()


def _asked(nvml: Any, device: Any) -> GpuState:
    def ask(call: str, *arguments: Any) -> float | None:
        """One value; None where this device does not tell, or this NVML does not know the call."""
        with suppress(nvml.NVMLError, AttributeError):
            return float(getattr(nvml, call)(device, *arguments))
        return None

    clock_mhz = ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM)
    milliwatts = ask("nvmlDeviceGetPowerUsage")
    reasons = int(ask("nvmlDeviceGetCurrentClocksEventReasons") or 0)
    return GpuState(
        clock_hz=None if clock_mhz is None else 1e6 * clock_mhz,
        temperature_c=ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
        power_w={} if milliwatts is None else {"board": milliwatts / 1000},
        slowed=tuple(text for bit, text in _SLOWED.items() if reasons & bit),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _number(path: Path) -> float | None:
    text = _text(path)
    return float(text) if text.isdigit() else None
