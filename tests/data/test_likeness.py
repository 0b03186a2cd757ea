"""The same picture is recognized after re-encoding and resizing; other pictures are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lightawnet_edge.data.images import read_frame
from lightawnet_edge.data.likeness import (
    ALIKE,
    agreements,
    field_of_view,
    find_matches,
    print_frame,
    read_prints,
    write_prints,
)
from lightawnet_edge.data.listing import image_files
from lightawnet_edge.data.samples import CALIBRATION, EVALUATION
from lightawnet_edge.errors import ArtifactError

UInt8 = NDArray[np.uint8]
FRAME = "EndoCV2021_C6_0100109"


@pytest.fixture(scope="module")
def frame() -> UInt8:
    return read_frame(image_files(EVALUATION / "images")[FRAME])


def jpeg(frame: UInt8, quality: int) -> UInt8:
    code = cv2.imencode(".jpg", frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    pixels = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(pixels[:, :, ::-1])


def halved(frame: UInt8) -> UInt8:
    size = frame.shape[1] // 2, frame.shape[0] // 2
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def bordered(frame: UInt8) -> UInt8:
    return np.asarray(cv2.copyMakeBorder(frame, 40, 20, 100, 10, cv2.BORDER_CONSTANT), np.uint8)


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: jpeg(frame, 30),
        halved,
        lambda frame: jpeg(halved(frame), 60),
        lambda frame: (0.6 * frame).astype(np.uint8),
        bordered,
    ],
    ids=["jpeg", "half size", "jpeg at half size", "darker", "black borders"],
)
def test_a_changed_copy_is_recognized(frame: UInt8, change: Callable[[UInt8], UInt8]) -> None:
    (match,) = find_matches([print_frame("copy", change(frame))], [print_frame("it", frame)])
    assert (match.stem, match.other) == ("copy", "it")
    assert match.agreement >= ALIKE
    assert not match.same_pixels


def test_equal_pixels_are_told_from_likeness(frame: UInt8) -> None:
    (match,) = find_matches([print_frame("a", frame)], [print_frame("b", frame.copy())])
    assert match.same_pixels
    assert str(match) == "'a' ~ 'b' (the same pixels)"


def test_a_mirrored_frame_is_another_picture(frame: UInt8) -> None:
    mirrored = np.ascontiguousarray(frame[:, ::-1])
    assert not find_matches([print_frame("m", mirrored)], [print_frame("it", frame)])


def test_the_packaged_halves_share_no_picture() -> None:
    first, second = (
        [print_frame(stem, read_frame(file)) for stem, file in image_files(half).items()]
        for half in (CALIBRATION / "images", EVALUATION / "images")
    )
    assert len(first) == len(second) == 16
    assert agreements(first, second).max() < 0.5


def test_flat_frames_are_alike_in_their_pixels_alone() -> None:
    gray, dark = np.full((40, 60, 3), 120, np.uint8), np.zeros((40, 60, 3), np.uint8)
    assert not find_matches([print_frame("gray", gray)], [print_frame("dark", dark)])
    assert find_matches([print_frame("gray", gray)], [print_frame("other", gray)])


def test_pixels_of_another_shape_are_other_pixels() -> None:
    first, second = (
        print_frame("x", np.zeros(shape, np.uint8)) for shape in ((4, 6, 3), (6, 4, 3))
    )
    assert first.pixels_sha256 != second.pixels_sha256


def test_the_field_of_view_leaves_out_borders_and_text_on_them() -> None:
    gray = np.zeros((100, 160), np.uint8)
    gray[10:90, 50:150] = 130
    gray[20:26, 4:40] = 255  # a line of text
    rows, columns = field_of_view(gray)
    assert (rows.start, rows.stop) == pytest.approx((10, 90), abs=1)
    assert (columns.start, columns.stop) == pytest.approx((50, 150), abs=1)


def test_prints_come_back_from_a_file(frame: UInt8, tmp_path: Path) -> None:
    prints = (print_frame("a", frame), print_frame("ä", halved(frame)))
    write_prints(tmp_path / "prints.json", prints)
    assert read_prints(tmp_path / "prints.json") == prints
    assert len((tmp_path / "prints.json").read_text(encoding="utf-8").splitlines()) == 4


def test_prints_are_written_as_in_their_first_version(tmp_path: Path) -> None:
    earlier = Path(__file__).parents[1] / "codec" / "documents" / "calibration.json"
    write_prints(tmp_path / "prints.json", read_prints(earlier))
    assert (tmp_path / "prints.json").read_bytes() == earlier.read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "not JSON"),
        ('{"schema": 2, "frames": []}', "schema 2, this version reads 1"),
        ('{"schema": 1}', "frames: missing. Export the bundle again."),
        (
            '{"schema": 1, "frames": [{"stem": "a", "pixels_sha256": "", "sketch": "00"}]}',
            "has not 1024 bits",
        ),
    ],
)
def test_what_are_no_prints_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "prints.json").write_text(text)
    with pytest.raises(ArtifactError, match=message):
        read_prints(tmp_path / "prints.json")
