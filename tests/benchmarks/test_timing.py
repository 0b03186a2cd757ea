"""Times of a device beside those of whole calls, and the doubts that a GPU's state gives."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from lightawnet_edge.benchmarks.device_text import conditions, device_line, gpu_text
from lightawnet_edge.benchmarks.records import Record
from lightawnet_edge.benchmarks.report import console, html
from lightawnet_edge.benchmarks.result import BenchResult
from lightawnet_edge.benchmarks.timing import Timing, gpu_doubts
from lightawnet_edge.codec import decode, encode
from lightawnet_edge.machine.cuda_driver import CudaDevice
from lightawnet_edge.machine.gpu_state import GpuState
from tests.benchmarks.conftest import MakeRecord, MakeResult
from tests.benchmarks.test_report import text_of

ORIN = CudaDevice(name="Orin", capability=87, cuda="12.6")
HELD = GpuState(
    clock_hz=1.3e9, clock_range_hz=(1.3e9, 1.3e9), temperature_c=52.0, power_w={"VDD_IN": 14.24}
)


def timing(*states: GpuState, **changes: Any) -> Timing:
    """Ten rounds of twenty calls of 5 ms, of which the device computes 3 and copies 0.5."""
    values: dict[str, Any] = {
        "load_s": 0.4, "first_s": 0.1, "others": (), "peak_memory_bytes": None,
        "rounds_s": ((0.005,) * 20,) * 10, "compute_s": ((0.003,) * 20,) * 10,
        "copy_s": ((0.0005,) * 20,) * 10, "gpu": states or (HELD,) * 10,
    }  # fmt: skip
    return Timing(**(values | changes))


@pytest.fixture
def record(make_record: MakeRecord) -> Record:
    return make_record(
        "polyp-tensorrt", 0.008, (0.88, 0.79, 0.7, 0.55), target="tensorrt", timing=timing()
    )


@pytest.fixture
def result(make_result: MakeResult, record: Record) -> BenchResult:
    baseline = make_result().records[0]
    return make_result(records=(baseline, record), gpu=ORIN, power_mode="MAXN")


def test_a_call_is_told_apart_into_computing_copies_and_the_host() -> None:
    device = timing().device
    assert device is not None
    assert device.compute.p50_s == pytest.approx(0.003)
    assert device.copies.p99_s == pytest.approx(0.0005)
    assert device.host.p50_s == pytest.approx(0.0015)
    assert device.compute.n == 200


def test_engines_of_the_cpu_have_no_times_of_a_device(make_result: MakeResult) -> None:
    for record in make_result().records:
        assert record.device is None
        assert record.summary()["device"] is None
        assert not record.runs_on_gpu
    assert "gpu" not in text_of(make_result())


def test_a_device_that_falls_silent_has_no_times() -> None:
    silent = timing(compute_s=((0.003,) * 20,) * 4, copy_s=((0.0005,) * 20,) * 4)
    assert silent.device is None
    assert "did not tell its own times" in gpu_doubts(silent)[0]


def test_a_gpu_that_is_held_gives_no_doubts(result: BenchResult, record: Record) -> None:
    assert gpu_doubts(record.timing) == []
    assert record.doubts == []
    assert [doubt for doubt in result.doubts if "power mode" in doubt] == []


@pytest.mark.parametrize(
    ("states", "doubt"),
    [
        ((GpuState(),), "not known: for any GPU but a Jetson's own, pip install nvidia-ml-py"),
        (
            (replace(HELD, clock_hz=1.2e9), HELD),
            "clock went between 1200 and 1300 MHz while it was timed",
        ),
        (
            (replace(HELD, clock_range_hz=(306e6, 1.3e9)),),
            "may go between 306 and 1300 MHz: 'sudo jetson_clocks' holds it",
        ),
        (
            (replace(HELD, slowed=("heat",)), HELD, replace(HELD, slowed=("power limit",))),
            "slowed down after 2 of 3 rounds: heat, power limit",
        ),
    ],
)
def test_a_gpu_s_state_gives_doubts(
    record: Record, states: tuple[GpuState, ...], doubt: str
) -> None:
    (found,) = gpu_doubts(timing(*states))
    assert doubt in found
    assert found in replace(record, timing=timing(*states)).doubts


def test_a_clock_that_wavers_by_its_own_step_gives_none() -> None:
    assert gpu_doubts(timing(replace(HELD, clock_hz=1.29e9), HELD)) == []


def test_a_jetson_whose_power_mode_is_unknown_is_doubted(result: BenchResult) -> None:
    assert any("power mode of this Jetson is not known" in text
               for text in replace(result, power_mode=None).doubts)  # fmt: skip
    other = replace(result, gpu=replace(ORIN, name="RTX", capability=86), power_mode=None)
    assert not any("power mode" in text for text in other.doubts)


def test_one_line_says_where_the_time_went_and_what_the_gpu_was_like(
    result: BenchResult, record: Record
) -> None:
    assert gpu_text(result) == "Orin, SM87, driver for CUDA 12.6, power mode MAXN"
    assert device_line(record) == (
        "computes 3.00 ms (p99 3.00), copies 0.50, host 1.50; clock 1300 MHz (held), 52 °C, "
        "VDD_IN 14.2 W"
    )
    lines = [" ".join(line.split()) for line in text_of(result).splitlines()]
    assert "gpu Orin, SM87, driver for CUDA 12.6, power mode MAXN" in lines
    assert any(line.startswith("gpu polyp-tensorrt: computes 3.00 ms") for line in lines)
    assert max(map(len, text_of(result).splitlines())) <= 80


def test_what_the_gpu_does_not_say_is_said_to_be_unknown(record: Record) -> None:
    silent = replace(record, timing=timing(GpuState(), compute_s=(), copy_s=()))
    assert device_line(silent) == (
        "its own times are not known; clock not known, heat not known, power not known"
    )
    free = replace(HELD, clock_hz=612e6, clock_range_hz=(306e6, 1.3e9), power_w={})
    assert conditions(replace(record, timing=timing(HELD, free))) == [
        "clock 612 to 1300 MHz (free, 306 to 1300)", "52 °C", "VDD_IN 14.2 W",
    ]  # fmt: skip


def test_the_page_has_a_table_for_the_gpu_and_only_then(
    result: BenchResult, make_result: MakeResult
) -> None:
    page = html(result)
    assert "<h2>On the GPU</h2>" in page
    assert "<dd>Orin, SM87, driver for CUDA 12.6, power mode MAXN</dd>" in page
    assert "<small>VDD_IN 14.2 W</small>" in page
    assert "On the GPU" not in html(make_result())


def test_a_result_with_a_gpu_survives_json(result: BenchResult) -> None:
    data = encode(result)
    assert decode(BenchResult, data) == result
    summary = data["records"][1]["device"]
    assert summary["compute"]["p50_s"] == pytest.approx(0.003)
    assert data["gpu"] == asdict(ORIN)


def test_a_report_of_an_earlier_version_is_read(result: BenchResult) -> None:
    data = encode(result)
    del data["gpu"], data["power_mode"]
    for record in data["records"]:
        for name in ("compute_s", "copy_s", "gpu"):
            del record["timing"][name]
    found = decode(BenchResult, data)
    assert (found.gpu, found.power_mode) == (None, None)
    assert found.records[1].device is None
    assert console(found)
