"""Image files made by hand, byte by byte: what no encoder at hand writes, or writes no longer."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

TURNED = 274
"""Number of the EXIF tag that holds the orientation."""


def encoded(suffix: str, pixels: NDArray[np.generic], *options: int) -> bytes:
    """A picture in a format that OpenCV writes."""
    done, data = cv2.imencode(suffix, pixels, list(options))
    assert done
    return data.tobytes()


def png(
    size: tuple[int, int],
    depth: int,
    colour: int,
    rows: Sequence[bytes],
    extra: Mapping[bytes, bytes] | None = None,
) -> bytes:
    """A PNG of (height, width); `colour` is 0 gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGBA."""
    header = struct.pack(">IIBBBBB", size[1], size[0], depth, colour, 0, 0, 0)
    chunks = {b"IHDR": header, **(extra or {})}
    chunks[b"IDAT"] = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks[b"IEND"] = b""
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, body) for name, body in chunks.items())


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a PNG with its checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def tiff(
    size: tuple[int, int], bits: int, data: bytes, tags: Mapping[int, int] | None = None
) -> bytes:
    """An uncompressed TIFF of one strip; gray, black is 0, unless `tags` say otherwise."""
    found = {
        256: size[1], 257: size[0], 258: bits, 259: 1, 262: 1, 273: 0, 277: 1, 278: size[0],
        279: len(data), **(tags or {}),
    }  # fmt: skip
    samples = found[277]
    depths = struct.pack(f"<{samples}H", *[bits] * samples)
    end = 8 + 2 + 12 * len(found) + 4
    found[273] = end + len(depths)
    directory = struct.pack("<H", len(found))
    for tag, value in sorted(found.items()):
        count, kind = (samples, 3) if tag == 258 else (1, 4)
        field = struct.pack("<I", value if tag != 258 or samples <= 2 else end)
        if tag == 258 and samples <= 2:
            field = depths.ljust(4, b"\0")
        directory += struct.pack("<HHI", tag, kind, count) + field
    return b"II*\0" + struct.pack("<I", 8) + directory + b"\0\0\0\0" + depths + data


def exif(orientation: int) -> bytes:
    """An EXIF block that says nothing but the orientation."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, TURNED, 3, 1, orientation, 0, 0)


def turned_jpeg(pixels: NDArray[np.uint8], orientation: int) -> bytes:
    """A JPEG whose file says how to turn it."""
    block = b"Exif\0\0" + exif(orientation)
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    data = encoded(".jpg", pixels, cv2.IMWRITE_JPEG_QUALITY, 100)
    return data[:2] + segment + data[2:]


def animation(suffix: str, count: int) -> bytes:
    """Gray pictures that get lighter, in one file."""
    moving = cv2.Animation()
    moving.frames = [np.full((8, 8, 3), 60 * index, np.uint8) for index in range(count)]
    moving.durations = [100] * count
    done, data = cv2.imencodeanimation(suffix, moving)
    assert done
    return data.tobytes()
