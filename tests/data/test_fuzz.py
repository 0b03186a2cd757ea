"""Whatever bytes a file holds, reading it ends in pixels or in an ArtifactError with its name."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from lightawnet_edge.data import images
from lightawnet_edge.data.masks import read_mask
from lightawnet_edge.errors import ArtifactError
from tests.data.files import animation, chunk, encoded, exif, png, tiff

ROUNDS = 2000
SMALL = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


SEEDS = {
    "png": [
        encoded(".png", SMALL),
        png((2, 8), 1, 3, [b"\xf0", b"\x0f"], {b"PLTE": bytes(6), b"eXIf": exif(6)}),
        animation(".png", 2),
    ],
    "jpg": [
        encoded(".jpg", SMALL),
        encoded(".jpg", SMALL, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        encoded(".jpg", SMALL, cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
    ],
    "bmp": [encoded(".bmp", SMALL), encoded(".bmp", SMALL[:, :, 0])],
    "tif": [encoded(".tif", SMALL), tiff((12, 16), 8, SMALL[:, :, 0].tobytes())],
    "webp": [
        encoded(".webp", SMALL),
        encoded(".webp", SMALL, cv2.IMWRITE_WEBP_QUALITY, 60),
        animation(".webp", 2),
    ],
    "gif": [encoded(".gif", SMALL), animation(".gif", 2)],
    "npy": [npy(SMALL), npy(SMALL[:, :, 0].astype(np.float64))],
}


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Some bytes changed; and now and then a part left out, doubled, or the end cut off."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] = chance.choice((0, 255, chance.randrange(256)))
    first, second = sorted((chance.randrange(len(changed)), chance.randrange(len(changed))))
    match chance.randrange(6):
        case 0:
            del changed[first:]
        case 1:
            del changed[first : first + min(64, second - first)]
        case 2:
            changed[first:first] = changed[first:second]
    return bytes(changed)


def with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks are right again, so that changes get as far as the decoder."""
    at, found = 8, data[:8]
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found += chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length])
        at += 12 + length
    return found


@pytest.mark.parametrize("kind", SEEDS)
def test_changed_files_end_in_pixels_or_in_a_sentence(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(kind)
    path, refused = Path(f"x.{kind}"), 0
    for turn in range(ROUNDS):
        data = mutated(SEEDS[kind][turn % len(SEEDS[kind])], chance)
        if kind == "png" and turn % 2:
            data = with_checksums(data)
        # Without the file system, which takes longer than all the rest.
        monkeypatch.setattr(images, "_read_bytes", lambda _, data=data: data)
        reason = None
        try:
            pixels = read_mask(path) if turn % 4 == 0 else images.read_frame(path)
        except ArtifactError as error:
            reason = str(error)
        assert str(path) in reason if reason else pixels.ndim in (2, 3)
        refused += reason is not None
    assert 0 < refused < ROUNDS
