"""Augmentation: a frame's changes are its own, masks move with frames, values stay in range."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lightawnet_edge.training.augment import augment, draw
from lightawnet_edge.training.config import AugmentConfig

OFF = AugmentConfig(
    flip=0, transpose=0, rotation_deg=0, scale=0, shift=0, brightness=0, contrast=0, saturation=0,
    hue_deg=0, blur=0, highlights=0,
)  # fmt: skip
ALL = AugmentConfig(blur=0.5, highlights=0.5, aspect=0.2, white_balance=0.2, gamma=0.3)
N = 6


def only(**changes: float) -> AugmentConfig:
    values = {name: getattr(OFF, name) for name in OFF.__dataclass_fields__}
    return AugmentConfig(**(values | changes))


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Smooth frames whose red channel is bright exactly where the mask is."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(N, 3, 4, 4, generator=generator) * 0.4 + 0.1
    images = torch.nn.functional.interpolate(coarse, (48, 64), mode="bilinear")
    masks = torch.zeros(N, 1, 48, 64)
    masks[:, :, 10:26, 12:40] = 1
    images[:, :1] = 0.2 + 0.6 * masks
    return images, masks


def draws(seed: int = 0, epoch: int = 0) -> Tensor:
    return draw(seed, epoch, torch.arange(N))


def test_draws_depend_on_seed_epoch_and_frame_alone() -> None:
    assert torch.equal(draw(1, 2, torch.tensor([3, 5])), draw(1, 2, torch.arange(6))[[3, 5]])
    assert len({float(draws(seed, epoch)[0, 0]) for seed in (0, 1) for epoch in (0, 1)}) == 4
    assert 0 <= draws().min() <= draws().max() < 1


@pytest.mark.parametrize("in_channels", [1, 3])
def test_a_frame_is_changed_alike_in_any_batch(
    batch: tuple[Tensor, Tensor], in_channels: int
) -> None:
    images, masks = batch[0][:, :in_channels], batch[1]
    whole = augment(images, masks, draws(), ALL)
    for share in (torch.tensor([4]), torch.tensor([1, 3, 5])):
        part = augment(images[share], masks[share], draws()[share], ALL)
        assert torch.equal(part[0], whole[0][share])
        assert torch.equal(part[1], whole[1][share])


def test_values_stay_in_range_and_masks_binary(batch: tuple[Tensor, Tensor]) -> None:
    for epoch in range(5):
        images, masks = augment(*batch, draws(epoch=epoch), ALL)
        assert images.shape == batch[0].shape
        assert -1e-5 <= float(images.min()) <= float(images.max()) <= 1 + 1e-5
        assert torch.equal(masks, masks.bool().float())


@pytest.mark.parametrize("config", [OFF, AugmentConfig(strength=0)])
def test_nothing_happens_when_it_is_off(
    batch: tuple[Tensor, Tensor], config: AugmentConfig
) -> None:
    images, masks = augment(*batch, draws(), config)
    assert torch.equal(images, batch[0])
    assert torch.equal(masks, batch[1])


def test_flips_are_exact_and_all_four_occur(batch: tuple[Tensor, Tensor]) -> None:
    seen = set()
    for epoch in range(10):
        images, masks = augment(*batch, draws(epoch=epoch), only(flip=0.5))
        for before, after, mask in zip(batch[0], images, masks, strict=True):
            axes = [a for a in ((), (1,), (2,), (1, 2)) if torch.equal(before.flip(a), after)]
            assert len(axes) == 1
            assert torch.equal(mask, batch[1][0].flip(axes[0]))
            seen.add(axes[0])
    assert len(seen) == 4


def test_masks_move_with_their_frames(batch: tuple[Tensor, Tensor]) -> None:
    images, masks = augment(*batch, draws(), only(flip=0.5, rotation_deg=40, scale=0.3))
    assert not torch.equal(masks, batch[1])
    # Red is 0.8 inside and 0.2 (or, from outside, 0) elsewhere: the contour is at 0.5.
    assert torch.equal(masks, (images[:, :1] >= 0.5).float())


def test_what_comes_in_from_outside_is_black_background(batch: tuple[Tensor, Tensor]) -> None:
    images, masks = augment(
        torch.ones_like(batch[0]), torch.ones_like(batch[1]), draws(), only(rotation_deg=45)
    )
    corner = images[:, :, 0, 0]
    assert (corner.max(1).values < 0.5).any()
    assert torch.equal(masks[:, 0] == 0, images[:, 0] < 0.5)


def test_a_shift_moves_frames_each_its_own_way_within_its_reach(
    batch: tuple[Tensor, Tensor],
) -> None:
    _, masks = augment(*batch, draws(), only(shift=0.125))
    rows, columns = masks[:, 0].amax(2).argmax(1), masks[:, 0].amax(1).argmax(1)
    assert len(set(zip(rows.tolist(), columns.tolist(), strict=True))) > N // 2
    assert int((rows - 10).abs().max()) <= 0.125 * 48 + 1
    assert int((columns - 12).abs().max()) <= 0.125 * 64 + 1


@pytest.mark.parametrize(
    "changes",
    [
        {"brightness": 0.3}, {"contrast": 0.3}, {"saturation": 0.5}, {"hue_deg": 40.0},
        {"blur": 0.9}, {"highlights": 0.9}, {"white_balance": 0.3}, {"gamma": 0.5},
    ],
)  # fmt: skip
def test_looks_change_without_moving_anything(
    batch: tuple[Tensor, Tensor], changes: dict[str, float]
) -> None:
    images, masks = augment(*batch, draws(), only(**changes))
    assert torch.equal(masks, batch[1])
    moved = (images - batch[0]).abs().amax((1, 2, 3))
    assert (moved > 0.01).sum() >= N // 2


def test_brightness_stays_within_its_reach(batch: tuple[Tensor, Tensor]) -> None:
    images, _ = augment(*batch, draws(), only(brightness=0.1))
    shift = images - batch[0]
    assert float(shift.abs().max()) <= 0.1 + 1e-6
    assert torch.allclose(shift, shift[:, :1, :1, :1].expand_as(shift), atol=1e-6)


def test_white_balance_scales_red_and_blue_and_leaves_green(batch: tuple[Tensor, Tensor]) -> None:
    images, _ = augment(*batch, draws(), only(white_balance=0.2))
    gains = images / batch[0]
    assert torch.equal(images[:, 1], batch[0][:, 1])
    for channel in (0, 2):
        gain = gains[:, channel].flatten(1)
        assert torch.allclose(gain, gain[:, :1].expand_as(gain), atol=1e-5)
        assert 0.8 - 1e-6 <= float(gain.min()) < 0.95 < 1.05 < float(gain.max()) <= 1.2 + 1e-6


def test_gamma_bends_values_both_ways_and_keeps_black_and_white(
    batch: tuple[Tensor, Tensor],
) -> None:
    frames = batch[0].clone()
    frames[:, :, 0], frames[:, :, 1] = 0, 1
    images, _ = augment(frames, batch[1], draws(), only(gamma=0.5))
    assert torch.equal(images[:, :, :2], frames[:, :, :2])
    exponent = images[:, :, 2:].log() / frames[:, :, 2:].log()
    assert 1 / 1.5 - 1e-4 <= float(exponent.min()) < 0.95 < 1.05 < float(exponent.max()) <= 1.5001


def test_aspect_stretches_one_side_as_it_shrinks_the_other(batch: tuple[Tensor, Tensor]) -> None:
    masks = torch.zeros_like(batch[1])
    masks[:, :, 14:34, 22:42] = 1  # 20 x 20, in the middle
    _, found = augment(batch[0], masks, draws(), only(aspect=0.4))
    height, width = found[:, 0].amax(2).sum(1), found[:, 0].amax(1).sum(1)
    assert torch.allclose(height * width, torch.full_like(height, 400), rtol=0.12)
    assert int((width - height).max()) >= 3
    assert int((height - width).max()) >= 3


def test_strength_scales_the_reach(batch: tuple[Tensor, Tensor]) -> None:
    weak, _ = augment(*batch, draws(), only(brightness=0.05, strength=0.5))
    strong, _ = augment(*batch, draws(), only(brightness=0.05, strength=1.0))
    assert torch.allclose(2 * (weak - batch[0]), strong - batch[0], atol=1e-6)


def test_highlights_only_brighten_small_spots(batch: tuple[Tensor, Tensor]) -> None:
    images, _ = augment(*batch, draws(), only(highlights=0.99))
    gain = images - batch[0]
    assert float(gain.min()) >= 0
    lit = (gain.amax(1) > 0.1).float().mean((1, 2))
    assert (lit > 0).all()
    assert float(lit.max()) < 0.05
