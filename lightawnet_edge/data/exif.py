"""TIFF directories, which EXIF uses, too: what they say of the first picture, and their number."""

from __future__ import annotations

import struct
from collections.abc import Mapping

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIPS, ORIENTATION, SAMPLES = (
    256, 257, 258, 259, 262, 273, 274, 277,
)  # fmt: skip
STRIP_ROWS, PLANAR, SAMPLE_FORMAT, PICTURES = 278, 284, 339, 0xB001
_WANTED = frozenset({
    WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIPS, ORIENTATION, SAMPLES,
    STRIP_ROWS, PLANAR, SAMPLE_FORMAT, PICTURES,
})  # fmt: skip
"""Numbers of the tags that are read."""
_TYPES = {1: "B", 3: "H", 4: "I"}
"""Types that these tags may have."""
_MAX_DIRECTORIES = 10_000
_MAX_VALUES = 65_536
"""Strips of one row each, of three channels of the highest picture, are fewer."""

Tags = Mapping[int, tuple[int, ...]]


def directories(data: bytes) -> tuple[Tags, int]:
    """Tags of the first directory, and the number of directories.

    Raises:
        ValueError: This is no TIFF of 32 bits, or its directories make a circle.
        struct.error: The bytes end early.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        raise ValueError("it is a BigTIFF, and only TIFF is read")
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    first, count = _tags(data, at, order), 0
    while at:
        count += 1
        if count > _MAX_DIRECTORIES:
            raise ValueError("its directories make a circle")
        (entries,) = struct.unpack_from(f"{order}H", data, at)
        (at,) = struct.unpack_from(f"{order}I", data, at + 2 + 12 * entries)
    return first, count


def exif_orientation(block: bytes) -> int:
    """Orientation of an EXIF block, 1 to 8; 1 where it says nothing that makes sense."""
    try:
        return orientation_of(directories(block.removeprefix(b"Exif\0\0"))[0])
    except (ValueError, struct.error):
        return 1


def mpf_pictures(block: bytes) -> int:
    """Pictures that a multi-picture block of a JPEG announces; 1 where it makes no sense.

    References:
        CIPA DC-007, "Multi-Picture Format", 5.2.2.
    """
    try:
        return directories(block.removeprefix(b"MPF\0"))[0].get(PICTURES, (1,))[0]
    except (ValueError, struct.error):
        return 1


def orientation_of(tags: Tags) -> int:
    """The orientation among these tags, 1 to 8; 1 where there is none that makes sense."""
    found = tags.get(ORIENTATION, (1,))[0]
    return found if 1 <= found <= 8 else 1


def _tags(data: bytes, at: int, order: str) -> Tags:
    (entries,) = struct.unpack_from(f"{order}H", data, at)
    found = {}
    for index in range(entries):
        entry = at + 2 + 12 * index
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, entry)
        if tag not in _WANTED or kind not in _TYPES or not 1 <= count <= _MAX_VALUES:
            continue
        layout = f"{order}{count}{_TYPES[kind]}"
        where = entry + 8
        if struct.calcsize(layout) > 4:
            (where,) = struct.unpack_from(f"{order}I", data, where)
        found[tag] = struct.unpack_from(layout, data, where)
    return found
