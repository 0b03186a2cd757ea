"""What was measured before an engine's routing and INT8 ranges were chosen; a manifest holds this.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lightawnet_edge.scores.text import change_text
from lightawnet_edge.specs import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRecord:
    """What the frames that set scales and frozen routing were found to be."""

    distinct: int
    """Different pictures: copies and near-copies count once, frames without content not at all."""
    scenes: int
    mismatch: float
    """How far the network's activations on them lie from their statistics in training, in nats."""
    doubts: tuple[str, ...] = ()
    """Reasons not to trust what was taken from them."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreStep:
    """A layer that went back to float."""

    layer: str
    dice_drop: float
    """Mean Dice lost per frame against FP32 with it and all before it in float."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRecord:
    """Layers of an INT8 engine that went back to float, so that it holds a budget of Dice."""

    max_dice_drop: float
    """The budget, less what frozen routing had cost of it."""
    frames: int
    """Frames that Dice was measured on, at the size of the bundle's frame."""
    held_out: bool
    """Whether these set no range."""
    has_truth: bool
    """Whether Dice is that against masks; else against the FP32 masks."""
    dice_drop: float
    """Mean Dice lost per frame against FP32 with every layer in INT8."""
    steps: tuple[RestoreStep, ...] = ()
    """In the order of the decisions."""

    @property
    def left(self) -> float:
        """Mean Dice lost per frame in the end."""
        return self.steps[-1].dice_drop if self.steps else self.dice_drop

    def __str__(self) -> str:
        truth = "" if self.has_truth else " with the FP32 masks"
        kind = "held-out" if self.held_out else "calibration"
        return (
            f"Dice{truth} changes by {change_text(self.left)}, a drop of {self.max_dice_drop:g} "
            f"allowed ({self.frames} {kind} frames); back in float: "
            f"{', '.join(step.layer for step in self.steps) or 'nothing'}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRecord:
    """The method of an INT8 engine."""

    method: Method
    scale_frames: int
    """Frames that the ranges were taken from."""
    held_out: int = 0
    """Other frames of the calibration set, which the methods were compared on; 0: none were."""
    dice: Mapping[str, float] = field(default_factory=dict)
    """Method to the mean Dice between its masks and the FP32 network's, on the held-out frames."""
    restored: RestoreRecord | None = None
    """What went back to float to hold a budget of Dice; None where there was no budget."""

    def __str__(self) -> str:
        if not self.dice:
            return f"{self.method} over {self.scale_frames} frames"
        rest = ", ".join(f"{name} {dice:.4f}" for name, dice in self.dice.items())
        return (
            f"{self.method} over {self.scale_frames} frames, the best of four: Dice with the FP32 "
            f"masks of {self.held_out} others: {rest}"
        )
