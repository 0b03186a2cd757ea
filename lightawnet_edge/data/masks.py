"""Reading a mask as it is, and refusing by name what has no one meaning as foreground and ground.

Foreground is white, or 1, in the depth that the file has: 1 bit, 8 or 16 bits, an array. Masks that
were compressed or resized once are read; label maps, colours and pictures are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.data.formats import NUMPY
from lightawnet_edge.data.images import FULL_16, Stored, check_upright, read_stored
from lightawnet_edge.data.pixels import Mask, UInt8, opencv
from lightawnet_edge.errors import ArtifactError

MASK_THRESHOLD = 127
"""Mask values above this are foreground: JPEG masks ring around 0 and 255."""
RINGING = 48
"""A mask value this close to 0 or 255 may be JPEG ringing: masks of Kvasir-SEG ring no further."""
MAX_BETWEEN = 0.02
"""Share of pixels that may lie between: soft edges of a mask that was resized once."""
MAX_LABELS = 8
"""A mask with this few levels is no photograph of a mask: levels between are labels."""
MAX_EDGE_PX = 9
"""A square of values between with this side is no edge but an area. No edge of Kvasir-SEG's 1000
masks fills one of 3."""
INVERTED_SHARE, INVERTED_BORDER = 0.6, 0.75
"""Over a set, foreground beyond this share of the pixels, and of those at the frames' border, is
likelier the ground: lesions of six data sets cover 7 to 24 %, and at most 1 % of the border."""

Values = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a mask is foreground."""

    area: float
    """Share of all pixels."""
    border: float
    """Share of the pixels at the frame's border."""


def read_mask(path: Path) -> Mask:
    """Read a mask (H, W); True is foreground.

    Raises:
        ArtifactError: The file is missing, cannot be decoded, or is not binary.
    """
    stored = read_stored(path)
    check_upright(path, stored.header)
    try:
        return _foreground(_one_channel(stored), lossy=stored.header.lossy)
    except ValueError as error:
        raise ArtifactError(
            f"Mask '{path}' is not binary: {error}. Save it as one channel of 0 and 255."
        ) from error


def extent(mask: Mask) -> Extent:
    """Measure how much of a mask (H, W) is foreground."""
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return Extent(float(mask.mean()), float(border.mean()))


def doubt_inverted(extents: Sequence[Extent]) -> str | None:
    """Say in words why masks look as if ground and foreground were exchanged, or None.

    One mask alone cannot tell: a lesion may fill the frame.
    """
    if len(extents) < 2:
        return None
    area = float(np.mean([one.area for one in extents]))
    border = float(np.mean([one.border for one in extents]))
    if area <= INVERTED_SHARE or border <= INVERTED_BORDER:
        return None
    return (
        f"foreground covers {area:.0%} of the masks, and {border:.0%} of their border: they look "
        "inverted. Foreground is white (255, or 1)"
    )


def _one_channel(stored: Stored) -> Values:
    """The channel that holds the mask, in the values of the file, (H, W).

    Raises:
        ValueError: Colours, transparency or numbers leave more than one reading.
    """
    pixels = _whole_numbers(stored.pixels) if stored.format == NUMPY else stored.pixels
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"its values are {pixels.dtype}")
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 4:
        alpha = pixels[:, :, 3]
        if (alpha != np.iinfo(pixels.dtype).max).any():
            return _alpha(pixels[:, :, :3], alpha)
    return _gray(pixels[:, :, :3], RINGING if stored.header.lossy else 0)


def _whole_numbers(values: NDArray[Any]) -> Values:
    """Values of an array file as 16-bit numbers; fractions of 1 become such of 255."""
    low, high = values.min(), values.max()
    if values.dtype.kind == "f" and low >= 0 and high <= 1 and (values != np.rint(values)).any():
        values = np.rint(values * 255)
    if low < 0 or high > FULL_16 or (values != np.rint(values)).any():
        raise ValueError(f"its values go from {low:g} to {high:g}, expected 0 and 1")
    return values.astype(np.uint16)


