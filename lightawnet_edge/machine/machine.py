"""What a latency was measured on: hardware, software, and the state they were in.

Everything is read from files of the system; what cannot be read is None, never guessed.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lightawnet_edge.machine.cgroup import cpu_quota, read_text, read_throttled

_CPUS = Path("/sys/devices/system/cpu")
_FLAGS = (
    "avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile",
    "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip
"""Instruction sets that decide how fast a convolution runs, as Linux spells them."""
_EXACT_INT8 = frozenset({"avx_vnni", "avx512_vnni", "amx_int8"})
"""Those of x86 with which a product of 8-bit integers is added in 32 bits."""
_X86 = frozenset({"x86_64", "amd64", "i386", "i686", "x86"})
_PACKAGES = ("numpy", "torch", "onnx", "onnxruntime", "openvino")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What does not change while a benchmark runs."""

    cpu: str
    isa: tuple[str, ...]
    """Those of the instruction sets that matter here which the CPU has."""
    cores: int
    """Physical cores that this process may use."""
    cpus: int
    """Logical CPUs that this process may use."""
    quota_cpus: float | None = None
    """Seconds of CPU time that it and what shares its control groups may take in a second; None:
    no limit."""
    memory_bytes: int | None
    system: str
    virtual: bool | None
    """Whether a hypervisor stands between the system and the CPU."""
    governor: str | None
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineState:
    """What may change while a benchmark runs."""

    load_1min: float | None
    """Average number of running threads in the last minute."""
    frequency_hz: float | None
    """Mean over the CPUs."""
    throttled: int | None
    """Times that any core was slowed down for its heat, since the system started."""
    temperature_c: float | None
    """Of the hottest sensor, in degrees Celsius."""
    quota_throttled: int | None = None
    """Times that a CPU quota stopped this program, or what shares it, since it was set."""
    quota_throttled_s: float | None = None
    """Of waiting for the quota's next period, summed over CPUs."""


def read_machine() -> Machine:
    """Describe this machine; no host name, no path, no serial number."""
    info = _cpuinfo()
    flags = set(info.get("flags", info.get("Features", "")).split())
    return Machine(
        cpu=info.get("model name") or platform.processor() or platform.machine(),
        isa=tuple(flag for flag in _FLAGS if flag in flags),
        cores=physical_cores(),
        cpus=len(_allowed_cpus()),
        quota_cpus=cpu_quota(),
        memory_bytes=_memory_bytes(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        virtual="hypervisor" in flags if flags else None,
        governor=read_text(_CPUS / "cpu0/cpufreq/scaling_governor"),
        versions=_versions(),
    )


def int8_saturates() -> bool:
    """Whether this CPU's convolutions of 8-bit integers may come out wrong.

    An x86 CPU without VNNI multiplies unsigned by signed bytes and adds two such products in 16
    bits (`vpmaddubsw`), where they saturate: 255 * 127 is half of what fits there. A CPU whose
    instruction sets cannot be read counts as one of these.
    """
    return platform.machine().lower() in _X86 and not _EXACT_INT8 & set(read_machine().isa)


def machine_summary() -> dict[str, Any]:
    """Describe this machine in a few plain values, for a manifest."""
    machine = read_machine()
    return {
        "cpu": machine.cpu,
        "isa": list(machine.isa),
        "cores": machine.cores,
        "quota_cpus": machine.quota_cpus,
        "system": machine.system,
    }


def read_state() -> MachineState:
    """Read load, clock, heat and what a CPU quota has cost now."""
    frequencies = _numbers(_CPUS, "cpu[0-9]*/cpufreq/scaling_cur_freq")
    throttles = _numbers(_CPUS, "cpu[0-9]*/thermal_throttle/core_throttle_count")
    temperatures = _numbers(Path("/sys/class/thermal"), "thermal_zone*/temp")
    load, quota = read_text(Path("/proc/loadavg")), read_throttled()
    return MachineState(
        load_1min=float(load.split()[0]) if load else None,
        frequency_hz=1000 * sum(frequencies) / len(frequencies) if frequencies else None,
        throttled=int(sum(throttles)) if throttles else None,
        temperature_c=max(temperatures) / 1000 if temperatures else None,
        quota_throttled=None if quota is None else quota.times,
        quota_throttled_s=None if quota is None else quota.seconds,
    )


def busy_seconds() -> float | None:
    """CPU time that all programs, and the hypervisor, have taken since the system started."""
    text = read_text(Path("/proc/stat"))
    if text is None:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, text.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def default_threads() -> int:
    """Threads that an engine gets unless told otherwise: the cores, as far as a quota lasts.

    More threads than a CPU quota has CPUs use it up together and wait together for the rest of its
    period, mostly 0.1 s.
    """
    quota = cpu_quota()
    return physical_cores() if quota is None else max(1, min(physical_cores(), math.ceil(quota)))


def physical_cores() -> int:
    """Physical cores that this process may use: a second thread on one speeds up no convolution."""
    siblings = "topology/thread_siblings_list"
    return len({read_text(_CPUS / f"cpu{cpu}" / siblings) or cpu for cpu in _allowed_cpus()})


def _allowed_cpus() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _cpuinfo() -> dict[str, str]:
    """The first CPU's fields."""
    first = (read_text(Path("/proc/cpuinfo")) or "").split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _memory_bytes() -> int | None:
    names = ("SC_PHYS_PAGES", "SC_PAGE_SIZE")
    if not all(name in getattr(os, "sysconf_names", {}) for name in names):
        return None
    pages, size = map(os.sysconf, names)
    return pages * size


def _versions() -> dict[str, str]:
    """Versions of Python and the toolchains that are installed; none of them is imported."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _numbers(folder: Path, pattern: str) -> list[float]:
    texts = (read_text(path) for path in sorted(folder.glob(pattern)))
    return [float(text) for text in texts if text]
