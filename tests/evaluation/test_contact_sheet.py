"""Frames on one sheet: light, in rows of four, with both outlines."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import SpecError
from lightawnet_edge.evaluation.contact_sheet import PREDICTION, TRUTH, Cell, contact_sheet


def tile(height: int, width: int, noise: bool = False) -> Cell:
    rng = np.random.default_rng(0)
    frame = np.full((height, width, 3), 90, np.uint8)
    if noise:
        frame = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    truth, mask = np.zeros((2, height, width), np.bool_)
    truth[height // 4 : height // 2, width // 4 : width // 2] = True
    mask[height // 2 + 4 :, width // 2 + 4 :] = True
    return Cell("1", frame, truth, mask)


def decode(data: bytes) -> UInt8:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture[:, :, ::-1], dtype=np.uint8)


def near(picture: UInt8, color: tuple[int, int, int]) -> int:
    distance = np.abs(picture.astype(int) - np.array(color)).max(axis=2)
    return int((distance < 40).sum())


def test_both_outlines_are_drawn_in_their_colours() -> None:
    picture = decode(contact_sheet([tile(100, 120)]))
    assert near(picture, TRUTH) > 100
    assert near(picture, PREDICTION) > 100


def test_tall_and_wide_frames_keep_their_shape_in_equal_tiles() -> None:
    one = decode(contact_sheet([tile(100, 120)]))
    many = decode(contact_sheet([tile(400, 100), tile(100, 400), *[tile(9, 9)] * 3]))
    assert many.shape[1] == one.shape[1], "a row has four places"
    assert many.shape[0] == 2 * one.shape[0]


def test_empty_masks_have_no_outline() -> None:
    blank = tile(60, 60)
    nothing = Cell("1", blank.frame, blank.truth & False, blank.mask & False)
    picture = decode(contact_sheet([nothing]))
    assert near(picture, TRUTH) == near(picture, PREDICTION) == 0


def test_quality_falls_until_the_sheet_is_light_enough() -> None:
    noisy = [tile(200, 250, noise=True)] * 4
    free = contact_sheet(noisy, max_bytes=10_000_000)
    limit = len(free) // 2
    assert len(contact_sheet(noisy, max_bytes=limit)) <= limit


def test_a_sheet_that_cannot_be_light_enough_is_refused() -> None:
    with pytest.raises(SpecError, match="do not fit into 100 bytes"):
        contact_sheet([tile(50, 50)], max_bytes=100)


def test_no_frames_make_no_sheet() -> None:
    with pytest.raises(SpecError, match="no frame to show"):
        contact_sheet([])
