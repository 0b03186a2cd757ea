"""Control groups of both versions, as small trees of files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from lightawnet_edge.machine.cgroup import Throttled, cpu_quota, read_throttled


def tree(folder: Path, own: str, files: Mapping[str, str]) -> tuple[Path, Path]:
    """Write files below a root of control groups, and what a process says of its own."""
    membership = folder / "cgroup"
    membership.write_text(own)
    for name, text in files.items():
        file = folder / "root" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder / "root", membership


V2 = {"cgroup.controllers": "cpu memory\n"}
QUOTAS = [
    pytest.param("0::/\n", {**V2, "cpu.max": "150000 100000\n"}, 1.5, id="v2, in a container"),
    pytest.param(
        "0::/pod/box\n",
        {**V2, "pod/cpu.max": "200000 100000\n", "pod/box/cpu.max": "max 100000\n"},
        2.0,
        id="v2, of the group above",
    ),
    pytest.param(
        "0::/pod/box\n",
        {**V2, "pod/cpu.max": "200000 100000\n", "pod/box/cpu.max": "25000 50000\n"},
        0.5,
        id="v2, the smallest",
    ),
    pytest.param(
        "0::/../../other\n", {**V2, "cpu.max": "300000 100000\n"}, 3.0, id="v2, outside its root"
    ),
    pytest.param(
        "0::/system.slice/docker-1.scope\n",
        {**V2, "cpu.max": "50000 100000\n"},
        0.5,
        id="v2, a path of the host",
    ),
    pytest.param("0::/\n", {**V2, "cpu.max": "max 100000\n"}, None, id="v2, no limit"),
    pytest.param("0::/\n", V2, None, id="v2, the root of all"),
    pytest.param(
        "5:memory:/\n4:cpu,cpuacct:/box\n0::/box\n",
        {
            "cpu,cpuacct/box/cpu.cfs_quota_us": "250000\n",
            "cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
            "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
        2.5,
        id="v1",
    ),
    pytest.param(
        "4:cpuacct,cpu:/docker/1\n",
        {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"},
        1.0,
        id="v1, a path of the host",
    ),
    pytest.param(
        "1:cpu:/\n0::/\n",
        {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
        None,
        id="v1, no limit",
    ),
    pytest.param("2:cpuset:/\n", {"cpuset/cpu.max": "1 1\n"}, None, id="another controller"),
    pytest.param("", {}, None, id="no control groups"),
]


@pytest.mark.parametrize(("own", "files", "quota"), QUOTAS)
def test_a_quota_is_found(
    own: str, files: Mapping[str, str], quota: float | None, tmp_path: Path
) -> None:
    assert cpu_quota(*tree(tmp_path, own, files)) == quota


def test_what_quotas_have_cost_is_summed_over_the_groups(tmp_path: Path) -> None:
    files = {
        **V2,
        "pod/cpu.stat": "usage_usec 9000\nnr_periods 70\nnr_throttled 4\nthrottled_usec 1500000\n",
        "pod/box/cpu.stat": "usage_usec 900\nnr_periods 7\nnr_throttled 1\nthrottled_usec 250000\n",
    }
    found = read_throttled(*tree(tmp_path, "0::/pod/box\n", files))
    assert found == Throttled(times=5, seconds=1.75)


def test_version_1_counts_nanoseconds(tmp_path: Path) -> None:
    files = {"cpu/box/cpu.stat": "nr_periods 7\nnr_throttled 2\nthrottled_time 1250000000\n"}
    found = read_throttled(*tree(tmp_path, "4:cpu:/box\n", files))
    assert found == Throttled(times=2, seconds=1.25)


def test_groups_without_a_quota_say_nothing_of_its_cost(tmp_path: Path) -> None:
    files = {**V2, "cpu.stat": "usage_usec 9000\nuser_usec 5000\n"}
    assert read_throttled(*tree(tmp_path, "0::/\n", files)) is None


def test_a_system_without_control_groups_has_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "none", tmp_path / "none") is None
    assert read_throttled(tmp_path / "none", tmp_path / "none") is None
