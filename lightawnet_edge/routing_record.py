"""What was measured of a routing before it was chosen, and each decision; a manifest holds this.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingDecision:
    """One dynamic convolution: frozen to its mean, or left dynamic since that costs too much."""

    block: str
    frozen: bool
    dice_drop: float
    """Mean Dice lost per frame against the dynamic network, with this block and all that were
    frozen before it."""
    low: float
    """Of the 95 % interval of `dice_drop`."""
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingRecord:
    """How the routing of an engine was chosen, in the order of the decisions."""

    max_dice_drop: float
    """Budget that all frozen blocks hold together, in the mean over the measured frames."""
    calibrated_frames: int
    """Frames that the frozen blocks' means were taken over."""
    measured_frames: int
    """Other frames, which the Dice was measured on, at the network's size."""
    has_truth: bool
    """Whether Dice is that against masks; else against the dynamic network's own mask."""
    dice: float
    """Of the dynamic network on the measured frames; 1 where it is its own truth."""
    decisions: tuple[RoutingDecision, ...]

    @property
    def frozen(self) -> tuple[str, ...]:
        """Blocks whose kernels are constant."""
        return tuple(one.block for one in self.decisions if one.frozen)

    @property
    def dynamic(self) -> tuple[str, ...]:
        """Blocks whose kernels are computed per frame."""
        return tuple(one.block for one in self.decisions if not one.frozen)

    @property
    def dice_drop(self) -> float:
        """Mean Dice lost per frame with all frozen blocks; 0 where none is."""
        return next((one.dice_drop for one in reversed(self.decisions) if one.frozen), 0.0)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they stand in the manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RoutingRecord:
        """Inverse of `to_json`."""
        decisions = tuple(RoutingDecision(**one) for one in data["decisions"])
        return cls(**{**data, "decisions": decisions})
