"""YUV and RGB: the numbers that turn one into the other, and frames as a YUV camera gives them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.camera import Camera
from lightawnet_edge.data.pixels import UInt8, fit
from lightawnet_edge.specs import ColorOrder, Matrix, Range, Yuv

_LUMA = {Matrix.BT601: (0.299, 0.114), Matrix.BT709: (0.2126, 0.0722)}
"""Weights of red and blue in the luma; green has the rest. ITU-R BT.601-7 2.5.1, BT.709-6 3.2."""
_BLACK = {Range.LIMITED: 16.0, Range.FULL: 0.0}
_SPAN = {Range.LIMITED: (219.0, 224.0), Range.FULL: (255.0, 255.0)}
"""Steps from black to white, and from the one end of a colour difference to the other."""
_NEUTRAL = 128.0

Floats = NDArray[np.float64]


def rgb_from(yuv: Yuv) -> tuple[Floats, Floats]:
    """Matrix (3, 3) and offset (3,) that give RGB in [0, 1] as `matrix @ (yuv - offset)`.

    `yuv` are values from 0 to 255. What a camera gives beyond black or white leaves [0, 1].
    """
    red, blue = _LUMA[yuv.matrix]
    green = 1 - red - blue
    luma, chroma = _SPAN[yuv.range]
    u, v = 2 * (1 - blue), 2 * (1 - red)
    matrix = np.array([[1, 0, v], [1, -u * blue / green, -v * red / green], [1, u, 0]])
    return matrix / (luma, chroma, chroma), np.array([_BLACK[yuv.range], _NEUTRAL, _NEUTRAL])


def seen_by(camera: Camera, picture: UInt8) -> UInt8:
    """A frame as a camera gives it of a picture.

    Args:
        camera: What gives the frame.
        picture: RGB, BGR or gray pixels in the camera's order, or RGB for NV12 and YUY2; it is
            stretched to the camera's size.
    """
    fitted = fit(picture, camera.size)
    return fitted if camera.yuv is None else _to_yuv(fitted, camera)


def _to_yuv(rgb: UInt8, camera: Camera) -> UInt8:
    """Luma of each pixel, and the mean colour difference of those that share one; rounded."""
    assert camera.yuv is not None
    assert camera.color.chroma is not None
    matrix, offset = rgb_from(camera.yuv)
    values = rgb.astype(np.float32) / 255 @ np.linalg.inv(matrix).T.astype(np.float32)
    values += offset.astype(np.float32)
    height, width = camera.size.height, camera.size.width
    rows, columns = camera.color.chroma
    blocks = values[:, :, 1:].reshape(height // rows, rows, width // columns, columns, 2)
    luma, chroma = _bytes(values[:, :, 0]), _bytes(blocks.mean((1, 3)))
    chroma = chroma.reshape(height // rows, width)  # U and V in turn
    if camera.color is ColorOrder.NV12:
        return np.concatenate([luma, chroma])
    return np.stack([luma, chroma], axis=2)


def _bytes(values: NDArray[np.floating]) -> UInt8:
    return np.asarray(np.rint(values.clip(0, 255)), dtype=np.uint8)
