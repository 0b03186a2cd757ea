from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lightawnet_edge.data.images import read_frame, read_stored
from lightawnet_edge.data.listing import image_files
from lightawnet_edge.data.masks import read_mask
from lightawnet_edge.data.samples import CALIBRATION, EVALUATION, SAMPLES

LIMIT_BYTES = 3_000_000
DUPLICATE_BITS = 60
"""Duplicates in PolypGen differ in 4 to 45 bits of `fingerprint`, other frames in 93 or more."""

both_halves = pytest.mark.parametrize("half", [CALIBRATION, EVALUATION], ids=lambda p: p.name)


def areas(half: Path) -> list[float]:
    """Share of polyp in each frame."""
    masks = image_files(half / "masks")
    return [float(read_mask(path).mean()) for path in masks.values()]


def fingerprint(frame: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a 16x16 thumbnail gets brighter to the right and downwards: 512 bits."""
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    wide = cv2.resize(gray, (17, 16), interpolation=cv2.INTER_AREA).astype(int)
    tall = cv2.resize(gray, (16, 17), interpolation=cv2.INTER_AREA).astype(int)
    rising = np.diff(wide, axis=1) > 0, np.diff(tall, axis=0) > 0
    return np.concatenate([part.ravel() for part in rising])


@both_halves
def test_frames_and_masks_are_pairs_of_one_size(half: Path) -> None:
    frames = image_files(half / "images")
    masks = image_files(half / "masks")
    assert len(frames) == 16
    assert list(frames) == list(masks)
    for stem, path in frames.items():
        assert read_frame(path).shape[:2] == read_mask(masks[stem]).shape, stem


@both_halves
def test_masks_are_png_files_of_0_and_255(half: Path) -> None:
    for path in image_files(half / "masks").values():
        assert path.suffix == ".png"
        assert set(np.unique(read_stored(path).pixels)) <= {0, 255}, path.name


@both_halves
def test_each_half_has_every_size_of_polyp_and_none(half: Path) -> None:
    found = areas(half)
    assert sum(area == 0 for area in found) in (2, 3)
    assert sum(0 < area < 0.024 for area in found) >= 3
    assert sum(0.024 <= area < 0.116 for area in found) >= 4
    assert sum(area >= 0.116 for area in found) >= 3


@both_halves
def test_brightness_varies(half: Path) -> None:
    levels = [read_frame(path).mean() for path in image_files(half / "images").values()]
    assert max(levels) > 1.5 * min(levels)


def test_no_frame_sets_scales_and_is_measured() -> None:
    prints = {
        half: [fingerprint(read_frame(p)) for p in image_files(half / "images").values()]
        for half in (CALIBRATION, EVALUATION)
    }
    distances = [int((a != b).sum()) for a in prints[CALIBRATION] for b in prints[EVALUATION]]
    assert min(distances) > DUPLICATE_BITS


def test_fingerprints_know_a_copy_that_was_compressed_again() -> None:
    frame = read_frame(next(iter(image_files(EVALUATION / "images").values())))
    _, jpeg = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 60])
    copy = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), dtype=np.uint8)
    assert (fingerprint(frame) != fingerprint(copy)).sum() < DUPLICATE_BITS


def test_samples_are_small_and_say_where_they_come_from() -> None:
    files = [path for path in SAMPLES.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) < LIMIT_BYTES
    text = (SAMPLES / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for fact in ("PolypGen", "Sharib Ali", "10.1038/s41597-023-01981-y", "CC BY 4.0", "changed"):
        assert fact in text
