"""Muon: momentum whose matrices are orthogonalized, for the kernels of a network.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
https://kellerjordan.github.io/posts/muon/. `torch.optim.Muon` takes matrices alone; here a kernel
(Cout, Cin, h, w) is the matrix (Cout, Cin h w), and a bank (K, Cout, Cin, h, w) is K of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Newton-Schulz polynomial that lifts small singular values fast and leaves all near 1."""


class Muon(Optimizer):
    """Nesterov momentum, orthogonalized, with decoupled weight decay."""

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        """`lr` is the size of a step: the singular values of the change of each matrix."""
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change every parameter that has a gradient."""
        assert closure is None, "Muon evaluates the loss once per step"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        mean: Tensor = state["momentum"]
        mean.mul_(group["momentum"]).add_(gradient)
        ahead = gradient + group["momentum"] * mean
        change = orthogonalize(matrices(ahead))
        rows, columns = change.shape[-2:]
        # A tall matrix has fewer singular values than rows: without this its rows would move less.
        change *= max(1.0, rows / columns) ** 0.5
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(change.reshape(parameter.shape), alpha=-group["lr"])


def matrices(x: Tensor) -> Tensor:
    """Kernels or a bank of them as matrices (K, Cout, rest)."""
    return x.flatten(2) if x.ndim == 5 else x.flatten(1)[None]


def orthogonalize(x: Tensor, steps: int = 5) -> Tensor:
    """Replace the singular values of matrices (K, rows, columns) by values near 1 (0.7 to 1.2).

    Five steps of a Newton-Schulz iteration, which needs matrix products alone.
    """
    a, b, c = _QUINTIC
    tall = x.shape[-2] > x.shape[-1]
    y: Tensor = x.mT if tall else x
    y = y / (y.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = y @ y.mT
        y = a * y + (b * gram + c * gram @ gram) @ y
    return y.mT if tall else y
