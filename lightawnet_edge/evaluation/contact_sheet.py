"""Frames on one sheet, each with the outlines of its truth and of its mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.benchmarks.pictures import trace
from lightawnet_edge.data.pixels import UInt8, fit, opencv
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import Size

TRUTH, PREDICTION = (86, 180, 233), (230, 159, 0)
"""Sky blue and orange of Okabe and Ito's palette, RGB: told apart by colour-blind readers, and
neither is a colour of the gut."""
_TILE = Size(208, 256)
_LABEL_PX = 20
_COLUMNS = 4
_QUALITIES = range(85, 20, -5)


@dataclass(frozen=True, slots=True)
class Cell:
    """A frame (H, W, 3) in RGB, its truth and its mask (H, W), and a word about it."""

    label: str
    frame: UInt8
    truth: NDArray[np.bool_]
    mask: NDArray[np.bool_]


def contact_sheet(tiles: Sequence[Cell], max_bytes: int = 150_000) -> bytes:
    """A JPEG with four tiles a row; its quality is lowered until it fits `max_bytes`.

    Raises:
        SpecError: There is no tile, or even the lowest quality does not fit.
    """
    if not tiles:
        raise SpecError("There is no frame to show.")
    cv2 = opencv()
    drawn = [_draw(tile) for tile in tiles]
    drawn += [np.full_like(drawn[0], 255)] * (-len(drawn) % _COLUMNS)
    rows = [np.hstack(drawn[i : i + _COLUMNS]) for i in range(0, len(drawn), _COLUMNS)]
    sheet = np.ascontiguousarray(np.vstack(rows)[:, :, ::-1])
    for quality in _QUALITIES:
        _, data = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if data.size <= max_bytes:
            return bytes(data.tobytes())
    raise SpecError(f"{len(tiles)} frames do not fit into {max_bytes} bytes. Show fewer.")


def _draw(tile: Cell) -> UInt8:
    """A frame in the middle of its tile, under its label."""
    cv2 = opencv()
    ratio = min(_TILE.height / tile.frame.shape[0], _TILE.width / tile.frame.shape[1])
    height, width = (max(1, round(ratio * side)) for side in tile.frame.shape[:2])
    picture = fit(tile.frame, Size(height, width)).copy()
    for mask, color in ((tile.truth, TRUTH), (tile.mask, PREDICTION)):
        lines = [np.array(line, np.int32) for line in trace(mask, Size(height, width))]
        cv2.drawContours(picture, lines, -1, color, 2)
    canvas = np.full((_TILE.height + _LABEL_PX, _TILE.width, 3), 255, np.uint8)
    top = _LABEL_PX + (_TILE.height - height) // 2
    left = (_TILE.width - width) // 2
    canvas[top : top + height, left : left + width] = picture
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(canvas, tile.label, (4, 14), font, 0.45, (34, 38, 43), 1, cv2.LINE_AA)
    return canvas
