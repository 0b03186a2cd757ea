"""Frames small enough for a report, and the contours to draw on them."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.benchmarks.result import Contours, Picture
from lightawnet_edge.data.pixels import UInt8, fit, fit_mask, opencv
from lightawnet_edge.specs import Size

_SIDE_PX = 400
"""Longer side in the report: sharp at the size that it is shown in, some 25 kB a frame."""
_JPEG_QUALITY = 80


def make_picture(
    name: str,
    frame: UInt8,
    truth: NDArray[np.bool_],
    masks: Mapping[str, NDArray[np.bool_]],
) -> Picture:
    """Shrink a frame and trace the masks on it.

    Args:
        name: Of the frame.
        frame: RGB, shape (H, W, 3).
        truth: Shape (H, W); True is foreground.
        masks: Record to mask; of any size that shows the whole frame.
    """
    size = _shrunk(Size(*frame.shape[:2]))
    return Picture(
        frame=name,
        width=size.width,
        height=size.height,
        jpeg=_jpeg(fit(frame, size)),
        truth=trace(truth, size),
        masks={record: trace(mask, size) for record, mask in masks.items()},
    )


def trace(mask: NDArray[np.bool_], size: Size) -> Contours:
    """Outlines of a mask at `size`, holes included: the border pixels that belong to it."""
    cv2 = opencv()
    pixels = fit_mask(mask, size).astype(np.uint8)
    lines, _ = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return tuple(tuple((int(x), int(y)) for x, y in line[:, 0]) for line in lines)


def _shrunk(size: Size) -> Size:
    ratio = min(1.0, _SIDE_PX / max(size.height, size.width))
    return Size(max(1, round(size.height * ratio)), max(1, round(size.width * ratio)))


def _jpeg(frame: UInt8) -> str:
    cv2 = opencv()
    _, data = cv2.imencode(".jpg", frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return base64.b64encode(data.tobytes()).decode("ascii")
