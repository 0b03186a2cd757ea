"""What goes into an engine and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightawnet_edge.specs import ColorOrder, Normalization, Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What goes into an engine and what comes out."""

    frame: Size
    """Size of the camera frame (input `frame`) and of the output `mask`, both uint8."""
    color: ColorOrder
    """Channel order of the frame: (H, W, 3), or (H, W) for gray."""
    network: Size
    """Size that the network works at; size of the output `probability` (float32)."""
    normalization: Normalization
    threshold: float
    """A pixel is foreground (255) where its probability is at least this."""
    probability: bool
    """Whether the engine has the output `probability`."""

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of one frame as a numpy array."""
        size = (self.frame.height, self.frame.width)
        return size if self.color is ColorOrder.GRAY else (*size, 3)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they stand in the manifest."""
        mask = [self.frame.height, self.frame.width]
        outputs: dict[str, Any] = {"mask": {"shape": mask, "dtype": "uint8", "values": [0, 255]}}
        if self.probability:
            shape = [self.network.height, self.network.width]
            outputs["probability"] = {"shape": shape, "dtype": "float32"}
        return {
            "input": {
                "name": "frame",
                "shape": list(self.frame_shape),
                "dtype": "uint8",
                "color": str(self.color),
            },
            "outputs": outputs,
            "network": str(self.network),
            "normalization": self.normalization.to_json(),
            "threshold": self.threshold,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Contract:
        """Inverse of `to_json`."""
        shape = data["input"]["shape"]
        return cls(
            frame=Size(shape[0], shape[1]),
            color=ColorOrder(data["input"]["color"]),
            network=Size.parse(data["network"]),
            normalization=Normalization.from_json(data["normalization"]),
            threshold=float(data["threshold"]),
            probability="probability" in data["outputs"],
        )
