"""What the chunks of a PNG say: its size, and what its palette and its transparent colour mean."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.data.exif import exif_orientation
from lightawnet_edge.data.headers import CUT_OFF, Header

_START = b"\x89PNG\r\n\x1a\n"
_GRAY, _PALETTE = 0, 3
_DEPTH, _COLOUR = 8, 9
"""Places of bits per value and of the kind of colours in the header's chunk."""


def png_header(data: bytes) -> Header:
    """Walk the chunks of a PNG; those that pixels depend on are held against their checksums.

    Raises:
        ValueError: It is damaged, or holds no picture.
        struct.error: The bytes end early.
    """
    chunks = _first(_chunks(data))
    if b"IHDR" not in chunks or b"IDAT" not in chunks:
        raise ValueError("it holds no picture")
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    pictures = struct.unpack_from(">I", chunks[b"acTL"])[0] if b"acTL" in chunks else 1
    return Header(
        height=height,
        width=width,
        pictures=pictures,
        orientation=exif_orientation(chunks.get(b"eXIf", b"")),
    )


def check_palette(data: bytes, decode: Callable[[bytes], NDArray[Any]]) -> None:
    """Refuse pixels whose colour the palette does not hold; OpenCV makes them black.

    Args:
        data: A PNG that `png_header` takes.
        decode: Decodes a PNG: here the same one, as gray values, which are the numbers of colours.

    Raises:
        ValueError: There is such a pixel.
    """
    chunks = _before_pixels(data)
    header, colours = chunks[b"IHDR"], len(chunks.get(b"PLTE", b"")) // 3
    depth = header[_DEPTH]
    if header[_COLOUR] != _PALETTE or depth > 8 or colours >= 1 << depth:
        return
    header = header[:_COLOUR] + bytes((_GRAY,)) + header[_COLOUR + 1 :]
    gray = b"".join(
        _chunk(name, header if name == b"IHDR" else body)
        for name, body in _chunks(data)
        if name in (b"IHDR", b"IDAT", b"IEND")
    )
    highest = int(decode(_START + gray).max()) * ((1 << depth) - 1) // 255
    if highest >= colours:
        raise ValueError(
            f"it is damaged: its palette has {colours} colours, and a pixel has number {highest}"
        )


def with_transparency(data: bytes, pixels: NDArray[Any]) -> NDArray[Any]:
    """Give gray pixels (H, W) the alpha channel, as BGRA, that a transparent gray means.

    OpenCV does so for colours and palettes, and leaves out the transparent one among grays.
    """
    chunks = _before_pixels(data)
    header = chunks[b"IHDR"]
    if b"tRNS" not in chunks or header[_COLOUR] != _GRAY or pixels.ndim != 2:
        return pixels
    (clear,) = struct.unpack_from(">H", chunks[b"tRNS"])
    depth, full = header[_DEPTH], np.iinfo(pixels.dtype).max
    if depth < 8:
        clear = clear * 255 // ((1 << depth) - 1)
    alpha = np.where(pixels == clear, 0, full).astype(pixels.dtype)
    return np.dstack([pixels, pixels, pixels, alpha])


def _before_pixels(data: bytes) -> Mapping[bytes, bytes]:
    return _first(takewhile(lambda chunk: chunk[0] != b"IDAT", _chunks(data)))


def _first(chunks: Iterable[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    """The first chunk of each name."""
    found = dict[bytes, bytes]()
    for name, body in chunks:
        found.setdefault(name, body)
    return found


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, name = len(_START), b""
    while name != b"IEND":
        if at + 12 > len(data):
            raise ValueError(CUT_OFF)
        length, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        (stored,) = struct.unpack_from(">I", data, at + 8 + length)
        critical = name[:1].isupper()
        if critical and zlib.crc32(body, zlib.crc32(name)) != stored:
            raise ValueError(f"the checksum of its part {name.decode('latin-1')} does not fit")
        yield name, body
        at += 12 + length


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
