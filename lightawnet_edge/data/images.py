"""Reading an image as it is: what its bytes say counts, and each that would be misread is refused.

A file is refused by name where it is damaged, holds several pictures, or pixels that have no one
meaning as a frame of 8 bits. No decoder sees a file before its header has been looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.data import formats
from lightawnet_edge.data.arrays import array_header, as_frame, read_array
from lightawnet_edge.data.bmp import bmp_header, without_filler
from lightawnet_edge.data.formats import HEAD_BYTES, Format, Kind, sniff
from lightawnet_edge.data.headers import CUT_OFF, Header, gif_header, webp_header
from lightawnet_edge.data.jpeg import jpeg_header
from lightawnet_edge.data.overheard import hush, overhear
from lightawnet_edge.data.pixels import UInt8, in_order, opencv, upright
from lightawnet_edge.data.png import check_palette, png_header, with_transparency
from lightawnet_edge.data.tiff import tiff_header
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.specs import ColorOrder, Size

MAX_BYTES = 256 * 2**20
"""The largest frames of medicine, 8K with three values of 16 bits, have 199 MB uncompressed."""
MAX_PX = 64 * 2**20
"""Twice 8K; a PNG of one colour packs a thousand times more into a megabyte."""
MAX_SIDE_PX = 16_384
"""OpenCV addresses no more than 32,767 pixels a side when it resizes, and a JPEG 65,500."""
FULL_16 = 65_535
MIN_BRIGHTEST = 16_384
"""Sensors give up to 14 bits. A 16-bit picture whose brightest value needs fewer than 15 is one of
them that was not scaled up, or a dark one: nothing in the file says which."""
BULK = 99
"""Percentile that stands for the brightest value below full white: a hot pixel or burned-in text is
bright in any depth."""

_HEADERS: Mapping[Format, Callable[[bytes], Header]] = {
    formats.NUMPY: array_header,
    formats.PNG: png_header,
    formats.JPEG: jpeg_header,
    formats.BMP: bmp_header,
    formats.GIF: gif_header,
    formats.TIFF: tiff_header,
    formats.WEBP: webp_header,
}
_TALKING = frozenset({formats.JPEG, formats.TIFF})
"""Formats whose decoders go on where data are damaged, and say so."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture as its file holds it."""

    pixels: NDArray[Any]
    """(H, W), BGR (H, W, 3) or BGRA (H, W, 4) of 8 or 16 bits; of an array file its own type, and
    RGB."""
    format: Format
    header: Header


def read_stored(path: Path) -> Stored:
    """Read the picture of a file as it is stored.

    Raises:
        ArtifactError: The file is missing, too large, damaged, or holds no or more than one
            picture of a format that is read.
    """
    data = _read_bytes(path)
    with _named(path):
        found, header = _read_header(data)
        pixels = read_array(data) if found == formats.NUMPY else _decode(data, found)
        _check_shape(header, pixels)
        return Stored(pixels, found, header)


def read_frame(path: Path, color: ColorOrder = ColorOrder.RGB, *, turn: bool = True) -> UInt8:
    """Read an image as uint8: (H, W, 3) in the given order, or (H, W) for gray.

    16-bit pictures are scaled by their full range, `.npy` arrays as `as_frame` says.

    Args:
        path: Its name may say what it likes.
        color: Order of the channels.
        turn: Turn a picture upright whose file says that it is stored otherwise. Where it has a
            mask nobody knows whether that was turned, too: then False, which refuses it.

    Raises:
        ArtifactError: The file is missing, cannot be decoded, or its pixels are no frame.
    """
    stored = read_stored(path)
    if not turn:
        check_upright(path, stored.header)
    try:
        pixels = _to_8_bits(_without_alpha(stored.pixels), stored.format)
    except ValueError as error:
        raise ArtifactError(f"'{path}' is no frame: {error}.") from error
    if stored.format == formats.NUMPY:
        if pixels.ndim == 3 and color is ColorOrder.GRAY:
            raise ArtifactError(f"'{path}' has three channels, expected gray: shape (H, W).")
        pixels = pixels[:, :, ::-1] if pixels.ndim == 3 else pixels
    elif stored.format != formats.TIFF:  # OpenCV has turned a TIFF
        pixels = upright(pixels, stored.header.orientation)
    return in_order(np.ascontiguousarray(pixels), color)


def read_size(path: Path) -> Size:
    """Read the size of an image, as it is stored; nothing is decoded.

    Raises:
        ArtifactError: As `read_stored` does, but for damage that a header does not show.
    """
    data = _read_bytes(path)
    with _named(path):
        _, header = _read_header(data)
        return Size(header.height, header.width)


def check_upright(path: Path, header: Header) -> None:
    """Refuse a picture that its file wants turned, where a mask or a frame belongs to it.

    Raises:
        ArtifactError: It has an orientation other than 1.
    """
    if header.orientation != 1:
        raise ArtifactError(
            f"'{path}' is stored turned (EXIF orientation {header.orientation}), and whether the "
            "other file of its pair is turned alike cannot be known. Save it upright, without that "
            "tag, and look at frame and mask once."
        )


