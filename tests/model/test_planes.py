"""YUV frames become the colours that OpenCV and the standards give."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from lightawnet_edge.model.planes import planes, to_rgb
from lightawnet_edge.model.preprocess import Preprocess
from lightawnet_edge.specs import (
    ColorOrder,
    Matrix,
    Normalization,
    Range,
    Region,
    Size,
    Yuv,
)

SCALE = Normalization(mean=0, std=1)
BT601 = Yuv(matrix=Matrix.BT601, range=Range.LIMITED)
SHAPES = {ColorOrder.NV12: (48, 40), ColorOrder.YUY2: (32, 40, 2)}
OPENCV = {ColorOrder.NV12: cv2.COLOR_YUV2RGB_NV12, ColorOrder.YUY2: cv2.COLOR_YUV2RGB_YUY2}
EACH = pytest.mark.parametrize("color", SHAPES)


def frame_of(color: ColorOrder, low: int = 0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, 256, SHAPES[color], dtype=np.uint8)


def colours(frame: np.ndarray, color: ColorOrder, yuv: Yuv) -> Tensor:
    """RGB of each pixel (3, H, W), from 0 to 255."""
    parts = planes(torch.from_numpy(frame).float(), color, None)
    return 255 * to_rgb(torch.cat(parts, 1) / 255, yuv)[0]


@EACH
def test_colours_are_those_of_opencv(color: ColorOrder) -> None:
    frame = frame_of(color, low=16)  # OpenCV takes what is blacker than black for black
    expected = cv2.cvtColor(frame, OPENCV[color]).transpose(2, 0, 1).astype(np.float32)
    # Half a step is its rounding; its coefficients have three digits.
    found = colours(frame, color, BT601)
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.75)


@pytest.mark.parametrize(
    ("matrix", "red", "blue"), [(Matrix.BT601, 0.299, 0.114), (Matrix.BT709, 0.2126, 0.0722)]
)
@pytest.mark.parametrize("values", Range)
@EACH
def test_colours_are_those_of_the_standards(
    color: ColorOrder, values: Range, matrix: Matrix, red: float, blue: float
) -> None:
    """By the equations of ITU-R BT.601 and BT.709 as they stand there, solved for one pixel."""
    frame = frame_of(color, seed=1)
    limited = values is Range.LIMITED
    if color is ColorOrder.NV12:
        luma, shared = frame[:32].astype(float), frame[32:].astype(float)
        u, v = (shared[:, one::2].repeat(2, 0).repeat(2, 1) for one in (0, 1))
    else:
        luma = frame[:, :, 0].astype(float)
        u, v = (frame[:, one::2, 1].astype(float).repeat(2, 1) for one in (0, 1))
    y = (luma - 16) / 219 if limited else luma / 255
    cb, cr = ((value - 128) / (224 if limited else 255) for value in (u, v))
    r, b = y + cr * 2 * (1 - red), y + cb * 2 * (1 - blue)
    g = (y - red * r - blue * b) / (1 - red - blue)
    expected = 255 * np.stack([r, g, b]).clip(0, 1)
    found = colours(frame, color, Yuv(matrix=matrix, range=values))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


@EACH
def test_a_region_is_cut_as_from_the_colours(color: ColorOrder) -> None:
    frame, region = frame_of(color), Region(6, 4, 20, 18)
    whole = colours(frame, color, BT601)
    parts = planes(torch.from_numpy(frame).float(), color, region)
    cut = 255 * to_rgb(torch.cat(parts, 1) / 255, BT601)[0]
    assert torch.equal(cut, whole[(slice(None), *region.slices)])


@EACH
def test_scaled_colours_are_scaled_planes(color: ColorOrder) -> None:
    """Which of the two comes first tells in colours that no screen has alone."""
    generator = np.random.default_rng(3)
    frame = generator.integers(90, 160, SHAPES[color], dtype=np.uint8)
    yuv = Yuv(matrix=Matrix.BT709, range=Range.FULL)
    found = Preprocess(Size(16, 16), SCALE, color, yuv=yuv)(torch.from_numpy(frame))
    rgb = colours(frame, color, yuv)
    again = Preprocess(Size(16, 16), SCALE, ColorOrder.RGB)(rgb.permute(1, 2, 0))
    torch.testing.assert_close(found, again, rtol=0, atol=1e-5)


def test_what_lies_beyond_white_is_cut_off_after_scaling() -> None:
    frame = np.full((24, 16), 128, np.uint8)
    frame[:16], frame[:16, ::2] = 16, 255
    found = Preprocess(Size(16, 8), SCALE, ColorOrder.NV12, yuv=BT601)(torch.from_numpy(frame))
    torch.testing.assert_close(found, torch.full((1, 3, 16, 8), 239 / 219 / 2))
    bright = np.full((24, 16), 128, np.uint8)
    bright[:16] = 255
    assert (
        Preprocess(Size(16, 8), SCALE, ColorOrder.NV12, yuv=BT601)(torch.from_numpy(bright)).max()
        == 1
    )
