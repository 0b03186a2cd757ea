"""What the header of an image says: size, number of pictures, orientation. Nothing is decoded.

A parser raises ValueError with what is wrong in words, or struct.error where the bytes end early.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lightawnet_edge.data.exif import exif_orientation

CUT_OFF = "it is cut off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What can be known of a picture before it is decoded."""

    height: int
    """Pixels, as they are stored."""
    width: int
    pictures: int = 1
    """Pictures in the file: frames of an animation, pages."""
    orientation: int = 1
    """How the stored pixels have to be turned to stand upright, as EXIF counts: 1 is not at all."""
    lossy: bool = False
    """Whether values may have changed a little when the file was written."""


def gif_header(data: bytes) -> Header:
    """Count the pictures of a GIF up to its trailer."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at, pictures = 13 + _colours(flags), 0
    while (block := data[at : at + 1]) != b";":
        if block == b",":
            pictures += 1
            (flags,) = struct.unpack_from("B", data, at + 9)
            at += 10 + _colours(flags) + 1
        elif block == b"!":
            at += 2
        else:
            raise ValueError("its blocks do not follow each other" if block else CUT_OFF)
        while (size := struct.unpack_from("B", data, at)[0]) > 0:
            at += 1 + size
        at += 1
    return Header(height=height, width=width, pictures=pictures)


def _colours(flags: int) -> int:
    """Bytes of the colour table that these flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def webp_header(data: bytes) -> Header:
    """Walk the chunks of a WebP."""
    (length,) = struct.unpack_from("<I", data, 4)
    if 8 + length > len(data):
        raise ValueError(CUT_OFF)
    size, pictures, orientation, lossy = (0, 0), 0, 1, False
    at = 12
    while at + 8 <= 8 + length:
        name, count = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + count]
        if name in (b"VP8X", b"VP8 ", b"VP8L") and size == (0, 0):
            size = _webp_size(name, body)
        pictures += name == b"ANMF"
        lossy |= name == b"VP8 "
        if name == b"EXIF":
            orientation = exif_orientation(body)
        at += 8 + count + count % 2
    return Header(
        height=size[0],
        width=size[1],
        pictures=max(pictures, 1),
        orientation=orientation,
        lossy=lossy,
    )


def _webp_size(name: bytes, body: bytes) -> tuple[int, int]:
    if name == b"VP8X":
        width, width_high, height, height_high = struct.unpack_from("<HBHB", body, 4)
        return 1 + (height | height_high << 16), 1 + (width | width_high << 16)
    if name == b"VP8 ":
        width, height = struct.unpack_from("<HH", body, 6)
        return height & 0x3FFF, width & 0x3FFF
    (bits,) = struct.unpack_from("<I", body, 1)
    return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
