"""Training losses: means over images, so that they do not depend on how a batch is sharded."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lightawnet_edge.errors import SpecError

Loss = Callable[[Tensor, Tensor], Tensor]

SMOOTH_PX = 16.0
"""Added to both sides of the Dice ratio, in pixels: keeps the gradient of tiny lesions finite."""
EMPTY_SHARE = 0.005
"""Share of an empty frame's pixels that its term looks at: the most probable ones."""


def bce(logits: Tensor, truth: Tensor) -> Tensor:
    """Mean binary cross-entropy of logits and truth in {0, 1}, both (N, 1, H, W)."""
    return F.binary_cross_entropy_with_logits(logits, truth)


def soft_dice(logits: Tensor, truth: Tensor) -> Tensor:
    """One minus the Dice of probabilities, each image apart, averaged; 0 is perfect.

    The Dice of an empty frame is 0 as soon as one pixel is found, so what counts there is how
    probable the most probable pixels are: their mean takes the place of the ratio, whose gradient
    fades with every pixel that is found wrongly.

    References:
        Milletari et al. 2016, "V-Net", arXiv 1606.04797; squares left out of the denominator.
    """
    probability = torch.sigmoid(logits).flatten(1)
    found, true = probability.sum(1), truth.flatten(1).sum(1)
    overlap = (probability * truth.flatten(1)).sum(1)
    lost = 1 - (2 * overlap + SMOOTH_PX) / (found + true + SMOOTH_PX)
    worst = max(1, round(EMPTY_SHARE * probability.shape[1]))
    alarm = probability.topk(worst, dim=1).values.mean(1)
    return torch.where(true > 0, lost, alarm).mean()


def bce_dice(logits: Tensor, truth: Tensor) -> Tensor:
    """Sum of `bce` and `soft_dice`."""
    return bce(logits, truth) + soft_dice(logits, truth)


def distillation(logits: Tensor, teacher: Tensor) -> Tensor:
    """Mean cross-entropy between a teacher's probabilities and ours; logits of both (N, 1, H, W).

    References:
        Hinton et al. 2015, "Distilling the knowledge in a neural network", arXiv 1503.02531.
    """
    return bce(logits, torch.sigmoid(teacher))


def get(name: str) -> Loss:
    """Loss by the name that the config uses.

    Raises:
        SpecError: The name is unknown.
    """
    losses: dict[str, Loss] = {"bce-dice": bce_dice, "bce": bce}
    if name not in losses:
        raise SpecError(f"Unknown loss '{name}'. Known: {', '.join(losses)}.")
    return losses[name]
