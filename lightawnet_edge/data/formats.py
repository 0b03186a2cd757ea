"""What a file is, by its first bytes: an image, a video, or something else. Names may lie."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

HEAD_BYTES = 400
"""As much of a file as its kind shows in: a transport stream in three of its packets."""


class Kind(Enum):
    """What can be done with a file."""

    IMAGE = "image"
    """One picture, or several in one file, which the reader of images refuses by name."""
    VIDEO = "video"
    OTHER = "other"
    """Known by name, and not read: each further decoder would be one more to keep safe."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format of files."""

    name: str
    kind: Kind


NUMPY = Format("NumPy", Kind.IMAGE)
PNG = Format("PNG", Kind.IMAGE)
JPEG = Format("JPEG", Kind.IMAGE)
BMP = Format("BMP", Kind.IMAGE)
GIF = Format("GIF", Kind.IMAGE)
TIFF = Format("TIFF", Kind.IMAGE)
WEBP = Format("WebP", Kind.IMAGE)

_ANY = rb"[\s\S]"
_BOX = rb"\0[\s\S]{3}"
"""Length of the first box of an MP4: no text begins like this."""
_SIGNATURES = tuple(
    (re.compile(pattern), found)
    for pattern, found in (
        (rb"\x93NUMPY", NUMPY),
        (rb"\x89PNG\r\n\x1a\n", PNG),
        (rb"\xff\xd8\xff", JPEG),
        (rb"BM" + _ANY + rb"{4}\0\0\0\0", BMP),
        (rb"GIF8[79]a", GIF),
        (rb"II[*+]\0|MM\0[*+]", TIFF),
        (rb"RIFF" + _ANY + rb"{4}WEBP", WEBP),
        (rb"RIFF" + _ANY + rb"{4}AVI ", Format("AVI", Kind.VIDEO)),
        (rb"\x1aE\xdf\xa3", Format("Matroska", Kind.VIDEO)),
        (_BOX + rb"ftyp(avi[fs]|mif1|msf1|hei[cfmsx]|hev[cx])", Format("HEIF", Kind.OTHER)),
        (_BOX + rb"(ftyp|moov|mdat|wide|free|skip)", Format("MP4", Kind.VIDEO)),
        (rb"\0\0\x01[\xba\xb3]", Format("MPEG", Kind.VIDEO)),
        (rb"(G" + _ANY + rb"{187}){2}G", Format("MPEG transport stream", Kind.VIDEO)),
        (rb"(" + _ANY + rb"{4}G" + _ANY + rb"{187}){2}", Format("M2TS", Kind.VIDEO)),
        (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Format("Windows Media", Kind.VIDEO)),
        (rb"FLV\x01", Format("Flash video", Kind.VIDEO)),
        (rb"OggS", Format("Ogg", Kind.VIDEO)),
        (rb"\x06\x0e\x2b\x34\x02\x05\x01\x01", Format("MXF", Kind.VIDEO)),
        (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", Format("JPEG 2000", Kind.OTHER)),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", Format("JPEG XL", Kind.OTHER)),
        (rb"\x76\x2f\x31\x01", Format("OpenEXR", Kind.OTHER)),
        (rb"#\?(RADIANCE|RGBE)", Format("Radiance HDR", Kind.OTHER)),
        (rb"P[1-7Ff][\s#]", Format("Netpbm", Kind.OTHER)),
        (rb"8BPS", Format("Photoshop", Kind.OTHER)),
        (_ANY + rb"{128}DICM", Format("DICOM", Kind.OTHER)),
        (rb"PK\x03\x04", Format("ZIP", Kind.OTHER)),
        (rb"%PDF", Format("PDF", Kind.OTHER)),
    )
)


def sniff(head: bytes) -> Format | None:
    """Name the format that `head`, the first HEAD_BYTES of a file, shows; None for no known one."""
    return next((found for pattern, found in _SIGNATURES if pattern.match(head)), None)


def format_of(path: Path) -> Format | None:
    """Look at the first bytes of a file; None where they show nothing or cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            return sniff(file.read(HEAD_BYTES) or b"")
    except OSError:
        return None
