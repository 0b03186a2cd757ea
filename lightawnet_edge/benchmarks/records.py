"""What a benchmark found of one engine, as values that go to JSON and come back.

Only what was observed is stored: raw samples and scores per frame. Percentiles, means, intervals
and doubts are computed from these wherever they are asked for, and written beside them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from lightawnet_edge.benchmarks.timing import DeviceLatency, Timing, gpu_doubts
from lightawnet_edge.bundle.layers import LayerRecord
from lightawnet_edge.codec import OMIT, encode
from lightawnet_edge.errors import SpecError
from lightawnet_edge.scores.intervals import Interval, mean_interval
from lightawnet_edge.scores.latency import EngineLatency, latency_doubts, summarize
from lightawnet_edge.scores.masks import check_shares
from lightawnet_edge.targets import table

PYTORCH = "pytorch"
"""Target of the baseline: the FP32 network with computed kernels, in eager PyTorch."""
WORST = 4
"""Frames that a report shows of each engine."""
VISIBLE_DROP = 0.005
"""Less Dice lost than this cannot be seen in a contour."""
_RAW = ("timing", "scores", "layers")
"""Fields that all else is computed from."""


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

    def __post_init__(self) -> None:
        check_shares(dice=self.dice, iou=self.iou, precision=self.precision, recall=self.recall)
        if self.dice_drop is not None and not -1 <= self.dice_drop <= 1:
            raise SpecError(f"dice_drop={self.dice_drop} must be in [-1, 1].")


@dataclass(frozen=True, kw_only=True)  # without slots, which leave cached properties no place
class Record:
    """One engine, measured."""

    DERIVED: ClassVar = ("latency", "device", "accuracy", "dice_drop", "doubts")

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
    parts_s: Mapping[str, float] = field(default_factory=dict, metadata=OMIT)
    """Parts of a call to their seconds: means of profiled calls, which are slower than others.
    Empty where the toolchain times no layers."""

    def __post_init__(self) -> None:
        if not self.executed:
            raise SpecError(f"'{self.bundle}' executed no precision.")
        check_shares(**self.executed)
        if self.parts_s and not all(0 <= part < math.inf for part in self.parts_s.values()):
            raise SpecError(f"'{self.bundle}' has a part of a call that is no time.")
        if not self.scores:
            raise SpecError(f"'{self.bundle}' was scored on no frame.")
        if len({score.frame for score in self.scores}) < len(self.scores):
            raise SpecError(f"'{self.bundle}' was scored on a frame twice.")
        if len({score.dice_drop is None for score in self.scores}) > 1:
            raise SpecError(f"'{self.bundle}' was compared with its baseline on some frames alone.")

    @property
    def is_baseline(self) -> bool:
        """Whether this is a PyTorch baseline."""
        return self.target == PYTORCH

    @cached_property
    def latency(self) -> EngineLatency:
        """Summary of all rounds, cold start and memory."""
        timing = self.timing
        return EngineLatency(
            **asdict(summarize([sample for samples in timing.rounds_s for sample in samples])),
            cold_start_s=self.cold_start_s,
            peak_memory_bytes=timing.peak_memory_bytes,
        )

    @cached_property
    def device(self) -> DeviceLatency | None:
        """Where the time of the calls went, for an engine whose device tells; else None."""
        return self.timing.device

    @property
    def runs_on_gpu(self) -> bool:
        """Whether this is an engine that runs on an NVIDIA GPU."""
        return table.on_gpu(self.target)

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
        if self.runs_on_gpu:
            found += gpu_doubts(self.timing)
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
        return {key: value for key, value in encode(self).items() if key not in _RAW}
