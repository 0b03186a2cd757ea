"""What a benchmark found, as values that go to JSON and come back.

Only what was observed is stored: raw samples, scores per frame, the machine. Percentiles, means,
intervals and doubts are computed from these wherever they are asked for, and written beside them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from lightawnet_edge.benchmarks.stats import (
    MAX_OTHERS,
    MIN_FRAMES,
    Latency,
    latency_doubts,
    summarize,
)
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.intervals import Interval, mean_interval
from lightawnet_edge.layers import LayerRecord
from lightawnet_edge.machine import Machine, MachineState

SCHEMA = 1  # 1: first version. Say here what every later number changed.
PYTORCH = "pytorch"
"""Target of the baseline: the FP32 network with computed kernels, in eager PyTorch."""
WORST = 4
"""Frames that a report shows of each engine."""
VISIBLE_DROP = 0.005
"""Less Dice lost than this cannot be seen in a contour."""

Contours = tuple[tuple[tuple[int, int], ...], ...]
"""Closed lines of points (x, y), in pixels of a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameScore:
    """How well one engine segmented one frame, against its truth."""

    frame: str
    dice: float
    iou: float
    precision: float
    recall: float
    dice_drop: float | None
    """Dice of the baseline on this frame, less Dice of this engine; None without a baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What the clock said of one engine; every time in seconds."""

    load_s: float
    """Import of the toolchain, hash check, reading and compiling."""
    first_s: float
    """From the first frame to its mask."""
    rounds_s: tuple[tuple[float, ...], ...]
    """Seconds of each call, by round, in the order of measuring."""
    others: tuple[float, ...]
    """CPUs that other programs kept busy, by round; empty where the system does not say."""
    peak_memory_bytes: int | None
    """Of the engine's process: Python, toolchain, engine and a few frames."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Timing:
        """Inverse of `dataclasses.asdict`."""
        rounds = tuple(tuple(samples) for samples in data["rounds_s"])
        return cls(**{**data, "rounds_s": rounds, "others": tuple(data["others"])})


@dataclass(frozen=True, kw_only=True)  # without slots, which leave cached properties no place
class Record:
    """One engine, measured."""

    bundle: str
    """Name of the bundle; 'pytorch-eager' for the baseline."""
    target: str
    precision: str
    """Requested; see `executed`."""
    routing: str
    frame: str
    """Size of frame and mask, HEIGHTxWIDTH."""
    network: str
    """Size that the network works at, HEIGHTxWIDTH."""
    engine_bytes: int | None
    """Of the bundle's files that are needed to run it; None for the baseline."""
    executed: Mapping[str, float]
    """Precision to share of the convolution MACs."""
    baseline: str | None
    """The record that `dice_drop` compares with."""
    timing: Timing
    scores: tuple[FrameScore, ...]
    layers: tuple[LayerRecord, ...] = ()
    """Every convolution as this machine executes it; empty for the baseline, and for bundles that
    hold no table of their layers."""

    @property
    def is_baseline(self) -> bool:
        """Whether this is a PyTorch baseline."""
        return self.target == PYTORCH

    @cached_property
    def latency(self) -> Latency:
        """Summary of all rounds."""
        return summarize([sample for samples in self.timing.rounds_s for sample in samples])

    @property
    def cold_start_s(self) -> float:
        """Seconds from nothing loaded to the first mask."""
        return self.timing.load_s + self.timing.first_s

    @property
    def accuracy(self) -> dict[str, float]:
        """Means over the frames, and their number `n`."""
        names = ("dice", "iou", "precision", "recall")
        count = len(self.scores)
        means = {name: sum(getattr(s, name) for s in self.scores) / count for name in names}
        return {**means, "n": count}

    @cached_property
    def dice_drop(self) -> Interval | None:
        """Paired loss of Dice against the baseline on the same frames; None without a baseline."""
        drops = [score.dice_drop for score in self.scores if score.dice_drop is not None]
        return mean_interval(drops) if drops else None

    @property
    def doubts(self) -> list[str]:
        """Reasons not to trust these numbers; empty when there are none."""
        found = latency_doubts(self.timing.rounds_s)
        if self.executed.get("unknown"):
            found.append(
                f"{100 * self.executed['unknown']:.0f} % of the MACs were not found in the engine"
            )
        return found

    def worst(self) -> list[FrameScore]:
        """Frames to look at: largest drops of Dice, or lowest Dice where nothing is compared."""
        if self.is_baseline or self.baseline is None:
            return sorted(self.scores, key=lambda score: (score.dice, score.frame))[:WORST]
        dropped = [(score.dice_drop or 0.0, score.frame, score) for score in self.scores]
        visible = sorted(drop for drop in dropped if drop[0] >= VISIBLE_DROP)
        return [score for _, _, score in reversed(visible)][:WORST]

    def summary(self) -> dict[str, Any]:
        """Plain values: the JSON contract, without raw samples and scores per frame."""
        latency = {**asdict(self.latency), "cold_start_s": self.cold_start_s}
        drop = self.dice_drop
        return {
            "bundle": self.bundle,
            "target": self.target,
            "precision": self.precision,
            "routing": self.routing,
            "frame": self.frame,
            "network": self.network,
            "engine_bytes": self.engine_bytes,
            "executed": dict(self.executed),
            "latency": {**latency, "peak_memory_bytes": self.timing.peak_memory_bytes},
            "accuracy": self.accuracy,
            "baseline": self.baseline,
            "dice_drop": drop and {"mean": drop.mean, "ci95": [drop.low, drop.high]},
            "doubts": self.doubts,
        }

    def to_json(self) -> dict[str, Any]:
        """`summary` with what it was computed from."""
        scores = [asdict(score) for score in self.scores]
        layers = [layer.to_json() for layer in self.layers]
        own = {"timing": asdict(self.timing), "scores": scores, "layers": layers}
        return {**self.summary(), **own}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """Inverse of `to_json`; the computed values are computed again."""
        timing = Timing.from_json(data["timing"])
        scores = tuple(FrameScore(**score) for score in data["scores"])
        layers = tuple(LayerRecord.from_json(layer) for layer in data.get("layers", ()))
        own = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        return cls(**{**own, "timing": timing, "scores": scores, "layers": layers})


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
    overlap: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    """Bundle to those of the frames that its calibration set shows, too; None where it does not say
    on which frames it was calibrated."""

    def baseline_of(self, record: Record) -> Record | None:
        """The record that `record` is compared with."""
        return next((other for other in self.records if other.bundle == record.baseline), None)

    @property
    def others(self) -> float:
        """CPUs that other programs kept busy while engines were timed; 0 where nothing is known."""
        rounds = [cpus for record in self.records for cpus in record.timing.others]
        return sum(rounds) / len(rounds) if rounds else 0.0

    @property
    def doubts(self) -> list[str]:
        """Reasons not to trust any of the numbers; those of one engine stand in its record."""
        found = [f"frame '{frame}' was skipped: {reason}" for frame, reason in self.skipped.items()]
        found += [_overlap_doubt(bundle, frames) for bundle, frames in self.overlap.items()]
        if (cpus := self.others) > MAX_OTHERS:
            found.append(f"other programs kept {cpus:.1f} CPUs busy while engines were timed")
        frames = min((len(record.scores) for record in self.records), default=0)
        if frames < MIN_FRAMES:
            found.append(
                f"{frames} frames are few: below {MIN_FRAMES}, intervals of Dice are too narrow"
            )
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
            "doubts": self.doubts,
            "records": [record.to_json() for record in self.records],
            "failures": [asdict(failure) for failure in self.failures],
            "skipped": dict(self.skipped),
            "overlap": dict(self.overlap),
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
            overlap={
                bundle: frames and tuple(frames)
                for bundle, frames in data.get("overlap", {}).items()
            },
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
