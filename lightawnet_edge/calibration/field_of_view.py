"""Where the picture lies in a camera's frames: without the black border and the text on it."""

from __future__ import annotations

from functools import partial

import numpy as np

from lightawnet_edge.data.frameset import FrameFile, FrameSet, read_each
from lightawnet_edge.data.pixels import Mask, opencv
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import ColorOrder, Region, Size

_BLUR_PX = 5
"""Noise of a black border is averaged away."""
_BLACK, _DARK = 16, 0.12
"""What is brighter than this level, and than this share of the frame's bright level, is lit: a
border of limited range is at 16, and a scope's rim is darker than its middle."""
_FRAMES = 0.1
"""Share of the frames in which a pixel of the picture is lit. Some are dark, and some show a menu
where others are black."""
_STROKES = 24
"""A frame's shorter side over the width of a stroke of text: those of the largest overlays are
thinner, and a field of view never is."""
_LEAST = 0.1
"""Share of the frame that a field of view covers; less is a logo, or a second picture."""
_WHOLE = 0.98
"""A picture that reaches over so much of both sides fills its frame."""


def propose_crop(frames: FrameSet, camera: Size) -> Region | None:
    """The region of a camera's frame that holds the picture of all frames; None: it fills them.

    A pixel counts that is lit in a tenth of the frames; strokes are taken away, and of what is left
    the largest connected part is the field of view. Sides are even, so that the region fits all
    layouts of frames.

    Raises:
        SpecError: A frame is not of the camera's size, or there is no field of view.
        ArtifactError: A frame cannot be read.
    """
    counts = np.zeros((camera.height, camera.width), np.int32)
    for lit in read_each(frames.files, partial(_lit, camera)):
        counts += lit
    region = find_picture(counts >= max(1.0, _FRAMES * len(frames)))
    if region is None:
        raise SpecError(
            f"--crop auto finds no field of view in the {len(frames)} frames of "
            f"'{frames.folder}': they are black, or what is lit is small. Give others with "
            "--calibration, or the region itself: --crop X,Y,WIDTH,HEIGHT."
        )
    fills = region.width >= _WHOLE * camera.width and region.height >= _WHOLE * camera.height
    return None if fills else region


def find_picture(lit: Mask) -> Region | None:
    """The box around the largest part of what is lit, text apart; None where there is no picture.

    Args:
        lit: Shape (H, W).
    """
    solid = _without_strokes(lit).astype(np.uint8)
    _, _, parts, _ = opencv().connectedComponentsWithStats(solid)
    left, top, width, height, area = max(parts[1:].tolist(), key=_area, default=(0,) * 5)
    if area < _LEAST * lit.size:
        return None
    x, y = left // 2 * 2, top // 2 * 2
    right, bottom = left + width, top + height
    return Region(
        x,
        y,
        min(right + right % 2, lit.shape[1]) - x,
        min(bottom + bottom % 2, lit.shape[0]) - y,
    )


def _without_strokes(lit: Mask) -> Mask:
    """What discs cover that fit into the lit part: an opening, as fast for large discs as small."""
    cv2 = opencv()
    radius = min(lit.shape) / _STROKES / 2
    framed = np.pad(lit.astype(np.uint8), 1)  # beyond the frame it is dark
    centres = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) > radius
    if not centres.any():
        return np.zeros_like(lit)
    away = cv2.distanceTransform((~centres).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away[1:-1, 1:-1] <= radius)


def _area(part: list[int]) -> int:
    return part[4]


def _lit(camera: Size, file: FrameFile) -> Mask:
    """Pixels of a frame that are brighter than its border."""
    gray = file.read(ColorOrder.GRAY)
    if gray.shape != (camera.height, camera.width):
        raise SpecError(
            f"--crop auto measures frames as the camera gives them: '{file.image}' is "
            f"{Size(*gray.shape)}, --frame is {camera}. Give frames of that size with "
            "--calibration, or the region itself: --crop X,Y,WIDTH,HEIGHT."
        )
    soft = opencv().blur(gray, (_BLUR_PX, _BLUR_PX))
    return np.asarray(soft > max(_BLACK, _DARK * float(np.quantile(soft, 0.9))))
