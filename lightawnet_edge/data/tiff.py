"""What the first directory of a TIFF says of its picture."""

from __future__ import annotations

from lightawnet_edge.data import exif
from lightawnet_edge.data.headers import Header

_UNSIGNED = 1
_WHITE_IS_ZERO, _SEPARATED, _YCBCR = 0, 5, 6
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
    if photometric > _YCBCR or (photometric == _WHITE_IS_ZERO and bits[0] > 8):
        raise ValueError(f"its values mean light in way {photometric}; gray and RGB are read")
    if samples not in (1, 3, 4):
        raise ValueError(f"its pixels have {samples} values; 1, 3 and 4 are read")
    return Header(
        height=tags[exif.HEIGHT][0],
        width=tags[exif.WIDTH][0],
        pictures=pictures,
        orientation=exif.orientation_of(tags),
        lossy=tags.get(exif.COMPRESSION, (1,))[0] in _JPEG,
    )