def _read_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise ArtifactError(f"No file '{path}'.")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ArtifactError(
                f"'{path}' has {size / 2**20:.0f} MiB, and an image of at most "
                f"{MAX_BYTES // 2**20} MiB is read. Save it smaller, e.g. as PNG."
            )
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"'{path}' cannot be read: {error.strerror}.") from error


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with its bytes."""
    try:
        yield
    except struct.error:
        why = CUT_OFF
    except MemoryError:
        why = "it does not fit into memory"
    except ValueError as error:
        why = str(error)
    else:
        return
    raise ArtifactError(f"'{path}' cannot be decoded as an image: {why}.")


def _read_header(data: bytes) -> tuple[Format, Header]:
    found = sniff(data[:HEAD_BYTES])
    if not data:
        raise ValueError("it is empty")
    if found is None:
        raise ValueError("it is broken, or of an unknown format")
    if found.kind is not Kind.IMAGE:
        raise ValueError(
            f"its format is {found.name}, and PNG, JPEG, BMP, TIFF, WebP, GIF and .npy are read"
        )
    header = _HEADERS[found](data)
    _check_limits(header)
    return found, header


def _check_limits(header: Header) -> None:
    """Refuse what would not fit into memory, before it is decoded."""
    if header.pictures > 1:
        raise ValueError(
            f"it holds {header.pictures} pictures, and one is expected. Save the one that is meant "
            "as PNG or JPEG"
        )
    if header.height < 1 or header.width < 1:
        raise ValueError("it has no pixels")
    size = f"{header.height}x{header.width}"
    if max(header.height, header.width) > MAX_SIDE_PX:
        raise ValueError(f"it has {size} pixels, and sides of at most {MAX_SIDE_PX} are read")
    if header.height * header.width > MAX_PX:
        raise ValueError(f"it has {size} pixels, and at most {MAX_PX // 2**20} Mi are read")


def _decode(data: bytes, found: Format) -> NDArray[Any]:
    """Decode without changing anything; what OpenCV leaves out or misreads is mended.

    Raises:
        ValueError: The decoder gave nothing, or complained.
    """
    if found == formats.BMP:
        return _decoded(without_filler(data))
    pixels = _decoded(data, alone=found in _TALKING)
    if found == formats.PNG:
        check_palette(data, _decoded)
        return with_transparency(data, pixels)
    return pixels


def _decoded(data: bytes, *, alone: bool = False) -> NDArray[Any]:
    """Pixels of a file; where it gives none it is decoded again alone, to know whose words are."""
    if not alone:
        with hush():
            pixels = _pixels(data)
        if pixels is not None:
            return pixels
    with overhear() as words:
        pixels = _pixels(data)
    if words:
        raise ValueError(f"it is damaged, its decoder says: {words[0]}")
    if pixels is None:
        raise ValueError("it is broken")
    return pixels


def _pixels(data: bytes) -> NDArray[Any] | None:
    cv2 = opencv()
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    return None if pixels is None else np.asarray(pixels)


def _check_shape(header: Header, pixels: NDArray[Any]) -> None:
    """A decoder that saw another size than we did has read another header."""
    if sorted(pixels.shape[:2]) != sorted((header.height, header.width)):
        raise ValueError("its header and its picture are of different sizes")


def _without_alpha(pixels: NDArray[Any]) -> NDArray[Any]:
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    if (pixels[:, :, 3] != np.iinfo(pixels.dtype).max).any():
        raise ValueError("parts of it are transparent. Save it without an alpha channel")
    return pixels[:, :, :3]


def _to_8_bits(pixels: NDArray[Any], found: Format) -> UInt8:
    if found == formats.NUMPY:
        return as_frame(pixels)
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype != np.uint16:
        raise ValueError(f"its values are {pixels.dtype}; integers of 8 and 16 bits are read")
    _check_depth(pixels)
    return np.asarray((pixels.astype(np.uint32) + 128) // 257, dtype=np.uint8)


def _check_depth(pixels: NDArray[Any]) -> None:
    """Refuse 16-bit pixels of which the bulk needs fewer bits; those of full white do not count."""
    brightest, but = int(pixels.max()), ""
    graded = pixels[pixels < FULL_16]
    if brightest >= MIN_BRIGHTEST and graded.size:
        brightest = int(np.percentile(graded, BULK, method="higher")) or int(graded.max())
        but = f" but for {np.mean(pixels > brightest):.2%}"
    if 0 < brightest < MIN_BRIGHTEST:
        raise ValueError(
            f"the brightest of its 16-bit values is {brightest} of {FULL_16}{but}: it was stored "
            "with fewer bits, or it is dark. Save it with 8 bits, or scale it up to 16"
        )
