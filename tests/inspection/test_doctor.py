from __future__ import annotations

from dataclasses import replace

import pytest

from lightawnet_edge.inspection import doctor
from lightawnet_edge.machine.machine import read_machine


@pytest.mark.parametrize(
    ("quota", "line"),
    [
        (None, "8 cores, 16 threads"),
        (1.5, "8 cores, 16 threads, a CPU quota of 1.5: engines take 2"),
    ],
)
def test_a_cpu_quota_is_told(
    quota: float | None, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = replace(read_machine(), cores=8, cpus=16, quota_cpus=quota)
    monkeypatch.setattr(doctor, "read_machine", lambda: machine)
    monkeypatch.setattr(doctor, "default_threads", lambda: 2)
    assert doctor.examine()[0].can[1] == line


@pytest.mark.parametrize("saturates", [True, False])
def test_a_cpu_whose_integers_saturate_is_told(
    saturates: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "int8_saturates", lambda: saturates)
    told = [line for line in doctor.examine()[0].cannot if "saturate without VNNI" in line]
    assert bool(told) is saturates
