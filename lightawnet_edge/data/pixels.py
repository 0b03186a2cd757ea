"""Arrays of pixels: brought into a colour order, turned, and fitted to a size, with OpenCV."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.errors import BackendUnavailableError
from lightawnet_edge.specs import ColorOrder, Size

UInt8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]
"""Shape (H, W); True is foreground."""


def opencv() -> Any:
    """Import OpenCV on demand.

    Raises:
        BackendUnavailableError: OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise BackendUnavailableError(
            "opencv", f"{error}. Install it: pip install 'lightawnet-edge[media]'"
        ) from error
    return cv2


def in_order(pixels: UInt8, color: ColorOrder) -> UInt8:
    """Bring gray (H, W) or BGR (H, W, 3) pixels into a colour order; GRAY is the luma.

    NV12 and YUY2 are made of RGB (`data/yuv.py`), which is given for them.
    """
    if color is ColorOrder.GRAY:
        gray = pixels if pixels.ndim == 2 else opencv().cvtColor(pixels, opencv().COLOR_BGR2GRAY)
        return np.ascontiguousarray(gray, dtype=np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    return np.ascontiguousarray(pixels if color is ColorOrder.BGR else pixels[:, :, ::-1])


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn stored pixels (H, W, ...) as EXIF's orientation, 1 to 8, says.

    References:
        CIPA DC-008, "Exchangeable image file format for digital still cameras", 4.6.4 A.
    """
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return pixels[::rows, ::columns]


def fit(frame: UInt8, size: Size) -> UInt8:
    """Stretch a frame (H, W) or (H, W, 3) to `size`, as a scaler before the device would."""
    if frame.shape[:2] == (size.height, size.width):
        return frame
    cv2 = opencv()
    shrinking = frame.shape[0] >= size.height and frame.shape[1] >= size.width
    how = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    stretched = cv2.resize(frame, (size.width, size.height), interpolation=how)
    return np.ascontiguousarray(stretched, dtype=np.uint8)


def fit_mask(mask: Mask, size: Size) -> Mask:
    """Stretch a mask (H, W) to `size`; a pixel takes the value of the nearest one."""
    if mask.shape == (size.height, size.width):
        return mask
    cv2 = opencv()
    values = cv2.resize(
        mask.astype(np.uint8), (size.width, size.height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return np.asarray(values, dtype=np.bool_)
