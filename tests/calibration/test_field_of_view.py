"""The picture in a camera's frames is found, whatever else is on them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from lightawnet_edge.calibration.field_of_view import find_picture, propose_crop
from lightawnet_edge.data.frameset import FrameSet
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import Region, Size

CAMERA = Size(540, 960)
ROUND = Region(300, 24, 480, 492)
"""A round view, cut above and below, as scopes of many makers show it."""
ROOM_PX = 4
"""How far a side may be off: the blur, an even side, and the rim of a circle."""


def inside(region: Region = ROUND, *, round_: bool = True) -> np.ndarray:
    y, x = np.mgrid[: CAMERA.height, : CAMERA.width]
    box = np.zeros((CAMERA.height, CAMERA.width), np.bool_)
    box[region.slices] = True
    if not round_:
        return box
    middle = (region.y + region.height / 2, region.x + region.width / 2)
    radius = max(region.width, region.height) / 2
    box &= (y - middle[0]) ** 2 + (x - middle[1]) ** 2 <= radius**2
    return box


def endoscope(
    seed: int, view: np.ndarray, *, light: float = 1.0, black: int = 4, text: bool = True
) -> UInt8:
    """A frame: texture with vignetting in the view, noise around it, and text on the border."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(90, 220, (6, 8, 3)).astype(np.float32)
    texture = cv2.resize(coarse, (CAMERA.width, CAMERA.height), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[: CAMERA.height, : CAMERA.width]
    middle = [float(axis[view].mean()) for axis in (y, x)]
    away = np.hypot(y - middle[0], x - middle[1]) / 250
    frame = texture * light * np.clip(1.1 - 0.6 * away, 0.3, 1)[:, :, None]
    noise = rng.normal(black, 2, frame.shape)
    found = np.where(view[:, :, None], frame, noise).clip(0, 255).astype(np.uint8)
    return write_on(found) if text else found


def write_on(frame: UInt8) -> UInt8:
    for row, words in enumerate(("NAME: DOE, J", "25/11/2026", "17:31:20", "Zoom x1.5  NBI")):
        place = (12, 60 + 60 * row)
        cv2.putText(frame, words, place, cv2.FONT_HERSHEY_SIMPLEX, 1.1, (255, 255, 255), 3)
    cv2.putText(frame, "REC", (830, 520), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (0, 0, 255), 4)
    return frame


def frames(folder: Path, pictures: Iterable[UInt8]) -> FrameSet:
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{number:02}.png"), picture)
    return FrameSet.open(folder)


def assert_close(found: Region | None, expected: Region) -> None:
    """Nothing of the picture is lost, and hardly anything comes with it."""
    assert found is not None
    left, top = expected.x - found.x, expected.y - found.y
    right = found.x + found.width - expected.x - expected.width
    below = found.y + found.height - expected.y - expected.height
    assert all(0 <= side <= ROOM_PX for side in (left, top, right, below)), found
    assert not any(side % 2 for side in (found.x, found.y, found.width, found.height))


@pytest.mark.parametrize("round_", [True, False], ids=["round", "rectangular"])
@pytest.mark.parametrize("black", [0, 4, 16])
def test_a_field_of_view_is_found_beside_text(tmp_path: Path, black: int, round_: bool) -> None:
    view = inside(round_=round_)
    found = frames(tmp_path, (endoscope(seed, view, black=min(black, 10)) for seed in range(4)))
    assert_close(propose_crop(found, CAMERA), ROUND)


def test_a_view_that_touches_the_edges_is_found(tmp_path: Path) -> None:
    region = Region(400, 0, 560, 540)
    found = frames(tmp_path, (endoscope(seed, inside(region)) for seed in range(2)))
    crop = propose_crop(found, CAMERA)
    assert crop is not None
    assert (crop.y, crop.height, crop.x + crop.width) == (0, 540, 960)
    assert abs(crop.x - region.x) <= ROOM_PX


def test_dark_frames_hide_nothing(tmp_path: Path) -> None:
    view = inside()
    dark = [endoscope(seed, view, light=0.02, text=False) for seed in range(6)]
    found = frames(tmp_path, [*dark, *(endoscope(seed, view) for seed in range(2))])
    assert_close(propose_crop(found, CAMERA), ROUND)


def test_parts_that_are_dark_in_some_frames_count(tmp_path: Path) -> None:
    """A lumen in the middle, or a shadow over one half, is the picture nevertheless."""
    view, pictures = inside(), []
    for seed in range(4):
        picture = endoscope(seed, view)
        half = slice(0, 540) if seed % 2 else slice(540, 960)
        picture[:, half][view[:, half]] = 3
        pictures.append(picture)
    assert_close(propose_crop(frames(tmp_path, pictures), CAMERA), ROUND)


def test_what_one_frame_of_many_shows_beside_the_view_is_a_menu(tmp_path: Path) -> None:
    view = inside()
    pictures = [endoscope(seed, view) for seed in range(11)]
    pictures[3][:, :290] = 200
    assert_close(propose_crop(frames(tmp_path, pictures), CAMERA), ROUND)


def test_a_smaller_picture_beside_the_view_is_left_out(tmp_path: Path) -> None:
    view = inside()
    pictures = [endoscope(seed, view) for seed in range(2)]
    for picture in pictures:
        picture[380:520, 40:240] = 150
    assert_close(propose_crop(frames(tmp_path, pictures), CAMERA), ROUND)


def test_a_picture_that_fills_the_frame_has_no_border(tmp_path: Path) -> None:
    whole = inside(Region(0, 0, 960, 540), round_=False)
    found = frames(tmp_path, (endoscope(seed, whole, text=False) for seed in range(2)))
    assert propose_crop(found, CAMERA) is None


@pytest.mark.parametrize("text", [False, True])
def test_black_frames_have_no_field_of_view(tmp_path: Path, text: bool) -> None:
    black = np.zeros((540, 960, 3), np.uint8)
    found = frames(tmp_path, [write_on(black) if text else black] * 2)
    with pytest.raises(
        SpecError, match=r"finds no field of view in the 2 frames of '.*': they are black, or what"
    ):
        propose_crop(found, CAMERA)


def test_frames_of_another_size_are_none_of_this_camera(tmp_path: Path) -> None:
    found = frames(tmp_path, [endoscope(0, inside())])
    with pytest.raises(
        SpecError,
        match=r"'.*00\.png' is 540x960, --frame is 1080x1920\. Give frames of that size with",
    ):
        propose_crop(found, Size(1080, 1920))


def test_a_frame_of_odd_sides_is_not_left() -> None:
    lit = np.ones((31, 33), np.bool_)
    assert find_picture(lit) == Region(0, 0, 33, 31)
    assert find_picture(~lit) is None
