"""Ordinary pictures become the frames of a YUV camera, by the numbers of the standards."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lightawnet_edge.bundle.camera import Camera, usual_yuv
from lightawnet_edge.data.yuv import rgb_from, seen_by
from lightawnet_edge.specs import ColorOrder, Matrix, Range, Size, Yuv
from tests.conftest import blobs

EACH = [Yuv(matrix=matrix, range=values) for matrix in Matrix for values in Range]
BACK = {ColorOrder.NV12: cv2.COLOR_YUV2RGB_NV12, ColorOrder.YUY2: cv2.COLOR_YUV2RGB_YUY2}


def camera(color: ColorOrder, size: Size, yuv: Yuv | None = None) -> Camera:
    return Camera(size=size, color=color, yuv=yuv or usual_yuv(color, size))


@pytest.mark.parametrize(
    ("yuv", "code", "rgb"),
    [
        # Bars of 100 %: BT.709 and BT.601 as in SMPTE RP 219 and ITU-R BT.801.
        (Yuv(matrix=Matrix.BT709, range=Range.LIMITED), (235, 128, 128), (1, 1, 1)),
        (Yuv(matrix=Matrix.BT709, range=Range.LIMITED), (16, 128, 128), (0, 0, 0)),
        (Yuv(matrix=Matrix.BT709, range=Range.LIMITED), (63, 102, 240), (1, 0, 0)),
        (Yuv(matrix=Matrix.BT709, range=Range.LIMITED), (173, 42, 26), (0, 1, 0)),
        (Yuv(matrix=Matrix.BT709, range=Range.LIMITED), (32, 240, 118), (0, 0, 1)),
        (Yuv(matrix=Matrix.BT601, range=Range.LIMITED), (81, 90, 240), (1, 0, 0)),
        (Yuv(matrix=Matrix.BT601, range=Range.LIMITED), (41, 240, 110), (0, 0, 1)),
        # JFIF: blue has a difference of 127.5 above neutral, which is 255.5 and does not fit.
        (Yuv(matrix=Matrix.BT601, range=Range.FULL), (76, 85, 255), (1, 0, 0)),
        (Yuv(matrix=Matrix.BT709, range=Range.FULL), (255, 128, 128), (1, 1, 1)),
    ],
)
def test_known_colours(yuv: Yuv, code: tuple[int, ...], rgb: tuple[int, ...]) -> None:
    matrix, offset = rgb_from(yuv)
    np.testing.assert_allclose(matrix @ (np.array(code) - offset), rgb, atol=0.006)


@pytest.mark.parametrize("yuv", EACH, ids=lambda yuv: f"{yuv.matrix}-{yuv.range}")
@pytest.mark.parametrize("color", BACK)
def test_a_flat_picture_comes_back(color: ColorOrder, yuv: Yuv) -> None:
    picture = np.full((4, 6, 3), (200, 90, 40), np.uint8)
    frame = seen_by(camera(color, Size(4, 6), yuv), picture)
    assert frame.dtype == np.uint8
    luma, u, v = {
        ColorOrder.NV12: lambda: (frame[0, 0], frame[4, 0], frame[4, 1]),
        ColorOrder.YUY2: lambda: (frame[0, 0, 0], frame[0, 0, 1], frame[0, 1, 1]),
    }[color]()
    matrix, offset = rgb_from(yuv)
    found = 255 * matrix @ (np.array([luma, u, v], float) - offset)
    np.testing.assert_allclose(found, picture[0, 0], atol=1.5)


@pytest.mark.parametrize("color", BACK)
def test_opencv_reads_the_layout(color: ColorOrder) -> None:
    picture = blobs(1, Size(96, 128))[0][0]
    yuv = Yuv(matrix=Matrix.BT601, range=Range.LIMITED)
    frame = seen_by(camera(color, Size(96, 128), yuv), picture)
    assert frame.shape == ((144, 128) if color is ColorOrder.NV12 else (96, 128, 2))
    again = cv2.cvtColor(frame, BACK[color]).astype(int)
    difference = np.abs(again - picture)
    assert np.median(difference) <= 1
    assert difference.mean() < 2  # at the rim of a disc two colours share a value


def test_colours_are_the_mean_of_the_pixels_that_share_them() -> None:
    red, black = (255, 0, 0), (0, 0, 0)
    picture = np.array([[red, black], [black, black]], np.uint8)
    yuv = Yuv(matrix=Matrix.BT709, range=Range.LIMITED)
    nv12 = seen_by(camera(ColorOrder.NV12, Size(2, 2), yuv), picture)
    assert nv12.tolist() == [[63, 16], [16, 16], [122, 156]]
    yuy2 = seen_by(camera(ColorOrder.YUY2, Size(2, 2), yuv), picture)
    assert yuy2.tolist() == [[[63, 115], [16, 184]], [[16, 128], [16, 128]]]


def test_a_picture_of_another_size_is_stretched_first() -> None:
    picture = blobs(1, Size(50, 70))[0][0]
    assert seen_by(camera(ColorOrder.NV12, Size(32, 48)), picture).shape == (48, 48)
    assert seen_by(camera(ColorOrder.RGB, Size(32, 48)), picture).shape == (32, 48, 3)
    assert seen_by(camera(ColorOrder.RGB, Size(50, 70)), picture) is picture