def _alpha(colours: Values, alpha: Values) -> Values:
    """The alpha channel, where all that can be seen has one colour, and that is not black."""
    seen = _distinct(colours[alpha > 0])
    if len(seen) > 1:
        raise ValueError("it holds a mask in its colours, and another in its alpha channel")
    if len(seen) == 1 and not seen.any():
        raise ValueError("it is black where it is not transparent: which of both is foreground?")
    return alpha


def _gray(colours: Values, tolerance: int) -> Values:
    blue, green, red = (colours[:, :, channel] for channel in range(3))
    spread = np.maximum(np.maximum(blue, green), red) - np.minimum(np.minimum(blue, green), red)
    if int(spread.max()) > tolerance:
        raise ValueError(_named(_distinct(colours.reshape(-1, 3))))
    return np.ascontiguousarray(green)


def _named(colours: Values) -> str:
    if len(colours) > MAX_LABELS:
        return f"it is a picture of {len(colours)} colours"
    names = ", ".join("#" + "".join(f"{value:02x}" for value in bgr[::-1]) for bgr in colours)
    return f"its colours are {names}, expected black and white"


def _distinct(colours: Values) -> Values:
    """The different colours among (N, 3)."""
    packed = np.zeros(len(colours), np.uint64)
    for channel in range(3):
        packed |= colours[:, channel].astype(np.uint64) << np.uint64(16 * channel)
    found = np.unique(packed)
    return np.stack(
        [found >> np.uint64(16 * channel) & np.uint64(FULL_16) for channel in range(3)], 1
    )


def _foreground(values: Values, *, lossy: bool) -> Mask:
    levels = np.flatnonzero(np.bincount(values.ravel())).tolist()
    if levels[-1] == 1 and not lossy:
        return np.asarray(values == 1)
    full = 255 if levels[-1] <= 255 else FULL_16
    if full == FULL_16:
        values = (values.astype(np.uint32) + 128) // 257
    steps = values.astype(np.uint8)
    if problem := _problem(steps, levels, full, lossy=lossy):
        raise ValueError(problem)
    return np.asarray(steps > MASK_THRESHOLD)


def _problem(steps: UInt8, levels: Sequence[int], full: int, *, lossy: bool) -> str | None:
    """Say what keeps a mask from being binary, or None; an empty mask is binary.

    JPEG masks ring, and resized ones have soft edges: values within RINGING of 0 and 255 pass, and
    so does a share of MAX_BETWEEN of the pixels between. A label map gives itself away by few
    levels, of which some lie between, or by more than two that no compression has changed.

    Args:
        steps: Its values in steps of 0..255, shape (H, W).
        levels: The different values of the file, ascending.
        full: The value of the file that is white.
        lossy: Whether values may ring where there are few levels, too.
    """
    if 0 < levels[-1] * 255 <= MASK_THRESHOLD * full:
        return f"its brightest value is {levels[-1]}, foreground is {full}"
    between = np.asarray((steps > RINGING) & (steps < 255 - RINGING))
    labels = not lossy and len(levels) > 1 and (len(levels) > 2 or levels[0] > 0)
    if len(levels) <= MAX_LABELS and (labels or between.any()):
        return f"its values are {', '.join(map(str, levels))}, expected 0 and {full}"
    if (share := float(between.mean())) > MAX_BETWEEN:
        return f"{share:.1%} of its values lie between {RINGING} and {255 - RINGING}"
    if share and _has_area(between):
        return f"an area of it has values between {RINGING} and {255 - RINGING}, as labels have"
    return None


def _has_area(between: Mask) -> bool:
    square = np.ones((MAX_EDGE_PX, MAX_EDGE_PX), np.uint8)
    return bool(opencv().erode(between.astype(np.uint8), square, borderValue=0).any())
