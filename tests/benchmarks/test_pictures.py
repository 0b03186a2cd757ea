from __future__ import annotations

import base64

import cv2
import numpy as np

from lightawnet_edge.benchmarks.pictures import make_picture, trace
from lightawnet_edge.specs import Size


def test_a_picture_is_small_and_shows_the_frame() -> None:
    frame = np.zeros((600, 1000, 3), np.uint8)
    frame[:, :, 0] = 200  # red
    picture = make_picture("one", frame, np.zeros((600, 1000), np.bool_), {})
    assert (picture.height, picture.width) == (240, 400)
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(picture.jpeg), np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape == (240, 400, 3)
    assert abs(int(pixels[100, 100, 2]) - 200) < 5  # OpenCV reads BGR
    assert picture.truth == ()


def test_a_small_frame_is_not_blown_up() -> None:
    picture = make_picture("one", np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30), np.bool_), {})
    assert (picture.height, picture.width) == (20, 30)


def test_contours_follow_the_border_pixels_and_holes() -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[4:12, 5:15] = True
    mask[6:9, 8:11] = False
    outer, hole = sorted(trace(mask, Size(20, 20)), key=len)
    assert set(outer) == {(5, 4), (14, 4), (14, 11), (5, 11)}
    assert {x for x, _ in hole} <= {7, 8, 9, 10, 11}


def test_masks_of_other_sizes_are_drawn_where_they_belong() -> None:
    small = np.zeros((10, 10), np.bool_)
    small[2:5, 2:5] = True
    truth = np.kron(small, np.ones((4, 4), np.bool_))
    frame = np.zeros((40, 40, 3), np.uint8)
    picture = make_picture("one", frame, truth.astype(np.bool_), {"engine": small})
    assert picture.masks["engine"] == picture.truth
