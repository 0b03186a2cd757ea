"""When two frames are the same picture: equal pixels, or alike after re-encoding and resizing.

A print is small and says nothing of the patient beyond a 16x16 sketch of light and dark. It holds
the hash of the decoded pixels, and for the field of view the signs of 512 brightness differences.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.store import replace_file
from lightawnet_edge.codec import json_text, read_document
from lightawnet_edge.data.pixels import UInt8, opencv
from lightawnet_edge.errors import SpecError

SCHEMA = 1  # 1: first version. Say here what every later number changed.
PRINTS = "calibration.json"
"""File of a bundle with the prints of the frames that it was calibrated on."""
ALIKE = 0.78
"""Frames whose sketches agree at least so much show the same picture. Of PolypGen's 150 validation
and 1237 training frames, the four pairs that are known agree by 0.85 to 0.99, all others by at most
0.74; one frame agrees with itself by 0.81 after JPEG of quality 30, gamma 0.7, black borders, or
shrinking to 96 pixels."""

_SIDE = 16
_STEPS = 2 * _SIDE * _SIDE
_SKETCH = re.compile(f"[0-9a-f]{{{2 * _STEPS // 4}}}")
_FLAT = 1.0
"""Differences up to this many grey levels say nothing: noise decides their sign."""
_MIN_STEPS = 32
"""A sketch with fewer differences is a flat picture, which would be like any other."""
_ROWS = 512
"""Of agreements that are computed at once: 20 MB for 10,000 frames on the other side."""
_THUMB = 256
_DARK, _BRIGHT_SHARE = 0.25, 0.15
"""Black begins at this share of the frame's bright level; a row or column with fewer brighter
pixels lies outside the field of view. Text on black borders stays below it."""

Signs = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class FramePrint:
    """What a frame is recognized by."""

    stem: str
    pixels_sha256: str
    """Of shape and bytes of the decoded frame, at its own size."""
    sketch: str
    """Hexadecimal: 512 bits that say where brightness rises to the right, then downwards by more
    than one grey level in 16x16 cells; then 512 bits where it falls."""

    def __post_init__(self) -> None:
        if not _SKETCH.fullmatch(self.sketch):
            raise SpecError(f"the sketch of '{self.stem}' has not {2 * _STEPS} bits.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prints:
    """What a file of prints holds."""

    frames: tuple[FramePrint, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """A frame, and the one of the other side that it is most alike."""

    stem: str
    other: str
    agreement: float
    """Of the sketches, in [-1, 1]; 1 for equal pixels."""
    same_pixels: bool

    def __str__(self) -> str:
        how = "the same pixels" if self.same_pixels else f"alike by {self.agreement:.2f}"
        return f"'{self.stem}' ~ '{self.other}' ({how})"


def print_frame(stem: str, frame: UInt8) -> FramePrint:
    """Take the print of an RGB frame (H, W, 3) or a gray one (H, W), uint8."""
    pixels = hashlib.sha256(str(frame.shape).encode() + frame.tobytes()).hexdigest()
    steps = _steps(frame)
    signs = np.concatenate([steps > _FLAT, steps < -_FLAT])
    return FramePrint(stem, pixels, np.packbits(signs).tobytes().hex())


def agreements(first: Sequence[FramePrint], second: Sequence[FramePrint]) -> NDArray[np.float32]:
    """How far sketches agree, (len(first), len(second)): the cosine of their signs, in [-1, 1].

    A picture without contrast agrees with none, by 0.
    """
    found: NDArray[np.float32] = directions(first) @ directions(second).T
    return found


def agreement_rows(
    first: Sequence[FramePrint], second: Sequence[FramePrint]
) -> Iterator[NDArray[np.float32]]:
    """Rows of `agreements`, some of them in memory at a time."""
    columns = directions(second).T
    for start in range(0, len(first), _ROWS):
        yield from directions(first[start : start + _ROWS]) @ columns


def directions(prints: Sequence[FramePrint]) -> NDArray[np.float32]:
    """Signs -1, 0 and 1 of each sketch, scaled to length 1: shape (N, 512).

    Products of rows are agreements. The row of a picture without contrast is 0.
    """
    rows = np.array(list(_signs(prints)), np.float32).reshape(len(prints), _STEPS)
    counts = np.abs(rows).sum(1, keepdims=True)
    rows[counts[:, 0] < _MIN_STEPS] = 0
    scaled: NDArray[np.float32] = rows / np.sqrt(np.maximum(counts, 1))
    return scaled


def alike_to(prints: Sequence[FramePrint]) -> Callable[[int], NDArray[np.bool_]]:
    """From the index of a frame to those frames (N,) that show the same picture; itself, too."""
    pixels, sketches = np.array([one.pixels_sha256 for one in prints]), directions(prints)

    def alike(index: int) -> NDArray[np.bool_]:
        agreement = sketches @ sketches[index]
        same: NDArray[np.bool_] = pixels == pixels[index]
        found: NDArray[np.bool_] = np.logical_or(agreement >= ALIKE, same)
        return found

    return alike


def show_nothing(prints: Sequence[FramePrint]) -> NDArray[np.bool_]:
    """Which frames (N,) are black, white or of one colour: there is nothing in them to sketch."""
    found: NDArray[np.bool_] = np.logical_not(np.any(directions(prints), axis=1))
    return found


def find_matches(frames: Sequence[FramePrint], others: Sequence[FramePrint]) -> list[Match]:
    """Those of `frames` that show the same picture as one of `others`, each with the likest."""
    if not others:
        return []
    by_pixels = {other.pixels_sha256: other.stem for other in others}
    found = []
    for frame, row in zip(frames, agreement_rows(frames, others), strict=True):
        best = int(row.argmax())
        if (twin := by_pixels.get(frame.pixels_sha256)) is not None:
            found.append(Match(frame.stem, twin, 1.0, same_pixels=True))
        elif row[best] >= ALIKE:
            found.append(Match(frame.stem, others[best].stem, float(row[best]), same_pixels=False))
    return found


def field_of_view(gray: UInt8) -> tuple[slice, slice]:
    """Rows and columns of the picture (H, W) inside black borders; all of a black frame."""
    soft = opencv().blur(gray, (3, 3))
    bright = soft > max(8.0, _DARK * float(np.quantile(soft, 0.9)))
    rows, columns = (np.flatnonzero(bright.mean(axis) > _BRIGHT_SHARE) for axis in (1, 0))
    if not (rows.size and columns.size):
        return slice(0, gray.shape[0]), slice(0, gray.shape[1])
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def thumbnail(frame: UInt8) -> UInt8:
    """The frame with its long side stretched to 256 pixels."""
    cv2 = opencv()
    height, width = frame.shape[:2]
    scale = _THUMB / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, size, interpolation=how), dtype=np.uint8)


def write_prints(path: Path, prints: Sequence[FramePrint]) -> None:
    """Write prints to a JSON file, a frame a line."""
    lines = ",\n".join(f"  {json_text(one)}" for one in prints)
    replace_file(path, f'{{"schema": {SCHEMA}, "frames": [\n{lines}\n]}}\n'.encode())


def read_prints(path: Path, *, again: str = "Export the bundle again.") -> tuple[FramePrint, ...]:
    """Read what `write_prints` wrote.

    Args:
        path: The file.
        again: What to do about a file that cannot be read, in a sentence.

    Raises:
        ArtifactError: The file is missing, or is not such a file of this schema.
    """
    return read_document(Prints, path, schema=SCHEMA, again=again).frames


def _steps(frame: UInt8) -> NDArray[np.float32]:
    """The 512 differences of neighbouring cells, to the right and then down, in grey levels."""
    cv2 = opencv()
    small = thumbnail(frame)
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) if small.ndim == 3 else small
    view = gray[field_of_view(gray)].astype(np.float32)
    wide = cv2.resize(view, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA)
    tall = cv2.resize(view, (_SIDE, _SIDE + 1), interpolation=cv2.INTER_AREA)
    return np.concatenate([np.diff(wide, axis=1).ravel(), np.diff(tall, axis=0).ravel()])


def _signs(prints: Sequence[FramePrint]) -> Iterator[Signs]:
    for one in prints:
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(one.sketch), np.uint8)).astype(np.int8)
        yield bits[:_STEPS] - bits[_STEPS:]
