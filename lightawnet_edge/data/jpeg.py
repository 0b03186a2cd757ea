"""What the markers of a JPEG say: its size, orientation, and whether all of its scans are there."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from lightawnet_edge.data.exif import exif_orientation, mpf_pictures
from lightawnet_edge.data.headers import CUT_OFF, Header

_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_NEXT_SEGMENT = re.compile(rb"\xff+([\x02-\xcf\xd8-\xfe])")
"""After a scan's data, which hold FF 00 and restart markers themselves."""
_SOI, _EOI, _SOS, _APP1, _APP2, _SOF2 = 0xD8, 0xD9, 0xDA, 0xE1, 0xE2, 0xC2
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that begin a frame: baseline, progressive and so on; not tables."""


def jpeg_header(data: bytes) -> Header:
    """Walk the markers of a JPEG up to its end marker; data within scans are the decoder's matter.

    Raises:
        ValueError: It is cut off, holds no picture or one that is not read.
        struct.error: A segment ends early.
    """
    size, orientation, pictures, progress = None, 1, 1, _Progress()
    for marker, segment in _segments(data):
        if marker in _FRAMES and size is None:
            size = _frame_size(segment)
            progress.begin(segment, progressive=marker == _SOF2)
        elif marker == _APP1 and segment.startswith(b"Exif\0\0"):
            orientation = exif_orientation(segment)
        elif marker == _APP2 and segment.startswith(b"MPF\0"):
            pictures = mpf_pictures(segment)
        elif marker == _SOS:
            progress.add(segment)
    if size is None:
        raise ValueError("it holds no picture")
    if progress.is_partial:
        raise ValueError(f"{CUT_OFF}: scans of a channel or of finer detail are missing")
    return Header(
        height=size[0], width=size[1], pictures=pictures, orientation=orientation, lossy=True
    )


def _frame_size(segment: bytes) -> tuple[int, int]:
    precision, height, width, components = struct.unpack_from(">BHHB", segment)
    if precision != 8:
        raise ValueError(f"its values have {precision} bits, and JPEG of 8 bits is read")
    if components == 4:
        raise ValueError("its colours are CMYK, made for printing; RGB is read")
    return height, width


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers with what follows them, up to the end marker."""
    at = 2
    pattern = _MARKER
    while found := pattern.search(data, at):
        marker = found[1][0]
        if marker == _EOI:
            return
        (length,) = struct.unpack_from(">H", data, found.end())
        at = found.end() + length
        if at > len(data):
            break
        yield marker, data[found.end() + 2 : at]
        pattern = _NEXT_SEGMENT if marker == _SOS else _MARKER
    raise ValueError(f"{CUT_OFF} before its end marker")


class _Progress:
    """Which coefficients of which channels the scans have not given to their last bit."""

    def __init__(self) -> None:
        self._missing = dict[int, list[bool]]()
        self._is_progressive = False

    def begin(self, segment: bytes, *, progressive: bool) -> None:
        """Take a frame's segment; only a progressive frame has several scans of a channel."""
        self._is_progressive = progressive
        self._missing = {number: [True] * 64 for number in segment[6 : 6 + 3 * segment[5] : 3]}

    def add(self, segment: bytes) -> None:
        """Take the segment that begins a scan."""
        (count,) = struct.unpack_from("B", segment)
        first, last, bits = struct.unpack_from("BBB", segment, 1 + 2 * count)
        if not self._is_progressive:
            first, last, bits = 0, 63, 0
        for component in segment[1 : 1 + 2 * count : 2]:
            if component in self._missing:
                for index in range(first, min(last, 63) + 1):
                    self._missing[component][index] = bool(bits & 15)

    @property
    def is_partial(self) -> bool:
        """Whether a coefficient has not got its last bit."""
        return any(any(missing) for missing in self._missing.values())
