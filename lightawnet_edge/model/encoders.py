"""Encoder blocks rewritten for inference, each of them exact: see `model.lowering`."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightawnet_edge.model.kernels import CELL, folded, in_cells, plain, to_cells, to_pixels
from lightawnet_edge.model.network import NEGATIVE_SLOPE, EncoderBlock

RUN = 16
"""Pixels whose gates one convolution gives; every map of `e2` and `e3` has a multiple of these."""


class LoweredEncoder(nn.Module):
    """Encoder block after rewrites 2 and 4; its dynamic convolution is lowered apart."""

    def __init__(self, block: EncoderBlock, dynamic: nn.Module) -> None:
        super().__init__()
        self.depthwise = copy.deepcopy(block.depthwise)
        self.expand = folded(block.expand, block.expand_norm)
        wide = block.expand.out_channels
        direct, gated = torch.split(block.project.weight, wide, dim=1)
        # The projection's bias belongs to the direct half; the gated half has none.
        self.direct = plain(direct, block.project.bias)
        self.gated = plain(gated, None)
        self.gate = copy.deepcopy(block.gate)
        self.dynamic = dynamic

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """From (1, Cin, H, W) to what the dynamic convolution reads, and (1, Cout, H, W)."""
        a = F.leaky_relu(self.expand(self.depthwise(x)), NEGATIVE_SLOPE)
        direct, gated, gate = self.project(a)
        mixed = direct + gate * gated + x
        return mixed, self.finish(mixed)

    def finish(self, mixed: Tensor) -> Tensor:
        """The dynamic convolution."""
        out: Tensor = self.dynamic(mixed)
        return out

    def project(self, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The halves of the projection, and the gate in (0, 1), of (1, 4 Cin, H, W)."""
        return self.direct(a), self.gated(a), torch.sigmoid(self.gate(a))


class StackedEncoder(LoweredEncoder):
    """The same with one convolution for the projection and the gate."""

    def __init__(self, block: EncoderBlock, dynamic: nn.Module) -> None:
        super().__init__(block, dynamic)
        parts = (self.direct, self.gated, self.gate)
        self.channels = [part.out_channels for part in parts]
        biases = [p.weight.new_zeros(p.out_channels) if p.bias is None else p.bias for p in parts]
        self.stacked = plain(torch.cat([part.weight for part in parts]), torch.cat(biases))
        del self.direct, self.gated, self.gate

    def project(self, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As for `LoweredEncoder`."""
        direct, gated, gate = self.stacked(a).split(self.channels, dim=1)
        return direct, gated, torch.sigmoid(gate)


class RunEncoder(LoweredEncoder):
    """The same with the gates of `RUN` pixels from one convolution: rewrite 11."""

    def __init__(self, block: EncoderBlock, dynamic: nn.Module) -> None:
        super().__init__(block, dynamic)
        assert block.gate.bias is not None
        row = block.gate.weight[:, :, 0, 0]
        weight = torch.kron(torch.eye(RUN, dtype=row.dtype), row)
        self.gate = plain(weight[:, :, None, None], block.gate.bias.repeat(RUN))

    def project(self, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As for `LoweredEncoder`; H * W is a multiple of `RUN`."""
        _, channels, height, width = a.shape
        runs = a.permute(0, 2, 3, 1).reshape(1, height * width // RUN, 1, RUN * channels)
        gate = torch.sigmoid(self.gate(runs.permute(0, 3, 1, 2)))
        gate = gate.permute(0, 2, 3, 1).reshape(1, 1, height, width)
        return self.direct(a), self.gated(a), gate


class CellEncoder(LoweredEncoder):
    """The first block in cells of pixels: rewrite 8."""

    def __init__(self, block: EncoderBlock, dynamic: nn.Module, *, wide: bool = False) -> None:
        """`wide`: compute `dynamic`, a plain convolution then, in cells, too."""
        super().__init__(block, dynamic)
        channels = block.depthwise.in_channels
        height, width = block.depthwise.kernel_size
        dense = block.depthwise.weight.new_zeros(channels, channels, height, width)
        dense[range(channels), range(channels)] = block.depthwise.weight[:, 0]
        self.depthwise = _cell_conv(plain(dense, block.depthwise.bias))
        self.expand = _cell_conv(self.expand)
        self.direct = _cell_conv(self.direct)
        self.gated = _cell_conv(self.gated)
        # A gate for each channel of its pixel: a product of equals needs no layout of its own.
        assert block.gate.bias is not None
        self.gate = _cell_conv(
            plain(block.gate.weight.repeat(channels, 1, 1, 1), block.gate.bias.repeat(channels))
        )
        self.wide = wide
        if wide:
            assert isinstance(dynamic, nn.Conv2d)
            self.dynamic = _cell_conv(dynamic)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """From (1, C, H, W) to the first in cells, and to (1, Cout, H, W); W in whole cells."""
        return super().forward(to_cells(x))

    def finish(self, mixed: Tensor) -> Tensor:
        """As for `LoweredEncoder`; from cells to pixels."""
        if self.wide:
            return to_pixels(super().finish(mixed))
        return super().finish(to_pixels(mixed))


def _cell_conv(conv: nn.Conv2d) -> nn.Conv2d:
    weight = in_cells(conv.weight)
    bias = None if conv.bias is None else conv.bias.repeat(CELL)
    return plain(weight, bias, padding=(weight.shape[2] // 2, weight.shape[3] // 2))
