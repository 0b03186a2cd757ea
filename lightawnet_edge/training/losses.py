"""Training losses: means over images, so that they do not depend on how a batch is sharded."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lightawnet_edge.errors import SpecError

Loss = Callable[[Tensor, Tensor], Tensor]

SMOOTH_PX = 16.0
"""Added to both sides of the Dice ratio, in pixels. On an empty mask it turns the ratio into a pull
towards no foreground, where the plain ratio would give 0 whatever is predicted."""


def bce(logits: Tensor, truth: Tensor) -> Tensor:
    """Mean binary cross-entropy of logits and truth in {0, 1}, both (N, 1, H, W)."""
    return F.binary_cross_entropy_with_logits(logits, truth)


def soft_dice(logits: Tensor, truth: Tensor) -> Tensor:
    """One minus the Dice of probabilities, each image apart, averaged; 0 is perfect.

    References:
        Milletari et al. 2016, "V-Net", arXiv 1606.04797; squares left out of the denominator.
    """
    probability = torch.sigmoid(logits)
    overlap = (probability * truth).sum((1, 2, 3))
    total = probability.sum((1, 2, 3)) + truth.sum((1, 2, 3))
    return (1 - (2 * overlap + SMOOTH_PX) / (total + SMOOTH_PX)).mean()


def bce_dice(logits: Tensor, truth: Tensor) -> Tensor:
    """Sum of `bce` and `soft_dice`."""
    return bce(logits, truth) + soft_dice(logits, truth)


def get(name: str) -> Loss:
    """Loss by the name that the config uses.

    Raises:
        SpecError: The name is unknown.
    """
    losses: dict[str, Loss] = {"bce-dice": bce_dice, "bce": bce}
    if name not in losses:
        raise SpecError(f"Unknown loss '{name}'. Known: {', '.join(losses)}.")
    return losses[name]
