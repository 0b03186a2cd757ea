"""What a benchmark found of all its engines, as values that go to JSON and come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from lightawnet_edge.benchmarks.provenance import Provenance
from lightawnet_edge.benchmarks.records import Record
from lightawnet_edge.codec import OMIT, encode, read_document
from lightawnet_edge.codec.plain import Turn
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.machine.cgroup import Throttled
from lightawnet_edge.machine.cuda_driver import CudaDevice
from lightawnet_edge.machine.machine import Machine, MachineState
from lightawnet_edge.scores.latency import MAX_OTHERS, MIN_FRAMES
from lightawnet_edge.specs import Size
from lightawnet_edge.targets.tensorrt.devices import device_of

SCHEMA = 2  # 1: first version. 2: what was measured, by bytes and command; where a call goes.
UPGRADES: Mapping[int, Turn] = {1: lambda plain: plain}

_SHOWN = ("data", "split", "threads", "rounds", "calls", "seconds", "warmup", "deadline_s")
"""Settings that a report shows."""
_LATEST_S = 1e6
_RAW = ("pictures", "overlap", "doubted")
"""Fields that a summary leaves out: doubts say what the last two hold."""

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

    def __post_init__(self) -> None:
        Size(self.height, self.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """Everything that a report shows."""

    DERIVED: ClassVar = ("doubts",)

    created: str
    """UTC, ISO 8601."""
    version: str
    """Of this package."""
    settings: Mapping[str, Any]
    """What was asked for: the spec, with names in place of paths."""
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
    unfit: Mapping[str, str] = field(default_factory=dict, metadata=OMIT)
    """Bundle to why the frames may be of another domain than its network's; its Dice then says
    little. Bundles that the frames are known to fit, or that got frames of one's own, are left
    out."""
    provenance: Provenance | None = field(default=None, metadata=OMIT)
    """What was measured, by its bytes; None in reports that were written before it was recorded."""

    @classmethod
    def read(cls, path: Path) -> BenchResult:
        """Read a `report.json`.

        Raises:
            ArtifactError: The file is missing, or is no report of this schema.
        """
        if not path.is_file():
            raise ArtifactError(
                f"No report '{path}'. Give the report.json that 'lightawnet-edge bench' wrote, or "
                "its folder."
            )
        return read_document(
            cls,
            path,
            schema=SCHEMA,
            again="Read it with the version of lightawnet-edge that wrote it, or measure again "
            "with 'lightawnet-edge bench'.",
            upgrades=UPGRADES,
        )

    def __post_init__(self) -> None:
        datetime.fromisoformat(self.created)
        self._check_settings()
        if all(record.is_baseline for record in self.records):
            raise SpecError("A report is about one engine at least beside the baselines.")
        if len({record.bundle for record in self.records}) < len(self.records):
            raise SpecError("Two records are about the same bundle.")
        if len({len(record.timing.rounds_s) for record in self.records}) > 1:
            raise SpecError("The engines were not timed in the same rounds.")
        if empty := [bundle for bundle, frames in self.overlap.items() if frames == ()]:
            raise SpecError(f"overlap.{empty[0]} names no frame.")

    def _check_settings(self) -> None:
        if missing := [name for name in _SHOWN if name not in self.settings]:
            raise SpecError(f"settings.{missing[0]} is missing.")
        deadline_s = self.settings["deadline_s"]
        if type(deadline_s) not in (int, float) or not 0 < deadline_s <= _LATEST_S:
            raise SpecError(f"settings.deadline_s={deadline_s!r:.40} is no time of a frame.")

    def summary(self) -> dict[str, Any]:
        """Plain values: all but raw samples, scores per frame and pictures."""
        plain = {key: value for key, value in encode(self).items() if key not in _RAW}
        return {**plain, "records": [record.summary() for record in self.records]}

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
        found += self.unfit.values()
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
