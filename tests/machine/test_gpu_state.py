"""A GPU's clock, heat and power, from a Jetson's files and from NVML; what is missing is None."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lightawnet_edge.codec import decode, encode
from lightawnet_edge.machine.cuda_driver import find_device
from lightawnet_edge.machine.gpu_state import GpuState, power_mode_of, read_gpu, read_power_mode

BUS = "0000:41:00.0"


def write(root: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def jetson(root: Path, gpu: str, **clocks: str) -> None:
    """Files of a Jetson: its GPU among other devices, a second thermal zone, two power monitors."""
    devfreq = "sys/class/devfreq"
    monitor = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    write(
        root,
        {
            f"{devfreq}/15340000.vic/device/of_node/name": "vic\0",
            f"{devfreq}/15340000.vic/cur_freq": "115200000\n",
            f"{devfreq}/17000000.gpu/device/of_node/name": f"{gpu}\0",
            **{f"{devfreq}/17000000.gpu/{name}": f"{value}\n" for name, value in clocks.items()},
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "sys/class/thermal/thermal_zone0/temp": "71000\n",
            "sys/class/thermal/thermal_zone1/type": "gpu-thermal\n",
            "sys/class/thermal/thermal_zone1/temp": "48500\n",
            f"{monitor}/in1_label": "VDD_IN\n",
            f"{monitor}/in1_input": "5000\n",
            f"{monitor}/curr1_input": "2480\n",
            f"{monitor}/in2_label": "NC\n",
            f"{monitor}/in2_input": "5000\n",
            f"{monitor}/curr2_input": "1\n",
            f"{monitor}/in3_label": "VDD_SOC\n",
            f"{monitor}/in3_input": "5000\n",
        },
    )


@pytest.mark.parametrize("name", ["gpu", "ga10b", "gv11b"])
def test_a_jetson_is_read_from_its_files(tmp_path: Path, name: str) -> None:
    jetson(tmp_path, name, cur_freq="612000000", min_freq="306000000", max_freq="1300500000")
    assert read_gpu(BUS, tmp_path) == GpuState(
        clock_hz=612e6,
        clock_range_hz=(306e6, 1300.5e6),
        temperature_c=48.5,
        power_w={"VDD_IN": pytest.approx(12.4)},  # type: ignore[dict-item] # equal to a float
    )


def test_a_jetson_whose_files_are_closed_to_us_says_nothing_and_guesses_nothing(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"sys/class/devfreq/17000000.gpu/device/of_node/name": "gpu\0"})
    assert read_gpu(BUS, tmp_path) == GpuState()


class NvmlError(Exception):
    """As in NVML's binding."""


class Nvml:
    """NVML's binding, with one device."""

    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0
    NVMLError = NvmlError

    def __init__(self, reasons: int = 0, init: bool = True) -> None:
        self.open = 0
        self._reasons = reasons
        self._init = init

    def nvmlInit(self) -> None:  # noqa: N802 - the binding's own names
        if not self._init:
            raise NvmlError
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetHandleByPciBusId(self, bus: str) -> str:  # noqa: N802
        if bus != BUS:
            raise NvmlError
        return bus

    def nvmlDeviceGetClockInfo(self, device: str, kind: int) -> int:  # noqa: N802
        assert (device, kind) == (BUS, 1)
        return 1980

    def nvmlDeviceGetTemperature(self, device: str, kind: int) -> int:  # noqa: N802
        return 54

    def nvmlDeviceGetPowerUsage(self, device: str) -> int:  # noqa: N802
        raise NvmlError  # as a GPU without a power meter

    def nvmlDeviceGetCurrentClocksEventReasons(self, device: str) -> int:  # noqa: N802
        return self._reasons


def by_nvml(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nvml: Any, bus: str = BUS) -> GpuState:
    monkeypatch.setitem(sys.modules, "some_nvml", nvml)
    return read_gpu(bus, tmp_path, nvml="some_nvml")


