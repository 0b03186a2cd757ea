"""Losses: known values, gentle on empty masks, and independent of how a batch is sharded."""

from __future__ import annotations

import pytest
import torch

from lightawnet_edge.errors import SpecError
from lightawnet_edge.training import losses

SURE = 20.0


@pytest.fixture
def truth() -> torch.Tensor:
    truth = torch.zeros(2, 1, 16, 16)
    truth[0, :, 4:12, 4:12] = 1
    return truth


def test_a_perfect_prediction_costs_nothing(truth: torch.Tensor) -> None:
    assert losses.bce_dice((2 * truth - 1) * SURE, truth) == pytest.approx(0, abs=1e-4)


def test_dice_of_a_half_hit_is_the_formula(truth: torch.Tensor) -> None:
    half = truth.clone()
    half[0, :, 8:] = 0
    loss = losses.soft_dice((2 * half[:1] - 1) * SURE, truth[:1])
    expected = 1 - (2 * 32 + losses.SMOOTH_PX) / (32 + 64 + losses.SMOOTH_PX)
    assert float(loss) == pytest.approx(expected, abs=1e-4)


def test_an_empty_mask_is_free_when_left_alone_and_pulls_when_not(truth: torch.Tensor) -> None:
    empty = truth[1:]
    assert float(losses.soft_dice(torch.full_like(empty, -SURE), empty)) < 1e-4
    logits = torch.randn(
        empty.shape, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    (slope,) = torch.autograd.grad(losses.soft_dice(logits, empty), logits)
    assert torch.isfinite(slope).all()
    most_probable = int(logits.argmax())
    assert float(slope.flatten()[most_probable]) > 0


def test_a_false_alarm_on_an_empty_frame_pulls_as_hard_however_large_it_is() -> None:
    empty = torch.zeros(1, 1, 64, 64)
    pulls = []
    for side in (8, 32):
        logits = torch.full_like(empty, -SURE)
        logits[..., :side, :side] = 1.0
        logits.requires_grad_()
        (slope,) = torch.autograd.grad(losses.soft_dice(logits, empty), logits)
        pulls.append(float(slope.sum()))
    assert pulls[0] == pytest.approx(pulls[1], rel=1e-5)
    assert pulls[0] > 0.1


@pytest.mark.parametrize("name", ["bce", "bce-dice"])
def test_the_loss_of_a_batch_is_the_mean_of_its_shards(name: str, truth: torch.Tensor) -> None:
    logits = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    loss = losses.get(name)
    shards = [loss(logits[i : i + 1], truth[i : i + 1]) for i in range(2)]
    assert float(loss(logits, truth)) == pytest.approx(float(sum(shards)) / 2, rel=1e-6)


def test_distillation_rests_where_both_say_the_same() -> None:
    teacher = torch.linspace(-3, 3, 16).reshape(1, 1, 4, 4)
    student = teacher.clone().requires_grad_()
    (slope,) = torch.autograd.grad(losses.distillation(student, teacher), student)
    assert float(slope.abs().max()) < 1e-7
    apart = losses.distillation(teacher.flip(3), teacher)
    assert float(apart) > float(losses.distillation(teacher, teacher))


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(SpecError, match="Unknown loss 'focal'"):
        losses.get("focal")
