"""Frames and masks are scaled by products as the definition of preprocessing says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lightawnet_edge.model.preprocess import Mask, Preprocess, normalize, resize
from lightawnet_edge.model.scaling import ScaledFrame, ScaledMask, side_matrix
from lightawnet_edge.specs import ColorOrder, Matrix, Normalization, Range, Region, Size, Yuv

RGB, BGR, GRAY = ColorOrder.RGB, ColorOrder.BGR, ColorOrder.GRAY
STANDARD, MINMAX = Normalization(), Normalization(method="minmax")
FRAMES = [
    (480, 640), (576, 720), (720, 1280), (1080, 1350), (1080, 1920), (2160, 3840),
    (1079, 1917), (1061, 1063), (331, 419), (300, 192), (101, 2000), (40, 56), (17, 33),
]  # fmt: skip
"""Cameras; odd and prime sides; one side as the network's; and what is smaller than that."""
NETWORKS = [Size(192, 192), Size(256, 352)]


def frame_of(size: Size, color: ColorOrder) -> Tensor:
    """A smooth picture with noise on it, so that every pixel counts."""
    generator = torch.Generator().manual_seed(size.height * size.width)
    channels = 1 if color is GRAY else 3
    coarse = torch.rand((1, channels, 5, 7), generator=generator)
    smooth = resize(coarse, size)[0].permute(1, 2, 0) * 200
    noise = torch.randint(0, 56, smooth.shape, generator=generator)
    frame = (smooth + noise).to(torch.uint8)
    return frame[:, :, 0] if color is GRAY else frame


def defined(plain: Preprocess, frame: Tensor) -> Tensor:
    """What `plain` means, in float64."""
    part = frame if plain.crop is None else frame[plain.crop.slices]
    x = part.double()[None, None] if plain.color is GRAY else part.double().permute(2, 0, 1)[None]
    x = resize(x.flip(1) if plain.color is BGR else x, plain.size)
    return normalize(x / 255, plain.normalization)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize(("height", "width"), FRAMES)
@pytest.mark.parametrize(
    ("color", "normalization"), [(RGB, STANDARD), (BGR, MINMAX), (GRAY, STANDARD), (GRAY, MINMAX)]
)
def test_frames_differ_by_the_rounding_of_float32(
    height: int, width: int, network: Size, color: ColorOrder, normalization: Normalization
) -> None:
    plain, frame = Preprocess(network, normalization, color), frame_of(Size(height, width), color)
    found = ScaledFrame(plain, Size(height, width))(frame)
    # Of values in [-2, 2] 8e-7 was the most. `Preprocess` itself is 4e-5 away, and 2e-4 for noise
    # alone: torch computes the positions of its weights in float32.
    torch.testing.assert_close(found.double(), defined(plain, frame), rtol=0, atol=2e-6)
    torch.testing.assert_close(found, plain(frame), rtol=0, atol=5e-4)


def test_a_region_is_cut_first() -> None:
    region = Region(60, 11, 640, 480)
    plain = Preprocess(Size(192, 192), STANDARD, BGR, region)
    frame = frame_of(Size(600, 800), BGR)
    found = ScaledFrame(plain, region.size)(frame)
    torch.testing.assert_close(found.double(), defined(plain, frame), rtol=0, atol=5e-6)


@pytest.mark.parametrize(
    ("height", "width", "region"),
    [
        (1080, 1920, None),  # boxes of 5 rows: not whole pairs of them
        (720, 1280, None),
        (2160, 3840, None),
        (480, 640, Region(60, 10, 302, 322)),
        (202, 206, None),
    ],
)
@pytest.mark.parametrize("color", [ColorOrder.NV12, ColorOrder.YUY2])
def test_luma_and_colour_differences_are_scaled_as_they_lie(
    height: int, width: int, region: Region | None, color: ColorOrder
) -> None:
    yuv = Yuv(matrix=Matrix.BT709, range=Range.LIMITED)
    plain = Preprocess(Size(192, 192), STANDARD, color, region, yuv)
    shape = (height * 3 // 2, width) if color is ColorOrder.NV12 else (height, width, 2)
    generator = torch.Generator().manual_seed(height * width)
    frame = torch.randint(16, 236, shape, dtype=torch.uint8, generator=generator)
    found = ScaledFrame(plain, Size(height, width) if region is None else region.size)(frame)
    torch.testing.assert_close(found, plain(frame), rtol=0, atol=1e-3)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize(("height", "width"), FRAMES)
@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_masks_differ_where_logits_meet_the_threshold_alone(
    height: int, width: int, network: Size, threshold: float
) -> None:
    generator = torch.Generator().manual_seed(height * width)
    logits = torch.randn((1, 1, network.height, network.width), generator=generator)
    plain = Mask(Size(height, width), threshold)
    found, wanted = ScaledMask(plain, network)(logits), plain(logits)
    assert found.dtype == torch.uint8
    exact = resize(logits.double(), plain.size)[0, 0]
    far = (exact - plain.threshold).abs() > 1e-6  # 6e-9 was the most
    assert torch.equal(found[far], (exact >= plain.threshold)[far] * torch.tensor(255).byte())
    # Of noise, where neighbouring logits have other signs, and by what float32 makes of positions.
    # 9e-6 was the most.
    assert (found != wanted).double().mean() < 5e-5


def test_a_mask_stands_in_its_border() -> None:
    logits = torch.randn((1, 1, 32, 48), generator=torch.Generator().manual_seed(0))
    plain = Mask(Size(64, 96), 0.5, (3, 5, 7, 11))
    found = ScaledMask(plain, Size(32, 48))(logits)
    assert found.shape == (64 + 7 + 11, 96 + 3 + 5)
    assert torch.equal(found, plain(logits))


@pytest.mark.parametrize(("length", "target"), [(1080, 192), (640, 192), (1079, 352), (192, 1920)])
def test_each_new_pixel_is_a_mean(length: int, target: int) -> None:
    matrix = side_matrix(length, target)
    assert matrix.shape == (target, length)
    torch.testing.assert_close(matrix.sum(1), torch.ones(target, dtype=torch.float64))
    assert matrix.min() >= 0
