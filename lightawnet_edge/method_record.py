"""How the ranges of INT8 activations were found, and what the choice rests on; a manifest holds it.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lightawnet_edge.specs import Method


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

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they stand in the manifest."""
        return {**asdict(self), "method": str(self.method)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MethodRecord:
        """Inverse of `to_json`."""
        return cls(**{**data, "method": Method(data["method"])})

    def __str__(self) -> str:
        if not self.dice:
            return f"{self.method} over {self.scale_frames} frames"
        rest = ", ".join(f"{name} {dice:.4f}" for name, dice in self.dice.items())
        return (
            f"{self.method} over {self.scale_frames} frames, the best of four: Dice with the FP32 "
            f"masks of {self.held_out} others: {rest}"
        )
