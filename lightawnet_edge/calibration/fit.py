"""Whether frames are of the kind that a network was trained on, by its own batch norms.

Each batch norm holds mean and variance of what it saw in training. Frames of that kind give them
again, without a label; others do not. Needs torch.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

FRAMES = 16
"""So many frames, evenly spaced, are looked at."""


@torch.no_grad()
def mismatch(network: nn.Module, inputs: Iterable[Tensor]) -> float:
    """How far activations lie from their statistics in training, in nats; 0: they are the same.

    For each channel of a batch norm it is the divergence of two normal distributions, that of the
    frames from that of training; over its channels the mean counts, over all batch norms the
    median: early ones see light and colour, late ones what there is to segment.

    Args:
        network: In eval mode, with batch norms.
        inputs: Network inputs (1, C, h, w), one at least.
    """
    moments = {
        module: _Moments(module)
        for module in network.modules()
        if isinstance(module, nn.BatchNorm2d)
    }
    handles = [module.register_forward_pre_hook(one.see) for module, one in moments.items()]
    try:
        for x in inputs:
            network(x)
    finally:
        for handle in handles:
            handle.remove()
    return float(torch.stack([one.divergence() for one in moments.values()]).median())


class _Moments:
    """Sums of the values that reach a batch norm, and of their squares, by channel."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        self._norm = norm
        self._count = 0
        self._sum = self._squares = torch.zeros(norm.num_features, dtype=torch.float64)

    def see(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """A hook before the module."""
        x = inputs[0].double()
        self._sum = self._sum + x.sum((0, 2, 3))
        self._squares = self._squares + x.square().sum((0, 2, 3))
        self._count += x.numel() // x.shape[1]

    def divergence(self) -> Tensor:
        """Mean over the channels."""
        norm, mean = self._norm, self._sum / self._count
        assert norm.running_mean is not None
        assert norm.running_var is not None
        trained = norm.running_var.double() + norm.eps
        ratio = (self._squares / self._count - mean.square() + norm.eps) / trained
        shift = (mean - norm.running_mean.double()).square() / trained
        return ((ratio - 1 - ratio.log() + shift) / 2).mean()
