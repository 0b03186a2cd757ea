"""What the numbers of an engine tell of its health: two checks for every frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.specs import ColorOrder

_ROUNDING = 1e-6
"""ONNX Runtime's sigmoid gives 1.0000001 where a network is very sure."""
_PARTS = 16
"""Frames are compared by parts: of two that differ, mostly the first tells."""


def plausible(probability: NDArray[np.float32]) -> bool:
    """Whether all values are within 0 and 1, up to their rounding; NaN is not."""
    return bool(probability.min() >= -_ROUNDING and probability.max() <= 1 + _ROUNDING)


class Repeats:
    """Notices probabilities that are those of the frame before, though that was another.

    Masks tell nothing: those of two frames without a lesion are equal.
    """

    def __init__(self, contract: Contract) -> None:
        """Compare what the network sees of frames: a clock beside the picture may tick."""
        self._contract = contract
        self._last: tuple[NDArray[np.uint8], NDArray[np.float32]] | None = None

    def __call__(self, frame: NDArray[np.uint8], probability: NDArray[np.float32]) -> bool:
        """Whether the bits are those of the last call's, of another frame; keeps both arrays."""
        last, self._last = self._last, (frame, probability)
        if last is None or last[1].tobytes() != probability.tobytes():
            return False
        return self._differ(last[0], frame)

    def forget(self) -> None:
        """Begin anew, with another engine."""
        self._last = None

    def _differ(self, before: NDArray[np.uint8], frame: NDArray[np.uint8]) -> bool:
        pairs = zip(self._seen(before), self._seen(frame), strict=True)
        return any(
            not np.array_equal(a, b)
            for one, other in pairs
            for a, b in zip(_parts(one), _parts(other), strict=True)
        )

    def _seen(self, frame: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        """The planes of a frame, or those parts of them that go through the network."""
        crop, height = self._contract.crop, self._contract.frame.height
        if self._contract.color is not ColorOrder.NV12:
            return [frame if crop is None else frame[crop.slices]]
        luma, chroma = frame[:height], frame[height:]
        if crop is None:
            return [luma, chroma]
        rows, columns = crop.slices
        return [luma[crop.slices], chroma[rows.start // 2 : rows.stop // 2, columns]]


def _parts(plane: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return np.array_split(plane, _PARTS)
