"""What the first directory of a TIFF says of its picture."""

from __future__ import annotations

from lightawnet_edge.data import exif
from lightawnet_edge.data.headers import Header

_UNSIGNED = 1
_BLACK_IS_ZERO, _RGB, _SEPARATED, _YCBCR = 1, 2, 5, 6
_APART = 2
"""Planar configuration: all of red, then all of green, then all of blue."""
_JPEG = frozenset({6, 7})
_BITS = frozenset({1, 8, 10, 12, 14, 16})


def tiff_header(data: bytes) -> Header:
    """Read the directories of a TIFF; kinds of pixels that OpenCV misreads are refused in words.

    Raises:
        ValueError: It is a BigTIFF, or holds pixels of a kind that is not read.
        struct.error: The bytes end early.
    """
    tags, pictures = exif.directories(data)
    if not {exif.WIDTH, exif.HEIGHT} <= tags.keys():
        raise ValueError("it holds no picture")
    bits, samples = tags.get(exif.BITS, (1,)), tags.get(exif.SAMPLES, (1,))[0]
    photometric = tags.get(exif.PHOTOMETRIC, (1,))[0]
    if set(tags.get(exif.SAMPLE_FORMAT, (_UNSIGNED,))) != {_UNSIGNED}:
        raise ValueError("its values are signed or floating point; integers from 0 are read")
    if len(set(bits)) != 1 or bits[0] not in _BITS:
        raise ValueError(f"its values have {bits[0]} bits; 1, 8 and 16 are read")
    if photometric == _SEPARATED:
        raise ValueError("its colours are CMYK, made for printing; RGB is read")
    if photometric > _YCBCR or (bits[0] > 8 and photometric not in (_BLACK_IS_ZERO, _RGB)):
        raise ValueError(f"its values mean light in way {photometric}; gray and RGB are read")
    if samples not in (1, 3, 4):
        raise ValueError(f"its pixels have {samples} values; 1, 3 and 4 are read")
    if samples > 1 and tags.get(exif.PLANAR, (1,))[0] == _APART:
        _check_planes(tags, bits[0], samples)
    return Header(
        height=tags[exif.HEIGHT][0],
        width=tags[exif.WIDTH][0],
        pictures=pictures,
        orientation=exif.orientation_of(tags),
        lossy=tags.get(exif.COMPRESSION, (1,))[0] in _JPEG,
    )


def _check_planes(tags: exif.Tags, bits: int, samples: int) -> None:
    """Refuse channels stored apart that OpenCV reads as if they lay pixel by pixel."""
    if bits > 8:
        raise ValueError(
            f"its channels of {bits} bits lie apart (planar); such of 8 bits are read. Save it "
            "pixel by pixel (chunky)"
        )
    height = tags[exif.HEIGHT][0]
    rows = max(1, min(height, tags.get(exif.STRIP_ROWS, (height,))[0]))
    expected, found = samples * -(-height // rows), len(tags.get(exif.STRIPS, ()))
    if 0 < found < expected:
        raise ValueError(
            f"it is damaged: its channels lie apart (planar) in {found} strips, expected {expected}"
        )
