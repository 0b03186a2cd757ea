from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lightawnet_edge.codec import decode, encode
from lightawnet_edge.machine import machine
from lightawnet_edge.machine.cgroup import Throttled
from lightawnet_edge.machine.machine import (
    Machine,
    busy_seconds,
    default_threads,
    int8_saturates,
    machine_summary,
    physical_cores,
    read_machine,
    read_state,
)

on_linux = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs Linux's /proc")


def test_this_machine_survives_json() -> None:
    found = read_machine()
    assert decode(Machine, encode(found)) == found
    assert 1 <= found.cores <= found.cpus
    assert found.versions["python"] == platform.python_version()


def test_a_summary_names_neither_host_nor_path() -> None:
    text = json.dumps(machine_summary())
    assert platform.node() not in text
    assert "/" not in text.replace(machine_summary()["cpu"], "").replace(platform.release(), "")


def test_reading_versions_imports_no_toolchain() -> None:
    code = (
        "import sys; from lightawnet_edge.machine.machine import read_machine; read_machine();"
        "print([m for m in 'torch onnx onnxruntime openvino'.split() if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("architecture", "isa", "saturates"),
    [
        ("x86_64", ("avx2",), True),
        ("x86_64", ("avx2", "avx512f"), True),
        ("x86_64", ("avx2", "avx_vnni"), False),
        ("AMD64", ("avx2", "avx512f", "avx512_vnni"), False),
        ("AMD64", (), True),
        ("aarch64", ("asimd",), False),
    ],
)
def test_integer_products_saturate_on_x86_without_vnni(
    monkeypatch: pytest.MonkeyPatch, architecture: str, isa: tuple[str, ...], saturates: bool
) -> None:
    here = replace(read_machine(), isa=isa)
    monkeypatch.setattr(platform, "machine", lambda: architecture)
    monkeypatch.setattr(machine, "read_machine", lambda: here)
    assert int8_saturates() is saturates


@on_linux
def test_busy_time_grows_with_work() -> None:
    before = busy_seconds()
    own = os.times().user
    while os.times().user - own < 0.1:
        sum(range(10_000))
    after = busy_seconds()
    assert before is not None
    assert after is not None
    assert after - before >= 0.05


@on_linux
def test_the_load_is_read() -> None:
    assert read_state().load_1min is not None


def test_what_cannot_be_read_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "read_text", lambda _: None)
    state = read_state()
    assert (state.load_1min, state.frequency_hz, state.throttled) == (None, None, None)
    assert busy_seconds() is None
    found = read_machine()
    assert (found.governor, found.virtual, found.isa) == (None, None, ())
    assert found.cpu


def _pretend(monkeypatch: pytest.MonkeyPatch, texts: dict[str, str], cpus: set[int]) -> None:
    monkeypatch.setattr(machine, "read_text", lambda path: texts.get(str(path)))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cpus, raising=False)


def test_two_threads_of_a_core_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    topology = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    _pretend(
        monkeypatch,
        {topology.format(cpu): f"{cpu % 2},{cpu % 2 + 2}" for cpu in range(4)},
        {0, 1, 2, 3},
    )
    assert physical_cores() == 2


@pytest.mark.parametrize(
    ("quota", "threads"), [(None, 4), (8.0, 4), (4.0, 4), (2.5, 3), (1.0, 1), (0.25, 1)]
)
def test_a_quota_limits_the_threads_but_not_the_cores(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, threads: int
) -> None:
    _pretend(monkeypatch, {}, {0, 1, 2, 3})
    monkeypatch.setattr(machine, "cpu_quota", lambda: quota)
    assert default_threads() == threads
    assert (read_machine().cores, read_machine().quota_cpus) == (4, quota)
    assert machine_summary()["quota_cpus"] == quota


def test_an_affinity_mask_limits_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, {}, {3})
    monkeypatch.setattr(machine, "cpu_quota", lambda: 2.0)
    assert default_threads() == 1


def test_what_a_quota_has_cost_is_part_of_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = Throttled(times=3, seconds=0.5)
    monkeypatch.setattr(machine, "read_throttled", lambda: cost)
    assert (read_state().quota_throttled, read_state().quota_throttled_s) == (3, 0.5)
    monkeypatch.setattr(machine, "read_throttled", lambda: None)
    assert (read_state().quota_throttled, read_state().quota_throttled_s) == (None, None)
