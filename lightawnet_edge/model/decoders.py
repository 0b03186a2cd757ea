"""Attention and decoder blocks rewritten for inference, each exact: see `model.lowering`."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightawnet_edge.model.kernels import as_conv, plain
from lightawnet_edge.model.network import NEGATIVE_SLOPE, DecoderBlock, NonLocalAttention


class LoweredDecoder(nn.Module):
    """Decoder block after rewrites 3 and 7: its `reduce` is part of what comes before it."""

    reduce: nn.Conv2d
    """Of the first decoder alone, whose `reduce` the attention takes half of."""

    def __init__(self, block: DecoderBlock, *, transposed: bool = False) -> None:
        """Take the block's channel attention; up-sample by a transposed convolution, or not."""
        super().__init__()
        self.squeeze = as_conv(block.squeeze)
        self.excite = as_conv(block.excite)
        channels = block.excite.out_features
        self.up: nn.Module = TransposedUp(channels) if transposed else InterpolatedUp()
        self._joined = ""

    def join(self, name: str, dynamic: nn.Module) -> None:
        """Take the block's dynamic convolution; its name says what else is in it."""
        self._joined = name
        self.add_module(name, dynamic)

    def forward(self, reduced: Tensor, skip: Tensor | None) -> Tensor:
        """What `reduce` gives (1, C, H, W), and a skip (1, C, 2H, 2W), to (1, Cout, 2H, 2W).

        Without a skip, the block ends before its up-sampling.
        """
        z = F.leaky_relu(reduced, NEGATIVE_SLOPE)
        hidden = F.relu(self.squeeze(z.mean((2, 3), keepdim=True)))
        z = z * torch.sigmoid(self.excite(hidden))
        if skip is None:
            return z
        out: Tensor = self.get_submodule(self._joined)(self.up(z) + skip)
        return out


class InterpolatedUp(nn.Module):
    """Bilinear x2."""

    def forward(self, x: Tensor) -> Tensor:
        """(1, C, H, W) to (1, C, 2H, 2W)."""
        size = (2 * x.shape[2], 2 * x.shape[3])
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


class TransposedUp(nn.ConvTranspose2d):
    """The same as a transposed convolution per channel over repeated edges: rewrite 10."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 4, stride=2, padding=3, groups=channels, bias=False)
        taps = torch.tensor([0.25, 0.75, 0.75, 0.25])
        weight = (taps[:, None] * taps).expand(channels, 1, 4, 4)
        self.weight = nn.Parameter(weight.clone(), requires_grad=False)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(1, C, H, W) to (1, C, 2H, 2W)."""
        # torch gives `apply` no types.
        repeated = _Repeated.apply(x)  # type: ignore[no-untyped-call]
        return super().forward(repeated, output_size)


class _Repeated(torch.autograd.Function):
    """One more pixel on every side, like its neighbour.

    Its exporter states the pads; those of `F.pad` would be computed in the graph.
    """

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return F.pad(x, (1, 1, 1, 1), mode="replicate")

    @staticmethod
    def symbolic(g: Any, x: Any) -> Any:
        pads = g.op("Constant", value_t=torch.tensor([0, 0, 1, 1, 0, 0, 1, 1]))
        return g.op("Pad", x, pads, mode_s="edge")


class LoweredAttention(nn.Module):
    """Non-local attention with the 1x1 convolution behind it: rewrite 9.

    It gives the attended half of that convolution; the other half is the convolution itself, of
    the same input. Tokens come first, so that no product transposes its larger operand.
    """

    def __init__(self, attention: NonLocalAttention, after: nn.Conv2d, name: str) -> None:
        """Take `after`, whose bias is left to the other half, into the value of that name."""
        super().__init__()
        self.query = attention.query
        self.key = attention.key
        assert attention.value.bias is not None
        matrix = attention.gamma * after.weight[:, :, 0, 0]
        weight = matrix @ attention.value.weight[:, :, 0, 0]
        self._name = f"value+{name}"
        self.add_module(self._name, plain(weight[:, :, None, None], matrix @ attention.value.bias))

    def forward(self, x: Tensor) -> Tensor:
        """(1, C, h, w) to (1, Cout, h, w)."""
        height, width = x.shape[2:]
        value = _tokens(self.get_submodule(self._name)(x))
        query, key = _tokens(self.query(x)), _tokens(self.key(x))
        mixed = torch.softmax(query @ key.transpose(1, 2), dim=-1) @ value
        return mixed.reshape(1, height, width, -1).permute(0, 3, 1, 2)


def _tokens(x: Tensor) -> Tensor:
    _, channels, height, width = x.shape
    return x.permute(0, 2, 3, 1).reshape(1, height * width, channels)
