"""How much CPU time a container may take, and how often it was stopped for having taken it.

Linux only, control groups of version 1 and 2. Any group above a process may hold a quota, and the
smallest counts. See Linux's Documentation/scheduler/sched-bwc.rst and admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_CONTROLLER = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttled:
    """What a quota has cost since the groups were made; other processes of a group count, too."""

    times: int
    """Periods, mostly of 0.1 s, whose rest some thread had to wait for."""
    seconds: float
    """Of that waiting, summed over CPUs."""


def cpu_quota(root: Path = _ROOT, own: Path = _OWN) -> float | None:
    """Seconds of CPU time that this process's groups may take in a second; None: no limit."""
    quotas = [quota for folder in _groups(root, own) if (quota := _quota(folder)) is not None]
    return min(quotas, default=None)


def read_throttled(root: Path = _ROOT, own: Path = _OWN) -> Throttled | None:
    """How often quotas have stopped this process's groups; None where the system does not say."""
    found = [stat for folder in _groups(root, own) if "nr_throttled" in (stat := _stat(folder))]
    if not found:
        return None
    return Throttled(
        times=sum(stat["nr_throttled"] for stat in found),
        seconds=sum(
            stat.get("throttled_usec", 0) / 1e6 + stat.get("throttled_time", 0) / 1e9
            for stat in found
        ),
    )


def read_text(path: Path) -> str | None:
    """Text of a file without space around it; None where there is none, or it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _groups(root: Path, own: Path) -> Iterator[Path]:
    """Folders of the groups that may limit this process's CPU time, its own first.

    In a container the path may be that of the host: what is not there is passed over, and the
    root that the container sees is its own group.
    """
    for line in (read_text(own) or "").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            mount = root if (root / "cgroup.controllers").exists() else root / "unified"
        elif _CONTROLLER in controllers.split(","):
            mount = root / controllers
            mount = mount if mount.exists() else root / _CONTROLLER
        else:
            continue
        inside = Path(*(part for part in Path(path).parts if part not in ("/", "..")))
        yield from (mount / step for step in (inside, *inside.parents))


def _quota(folder: Path) -> float | None:
    """Quota of one group; None where it has none."""
    if (both := read_text(folder / "cpu.max")) is not None:
        quota, _, period = both.partition(" ")
    else:
        quota = read_text(folder / "cpu.cfs_quota_us") or ""
        period = read_text(folder / "cpu.cfs_period_us") or ""
    if not (quota.isdigit() and period.isdigit()):  # "max", or -1
        return None
    return int(quota) / int(period)


def _stat(folder: Path) -> dict[str, int]:
    pairs = (line.partition(" ") for line in (read_text(folder / "cpu.stat") or "").splitlines())
    return {name: int(value) for name, _, value in pairs if value.isdigit()}
