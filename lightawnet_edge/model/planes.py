"""From a frame's bytes to planes that can be resized, and from resized planes to colours, in torch.

Planes of YUV frames are resized first and become RGB at the network's size, where that costs
nothing. Both are linear; only what lies beyond black or white, and is cut off there, could tell.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lightawnet_edge.data.yuv import rgb_from
from lightawnet_edge.specs import ColorOrder, Region, Yuv


def bytes_of(frame: Tensor, color: ColorOrder, crop: Region | None) -> list[Tensor]:
    """The region of a frame as its values lie: (H, W, C), or (H, W) for one value a place.

    NV12 and YUY2 give two: luma, and U and V, of which a place stands for all pixels that share it.

    Args:
        frame: Of the shape of the frame.
        color: Of the frame.
        crop: None: all of the frame.
    """
    match color:
        case ColorOrder.NV12:
            height, width = 2 * frame.shape[0] // 3, frame.shape[1]
            luma, chroma = frame[:height], frame[height:].reshape(height // 2, width // 2, 2)
        case ColorOrder.YUY2:
            luma, chroma = frame[:, :, 0], frame[:, :, 1].reshape(frame.shape[0], -1, 2)
        case _:
            return [_cut(frame, crop)]
    assert color.chroma is not None
    rows, columns = color.chroma
    shared = crop and Region(
        crop.x // columns, crop.y // rows, crop.width // columns, crop.height // rows
    )
    return [_cut(luma, crop), _cut(chroma, shared)]


def planes(frame: Tensor, color: ColorOrder, crop: Region | None) -> list[Tensor]:
    """Planes (1, C, H, W) of the region of a frame, all of one height and width.

    Those of RGB and BGR are in the frame's order. NV12 and YUY2 give two: luma, and U and V, each
    value of which stands for all pixels that share it, as in OpenCV and libyuv.

    Args:
        frame: Float values from 0 to 255, of the shape of the frame.
        color: Of the frame.
        crop: None: all of the frame.
    """
    first, *others = (_plane(part) for part in bytes_of(frame, color, crop))
    if color.chroma is None:
        return [first]
    factors = tuple(float(factor) for factor in color.chroma)
    return [first, *(F.interpolate(x, scale_factor=factors, mode="nearest") for x in others)]


def _cut(x: Tensor, crop: Region | None) -> Tensor:
    return x if crop is None else x[crop.slices]


def _plane(part: Tensor) -> Tensor:
    return part[None, None] if part.ndim == 2 else part.permute(2, 0, 1)[None]


def to_rgb(x: Tensor, yuv: Yuv) -> Tensor:
    """RGB (1, 3, H, W) in [0, 1] of YUV values, which are from 0 to 1, too.

    What lies beyond black or white is cut off.
    """
    matrix, offset = rgb_from(yuv)
    y, u, v = (x[:, channel] for channel in range(3))
    rows = []
    for (of_y, of_u, of_v), shift in zip(
        (255 * matrix).tolist(), (matrix @ offset).tolist(), strict=True
    ):
        row = y * of_y - shift
        for weight, value in ((of_u, u), (of_v, v)):
            if weight:
                row = row + value * weight
        rows.append(row)
    return torch.stack(rows, dim=1).clamp(0, 1)
