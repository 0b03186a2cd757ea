"""What the container of a video says of its own length in bytes: the evidence that it was cut.

The number of frames that a container announces is none: it is an estimate where the frame rate
varies, counts what an edit list hides, and lacks in streams.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from lightawnet_edge.data.formats import format_of


def missing_bytes(path: Path) -> int:
    """How many bytes a file lacks of those that its container announces; 0 where it says nothing.

    Raises:
        OSError: The file cannot be read.
    """
    found = format_of(path)
    measure = _MEASURES.get(found.name) if found else None
    if measure is None:
        return 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            return max(0, measure(file, size) - size)
        except (struct.error, IndexError):  # a header that ends early is the decoder's matter
            return 0


def _riff_end(file: BinaryIO, size: int) -> int:
    """Where the last RIFF list of an AVI ends; long ones have several, of a gigabyte each."""
    end = 0
    while end + 8 <= size:
        file.seek(end)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF":
            break
        end += 8 + length + length % 2
    return end


def _matroska_end(file: BinaryIO, _: int) -> int:
    """Where the segment of a Matroska ends; 0 for one that was written as it came."""
    head = file.read(4096)
    at = 4  # after the identifier of the EBML header
    length, at = _variable(head, at)
    at += length + 4
    length, start = _variable(head, at)
    unknown = (1 << 7 * (start - at)) - 1
    return 0 if length == unknown else start + length


def _variable(data: bytes, at: int) -> tuple[int, int]:
    """An EBML number of variable length, and where the next byte stands."""
    width = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + width], "big")
    return value & ((1 << 7 * width) - 1), at + width


def _mp4_end(file: BinaryIO, size: int) -> int:
    """Where the boxes of an MP4 end; one may go on to the end of the file, wherever that is."""
    end = 0
    while end + 8 <= size:
        file.seek(end)
        (length,) = struct.unpack(">I4x", file.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        if length < 8:
            return size
        end += length
    return end


_MEASURES: Mapping[str, Callable[[BinaryIO, int], int]] = {
    "AVI": _riff_end,
    "Matroska": _matroska_end,
    "MP4": _mp4_end,
}
