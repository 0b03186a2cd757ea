"""What a benchmark found of all its engines, as values that go to JSON and come back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lightawnet_edge.benchmarks.records import Record
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.machine.cgroup import Throttled
from lightawnet_edge.machine.cuda_driver import CudaDevice
from lightawnet_edge.machine.machine import Machine, MachineState
from lightawnet_edge.scores.latency import MAX_OTHERS, MIN_FRAMES
from lightawnet_edge.targets.tensorrt.devices import device_of

SCHEMA = 1  # 1: first version. Say here what every later number changed.

Contours = tuple[tuple[tuple[int, int], ...], ...]
"""Closed lines of points (x, y), in pixels of a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An engine that could not be measured."""

    bundle: str
    reason: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A frame to look at, with the contours of its truth and of each engine's mask."""

    frame: str
    width: int
    height: int
    jpeg: str
    """Base64."""
    truth: Contours
    masks: Mapping[str, Contours]
    """Record to contours: of the engines that did badly on this frame, and their baselines."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Picture:
        """Inverse of `dataclasses.asdict`."""
        masks = {name: _contours(lines) for name, lines in data["masks"].items()}
        return cls(**{**data, "truth": _contours(data["truth"]), "masks": masks})


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """Everything that a report shows."""

    created: str
    """UTC, ISO 8601."""
    version: str
    """Of this package."""
    settings: Mapping[str, Any]
    machine: Machine
    before: MachineState
    after: MachineState
    records: tuple[Record, ...]
    failures: tuple[Failure, ...]
    skipped: Mapping[str, str]
    """Frame that could not be used to the reason."""
    pictures: tuple[Picture, ...]
    gpu: CudaDevice | None = None
    """That engines of TensorRT ran on; None where none did."""
    power_mode: str | None = None
    """Of a Jetson, by `nvpmodel`: it decides how many cores there are, and how fast all is."""
    overlap: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    """Bundle to those of the frames that its calibration set shows, too; None where it does not say
    on which frames it was calibrated."""
    doubted: tuple[str, ...] = ()
    """What is to be doubted of the frames and masks themselves."""

    def baseline_of(self, record: Record) -> Record | None:
        """The record that `record` is compared with."""
        return next((other for other in self.records if other.bundle == record.baseline), None)

    @property
    def others(self) -> float:
        """CPUs that other programs kept busy while engines were timed; 0 where nothing is known."""
        rounds = [cpus for record in self.records for cpus in record.timing.others]
        return sum(rounds) / len(rounds) if rounds else 0.0

    @property
    def throttled(self) -> Throttled:
        """What a CPU quota has cost while engines were timed; nothing where that is not known."""
        before, after = self.before, self.after
        return Throttled(
            times=(after.quota_throttled or 0) - (before.quota_throttled or 0),
            seconds=(after.quota_throttled_s or 0.0) - (before.quota_throttled_s or 0.0),
        )

    @property
    def doubts(self) -> list[str]:
        """Reasons not to trust any of the numbers; those of one engine stand in its record."""
        found = [f"frame '{frame}' was skipped: {reason}" for frame, reason in self.skipped.items()]
        found += [_overlap_doubt(bundle, frames) for bundle, frames in self.overlap.items()]
        found += self.doubted
        if (cpus := self.others) > MAX_OTHERS:
            found.append(f"other programs kept {cpus:.1f} CPUs busy while engines were timed")
        if (cost := self.throttled).times > 0:
            found.append(
                f"the CPU quota stopped programs {cost.times} times while engines were timed, for "
                f"{cost.seconds:.1f} s over all CPUs: raise it, or give fewer --threads"
            )
        frames = min((len(record.scores) for record in self.records), default=0)
        if frames < MIN_FRAMES:
            found.append(
                f"{frames} frames are few: below {MIN_FRAMES}, intervals of Dice are too narrow"
            )
        if self.gpu and device_of(self.gpu.capability) and self.power_mode is None:
            found.append("the power mode of this Jetson is not known: 'nvpmodel -q' tells nothing")
        if self.machine.governor not in (None, "performance"):
            found.append(f"the CPU governor is '{self.machine.governor}': clocks follow the load")
        heat = (self.after.throttled or 0) - (self.before.throttled or 0)
        if heat > 0:
            found.append(f"the CPU was slowed down for its heat {heat} times meanwhile")
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values with the schema number."""
        return {
            "schema": SCHEMA,
            "created": self.created,
            "version": self.version,
            "settings": dict(self.settings),
            "machine": self.machine.to_json(),
            "before": asdict(self.before),
            "after": asdict(self.after),
            "gpu": self.gpu and asdict(self.gpu),
            "power_mode": self.power_mode,
            "doubts": self.doubts,
            "records": [record.to_json() for record in self.records],
            "failures": [asdict(failure) for failure in self.failures],
            "skipped": dict(self.skipped),
            "overlap": dict(self.overlap),
            "doubted": list(self.doubted),
            "pictures": [asdict(picture) for picture in self.pictures],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BenchResult:
        """Inverse of `to_json`; the computed values are computed again."""
        return cls(
            created=data["created"],
            version=data["version"],
            settings=data["settings"],
            machine=Machine.from_json(data["machine"]),
            before=MachineState(**data["before"]),
            after=MachineState(**data["after"]),
            records=tuple(Record.from_json(record) for record in data["records"]),
            failures=tuple(Failure(**failure) for failure in data["failures"]),
            skipped=data["skipped"],
            pictures=tuple(Picture.from_json(picture) for picture in data["pictures"]),
            gpu=CudaDevice(**data["gpu"]) if data.get("gpu") else None,
            power_mode=data.get("power_mode"),
            overlap={
                bundle: frames and tuple(frames)
                for bundle, frames in data.get("overlap", {}).items()
            },
            doubted=tuple(data.get("doubted", ())),
        )


def read_result(path: Path) -> BenchResult:
    """Read a `report.json`.

    Raises:
        ArtifactError: The file is missing, not JSON, of an unknown schema, or lacks a field.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"Report '{path}' cannot be read: {error}. Run 'bench' again."
        ) from error
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise ArtifactError(
            f"Report '{path}' has schema {schema!r}, this version reads {SCHEMA}. "
            "Run 'bench' again."
        )
    try:
        return BenchResult.from_json(data)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"Report '{path}' cannot be understood: {error!r}. Run 'bench' again."
        ) from error


def _overlap_doubt(bundle: str, frames: Sequence[str] | None) -> str:
    if frames is None:
        return (
            f"{bundle} does not say on which frames it was calibrated: whether they are among "
            "these is not known. Export it again, with --force"
        )
    return (
        f"{bundle} was calibrated on {len(frames)} of these frames, and that was allowed: its Dice "
        f"is optimistic. The first is '{frames[0]}'"
    )


def _contours(lines: Any) -> Contours:
    return tuple(tuple((int(x), int(y)) for x, y in line) for line in lines)
