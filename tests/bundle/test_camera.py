"""What a camera gives: shapes of frames, and what a region may part."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lightawnet_edge.bundle.camera import Camera, size_of, usual_yuv
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import ColorOrder, Matrix, Range, Region, Size, Yuv

HD = Size(1080, 1920)
SHAPES = {
    ColorOrder.RGB: (1080, 1920, 3),
    ColorOrder.BGR: (1080, 1920, 3),
    ColorOrder.GRAY: (1080, 1920),
    ColorOrder.NV12: (1620, 1920),
    ColorOrder.YUY2: (1080, 1920, 2),
}


def camera(color: ColorOrder, size: Size = HD) -> Camera:
    return Camera(size=size, color=color, yuv=usual_yuv(color, size))


@pytest.mark.parametrize("color", ColorOrder)
def test_a_frame_has_the_shape_of_its_layout(color: ColorOrder) -> None:
    assert camera(color).shape == SHAPES[color]
    assert size_of(SHAPES[color], color) == HD


@pytest.mark.parametrize(
    ("shape", "color"),
    [
        ((1080, 1920), ColorOrder.RGB),
        ((1080, 1920, 3), ColorOrder.GRAY),
        ((1080, 1920, 3), ColorOrder.NV12),
        ((1081, 1920), ColorOrder.NV12),
        ((1620, 1921), ColorOrder.NV12),
        ((1080, 1921, 2), ColorOrder.YUY2),
        ((1080, 1920, 4), ColorOrder.RGB),
        ((1080,), ColorOrder.GRAY),
        ((0, 1920), ColorOrder.GRAY),
    ],
)
def test_other_shapes_are_no_frames(shape: tuple[int, ...], color: ColorOrder) -> None:
    assert size_of(shape, color) is None


@pytest.mark.parametrize(
    ("color", "size", "sides"),
    [
        (ColorOrder.NV12, Size(1081, 1920), "an even height and width"),
        (ColorOrder.NV12, Size(1080, 1921), "an even height and width"),
        (ColorOrder.YUY2, Size(1081, 1921), "an even width"),
    ],
)
def test_pixels_that_share_a_colour_are_whole(color: ColorOrder, size: Size, sides: str) -> None:
    with pytest.raises(SpecError, match=f"Frame {size} is no {color} frame: these have {sides}."):
        camera(color, size)


def test_a_yuv_frame_may_have_an_odd_number_of_rows_in_yuy2() -> None:
    assert camera(ColorOrder.YUY2, Size(1081, 1920)).shape == (1081, 1920, 2)


def test_values_have_a_meaning_where_they_are_yuv_and_nowhere_else() -> None:
    yuv = Yuv(matrix=Matrix.BT709, range=Range.FULL)
    with pytest.raises(SpecError, match=r"Color 'nv12' needs a matrix and a range\."):
        Camera(size=HD, color=ColorOrder.NV12)
    with pytest.raises(SpecError, match=r"Color 'rgb' has no matrix or range\."):
        Camera(size=HD, color=ColorOrder.RGB, yuv=yuv)


def test_what_is_not_said_is_what_video_of_that_size_is() -> None:
    sd, hd = Size(576, 720), Size(720, 1280)
    assert usual_yuv(ColorOrder.NV12, sd) == Yuv(matrix=Matrix.BT601, range=Range.LIMITED)
    assert usual_yuv(ColorOrder.YUY2, hd) == Yuv(matrix=Matrix.BT709, range=Range.LIMITED)
    said = usual_yuv(ColorOrder.NV12, hd, Matrix.BT601, Range.FULL)
    assert said == Yuv(matrix=Matrix.BT601, range=Range.FULL)
    assert usual_yuv(ColorOrder.RGB, hd) is None


@pytest.mark.parametrize(
    ("color", "region", "even"),
    [
        (ColorOrder.NV12, Region(481, 0, 1080, 1080), "X, Y, WIDTH and HEIGHT"),
        (ColorOrder.NV12, Region(480, 1, 1080, 1078), "X, Y, WIDTH and HEIGHT"),
        (ColorOrder.NV12, Region(480, 0, 1080, 1079), "X, Y, WIDTH and HEIGHT"),
        (ColorOrder.YUY2, Region(480, 0, 1081, 1080), "X and WIDTH"),
    ],
)
def test_a_region_does_not_part_what_shares_a_colour(
    color: ColorOrder, region: Region, even: str
) -> None:
    message = f"Region {region} parts pixels that share a colour in {color}: {even} must be even."
    with pytest.raises(SpecError, match=message):
        camera(color).check_crop(region)


def test_regions_that_fit_are_taken() -> None:
    camera(ColorOrder.YUY2).check_crop(Region(480, 1, 1080, 1079))
    camera(ColorOrder.RGB).check_crop(Region(481, 1, 1439, 1079))
    camera(ColorOrder.NV12).check_crop(Region(0, 0, 1920, 1080))
    with pytest.raises(SpecError, match="reaches beyond the frame 1080x1920"):
        replace(camera(ColorOrder.RGB)).check_crop(Region(0, 1, 1920, 1080))