def test_any_other_gpu_is_asked_by_nvml(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nvml = Nvml(reasons=0x01 | 0x04 | 0x20)
    assert by_nvml(monkeypatch, tmp_path, nvml) == GpuState(
        clock_hz=1980e6, temperature_c=54.0, slowed=("power limit", "heat")
    )
    assert nvml.open == 0, "what was opened was closed"


def test_an_idle_gpu_is_not_called_slowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert by_nvml(monkeypatch, tmp_path, Nvml(reasons=0x01)).slowed == ()


@pytest.mark.parametrize(
    ("nvml", "bus"),
    [(None, BUS), (Nvml(init=False), BUS), (Nvml(), ""), (Nvml(), "0000:00:00.0")],
    ids=["no binding", "no library", "no bus", "another bus"],
)
def test_without_an_answer_nothing_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nvml: Any, bus: str
) -> None:
    assert by_nvml(monkeypatch, tmp_path, nvml, bus) == GpuState()
    assert nvml is None or nvml.open == 0


def test_a_call_that_an_older_binding_lacks_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nvml = Nvml()
    whole = {name: getattr(nvml, name) for name in dir(nvml) if not name.startswith("_")}
    del whole["nvmlDeviceGetCurrentClocksEventReasons"]
    found = by_nvml(monkeypatch, tmp_path, SimpleNamespace(**whole))
    assert (found.clock_hz, found.slowed) == (1980e6, ())


def test_the_binding_of_nvml_has_every_name_that_is_used() -> None:
    import pynvml

    names = {name for name in dir(Nvml) if not name.startswith("_")}
    assert {name for name in names if not hasattr(pynvml, name)} == set()
    assert (pynvml.NVML_CLOCK_SM, pynvml.NVML_TEMPERATURE_GPU) == (1, 0)
    assert (
        pynvml.nvmlClocksEventReasonSwPowerCap,
        pynvml.nvmlClocksEventReasonHwSlowdown,
        pynvml.nvmlClocksEventReasonSwThermalSlowdown,
        pynvml.nvmlClocksEventReasonHwThermalSlowdown,
        pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown,
    ) == (0x04, 0x08, 0x20, 0x40, 0x80)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("NV Power Mode: MODE_15W_6CORE\n2\n", "MODE_15W_6CORE"),
        ("NV Fan Mode:quiet\nNV Power Mode: MAXN\n0\n", "MAXN"),
        ("NVPM VERB: Current mode: NV Power Mode: MODE_30W\n8\n", None),
        ("", None),
        ("Error opening /etc/nvpmodel.conf", None),
    ],
)
def test_the_power_mode_is_found_in_what_nvpmodel_prints(text: str, mode: str | None) -> None:
    assert power_mode_of(text) == mode
    assert read_power_mode(lambda _: text) == mode


def test_nvpmodel_is_run_and_a_failing_one_is_no_mode(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "nvpmodel"
    program.write_text('#!/bin/sh\n[ "$1" = -q ] && echo "NV Power Mode: MODE_40W" && echo 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert read_power_mode() == "MODE_40W"
    program.write_text('#!/bin/sh\necho "NV Power Mode: MODE_40W"\nexit 1\n')
    assert read_power_mode() is None


def test_a_state_survives_json() -> None:
    state = GpuState(clock_hz=1e9, clock_range_hz=(1e9, 1e9), power_w={"board": 70.5})
    assert decode(GpuState, encode(state)) == state
    nothing = GpuState()
    assert decode(GpuState, encode(nothing)) == nothing


@pytest.mark.gpu
def test_the_gpu_of_this_machine_says_something() -> None:
    state = read_gpu(find_device().bus)
    assert state.clock_hz is not None
    assert 1e7 < state.clock_hz < 1e10
    assert state.temperature_c is not None
    assert 0 < state.temperature_c < 120
