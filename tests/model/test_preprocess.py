from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lightawnet_edge.model.preprocess import Preprocess, box_factor, normalize, resize
from lightawnet_edge.specs import ColorOrder, Normalization, Size

SCALE = Normalization(mean=0, std=1)
"""Leaves values in [0, 1] as they are."""
LENGTHS = st.integers(1, 4000)
TARGETS = st.integers(1, 600)


def waves(length: int, period: float, phase: float) -> Tensor:
    """Vertical stripes of amplitude 1, shape (1, 1, 4, length)."""
    x = torch.arange(length, dtype=torch.float64)
    stripes = torch.cos(2 * math.pi * (x / period + phase)).float()
    return stripes.expand(1, 1, 4, length)


def ramp(height: int, width: int) -> Tensor:
    """Planes of slope (1, 2) in units of the image's own height and width, shape (1, 1, H, W)."""
    y = (torch.arange(height, dtype=torch.float64) + 0.5) / height
    x = (torch.arange(width, dtype=torch.float64) + 0.5) / width
    return (y[:, None] + 2 * x)[None, None].float()


@given(length=LENGTHS, target=TARGETS)
def test_boxes_tile_the_side_and_leave_at_least_the_target(length: int, target: int) -> None:
    factor = box_factor(length, target)
    assert factor >= 1
    assert length % factor == 0
    assert factor == 1 or length // factor >= target


@given(length=LENGTHS, target=TARGETS)
def test_no_larger_box_would_do(length: int, target: int) -> None:
    factor = box_factor(length, target)
    assert not [f for f in range(factor + 1, length // target + 1) if length % f == 0]


@pytest.mark.parametrize(
    ("length", "target", "factor"),
    [(1080, 352, 3), (1920, 352, 5), (704, 352, 2), (1079, 352, 1), (352, 352, 1), (100, 352, 1)],
)
def test_boxes_of_known_sides(length: int, target: int, factor: int) -> None:
    assert box_factor(length, target) == factor


@pytest.mark.parametrize(
    ("height", "width"),
    # Boxes first; boxes last on one side; on both sides (both prime or nearly so); exact boxes.
    [(1080, 1920), (720, 1280), (1079, 1917), (704, 1056), (1061, 1063)],
)
def test_a_fine_checkerboard_becomes_flat_gray(height: int, width: int) -> None:
    y, x = torch.arange(height)[:, None], torch.arange(width)
    board = ((y + x) % 2).float()[None, None]
    small = resize(board, Size(352, 352))
    assert small.shape == (1, 1, 352, 352)
    # An odd box keeps 1/n of the contrast per side; one pixel at the rim sees the edge repeated.
    assert (small[..., 1:-1, 1:-1] - 0.5).abs().max() < 0.1
    assert small.mean().item() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("length", range(129, 520, 13))
def test_stripes_finer_than_the_new_pixels_fade(length: int) -> None:
    ratio = length / 64
    for period in (2.0, 2.05, ratio / 1.5, ratio):
        for phase in (0.0, 0.25):
            small = resize(waves(length, max(2.0, period), phase), Size(4, 64))
            # A box alone keeps 1/3 of the finest stripes; without boxes it would be all.
            assert small[..., 2:-2].abs().max() < 0.4


@pytest.mark.parametrize(
    ("height", "width"),
    [(1080, 1920), (1079, 1917), (720, 1280), (576, 720), (704, 1056), (353, 351), (97, 1917)],
)
def test_a_ramp_stays_the_same_ramp(height: int, width: int) -> None:
    small = resize(ramp(height, width), Size(352, 352))
    inner = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    # Interpolation beyond the outermost pixels repeats them, so the rim is left out.
    torch.testing.assert_close(small[inner], ramp(352, 352)[inner], rtol=0, atol=2e-4)


@given(height=st.integers(1, 300), width=st.integers(1, 300))
def test_any_size_resizes_and_keeps_a_flat_image(height: int, width: int) -> None:
    flat = torch.full((2, 3, height, width), 0.3)
    small = resize(flat, Size(32, 48))
    torch.testing.assert_close(small, torch.full((2, 3, 32, 48), 0.3))


def test_the_same_size_changes_nothing() -> None:
    x = torch.rand(1, 3, 32, 48)
    assert torch.equal(resize(x, Size(32, 48)), x)


def test_shrinking_by_two_averages_pairs() -> None:
    x = torch.rand(1, 3, 64, 96)
    torch.testing.assert_close(resize(x, Size(32, 48)), torch.nn.functional.avg_pool2d(x, 2))


def test_enlarging_interpolates_between_pixel_centres() -> None:
    x = torch.tensor([[[[0.0, 1.0]]]])
    assert resize(x, Size(1, 4)).tolist() == [[[[0.0, 0.25, 0.75, 1.0]]]]


def test_bgr_frames_give_what_flipped_rgb_frames_give() -> None:
    frame = torch.randint(0, 256, (70, 90, 3), dtype=torch.uint8)
    rgb = Preprocess(Size(32, 32), Normalization(), ColorOrder.RGB)
    bgr = Preprocess(Size(32, 32), Normalization(), ColorOrder.BGR)
    assert torch.equal(bgr(frame), rgb(frame.flip(2)))
    assert not torch.equal(bgr(frame), rgb(frame))


def test_rgb_channels_keep_their_places() -> None:
    frame = torch.zeros(32, 32, 3, dtype=torch.uint8)
    frame[..., 0], frame[..., 2] = 255, 51
    x = Preprocess(Size(16, 16), SCALE, ColorOrder.RGB)(frame)
    assert x.shape == (1, 3, 16, 16)
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.tensor([1.0, 0.0, 0.2]))


def test_gray_frames_have_one_channel() -> None:
    frame = torch.full((40, 50), 128, dtype=torch.uint8)
    x = Preprocess(Size(32, 48), SCALE, ColorOrder.GRAY)(frame)
    torch.testing.assert_close(x, torch.full((1, 1, 32, 48), 128 / 255))


def test_standard_normalization_centres_and_divides() -> None:
    x = torch.tensor([0.0, 0.5, 1.0])[None, None, None]
    assert normalize(x, Normalization()).flatten().tolist() == [-2.0, 0.0, 2.0]


def test_minmax_stretches_each_image_to_its_own_range() -> None:
    x = torch.stack([torch.linspace(0.2, 0.4, 12), torch.linspace(0, 1, 12)]).reshape(2, 3, 2, 2)
    y = normalize(x, Normalization(method="minmax"))
    assert y.amin((1, 2, 3)).tolist() == [0, 0]
    torch.testing.assert_close(y.amax((1, 2, 3)), torch.ones(2))
    torch.testing.assert_close(y[0], y[1])


@pytest.mark.parametrize("value", [0, 7, 255])
def test_minmax_of_a_flat_frame_is_zero_not_nan(value: int) -> None:
    frame = torch.full((48, 48), value, dtype=torch.uint8)
    x = Preprocess(Size(16, 16), Normalization(method="minmax"), ColorOrder.GRAY)(frame)
    assert torch.equal(x, torch.zeros(1, 1, 16, 16))
