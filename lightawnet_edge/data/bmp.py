"""What the headers of a BMP say, and where in a pixel of 32 bits its colours lie."""

from __future__ import annotations

import struct

from lightawnet_edge.data.headers import CUT_OFF, Header

_COMPRESSION = 30
"""Place of the field in the file."""
_MASKS = 54
"""Place of the masks of red, green and blue, behind the first 40 bytes of the header or in it."""
_BITFIELDS = 3
_BGR = (0xFF0000, 0xFF00, 0xFF)
_WITH_ALPHA = 56
"""Bytes of the shortest header with a mask of alpha; of a shorter one OpenCV reads no mask."""


def bmp_header(data: bytes) -> Header:
    """Read both headers of a BMP; uncompressed pixels must all be there.

    Raises:
        ValueError: It is cut off, or OpenCV would take its bytes for other colours.
        struct.error: The bytes end early.
    """
    start, size = struct.unpack_from("<II", data, 10)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    stride = (width * bits + 31) // 32 * 4
    if compression in (0, _BITFIELDS) and start + stride * abs(height) > len(data):
        raise ValueError(CUT_OFF)
    if compression == _BITFIELDS and bits == 32:
        _check_masks(data, size)
    return Header(height=abs(height), width=width)


def without_filler(data: bytes) -> bytes:
    """Declare a BMP plain BGR whose fourth byte fills the pixel up; OpenCV takes it for alpha."""
    (size,) = struct.unpack_from("<I", data, 14)
    if size == 12 or size >= _WITH_ALPHA:
        return data
    bits, compression = struct.unpack_from("<HI", data, _COMPRESSION - 2)
    if (bits, compression) != (32, _BITFIELDS):
        return data
    return data[:_COMPRESSION] + bytes(4) + data[_COMPRESSION + 4 :]


def _check_masks(data: bytes, size: int) -> None:
    masks = struct.unpack_from("<III", data, _MASKS)
    whole_bytes = all(mask in {0xFF << shift for shift in (0, 8, 16, 24)} for mask in masks)
    if masks != _BGR and (size < _WITH_ALPHA or not whole_bytes):
        names = ", ".join(f"{mask:#x}" for mask in masks)
        raise ValueError(
            f"its colours lie in the bits {names} of a pixel, and 0xff0000, 0xff00, 0xff are read. "
            "Save it as PNG"
        )
