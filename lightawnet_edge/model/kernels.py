"""Convolutions as numbers: folded, composed, and laid out for what computes them.

Everything stays in the type of what it is given: a network that is lowered in float64 gains no
error from its rewrites.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from lightawnet_edge.model.network import DynamicConv

TILE = 4
"""Height and width of a tile of logits; network sizes are multiples of 16."""
CELL = 4
"""Pixels of a row that make a cell: with three channels, 12 of 16 lanes are then in use."""


def plain(
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
) -> nn.Conv2d:
    """A convolution with these tensors, copied."""
    out_channels, in_channels, height, width = weight.shape
    conv = nn.Conv2d(in_channels, out_channels, (height, width), stride=stride, padding=padding)
    conv.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    conv.bias = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False)
    return conv


def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A convolution with the batch norm behind it."""
    return fuse_conv_bn_eval(copy.deepcopy(conv), copy.deepcopy(norm))


def as_conv(linear: nn.Linear) -> nn.Conv2d:
    """A linear layer over channels as a 1x1 convolution: no reshape in the exported graph."""
    return plain(linear.weight[:, :, None, None], None)


def folded_bank(conv: DynamicConv) -> tuple[Tensor, Tensor]:
    """Kernel bank (K, Cout, Cin, 3, 3) with its batch norm folded in, and the bias left (Cout,)."""
    norm = conv.norm
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    bank = conv.bank * scale[None, :, None, None, None]
    bias = norm.bias - norm.running_mean * scale
    return bank.detach(), bias.detach()


def reduced(bank: Tensor, bias: Tensor, after: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Bank (K, Cout, Cin, 3, 3) and bias (Cout,) with a 1x1 convolution that follows."""
    assert after.bias is not None
    matrix = after.weight[:, :, 0, 0]
    bank = torch.einsum("po,koihw->kpihw", matrix, bank)
    return bank.detach(), (matrix @ bias + after.bias).detach()


def tiled(kernels: Tensor) -> Tensor:
    """Kernels (K, C, 3, 3) of one output channel, each at every place of a tile.

    Returns:
        (K, TILE * TILE, C, TILE + 2, TILE + 2).
    """
    placed = [
        F.pad(kernels, (x, TILE - 1 - x, y, TILE - 1 - y)) for y in range(TILE) for x in range(TILE)
    ]
    return torch.stack(placed, dim=1)


def in_cells(weight: Tensor) -> Tensor:
    """A kernel of pixels as a kernel of cells, whose channels are those of each pixel in turn.

    Args:
        weight: (Cout, Cin, kh, kw) of odd kw, for a padding of kw // 2.

    Returns:
        (CELL * Cout, CELL * Cin, kh, cells), for a padding of cells // 2.
    """
    out_channels, in_channels, height, width = weight.shape
    reach = -(-(width // 2) // CELL)
    cells = weight.new_zeros(CELL, out_channels, CELL, in_channels, height, 2 * reach + 1)
    for pixel in range(CELL):
        for tap in range(width):
            cell, place = divmod(pixel + tap - width // 2, CELL)
            cells[pixel, :, place, :, :, cell + reach] = weight[:, :, :, tap]
    return cells.reshape(CELL * out_channels, CELL * in_channels, height, 2 * reach + 1)


def to_cells(x: Tensor) -> Tensor:
    """(1, C, H, W) to (1, CELL * C, H, W / CELL): a view, where channels lie innermost."""
    _, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(1, height, width // CELL, CELL * channels)
    return rows.permute(0, 3, 1, 2)


def to_pixels(x: Tensor) -> Tensor:
    """(1, CELL * C, H, W / CELL) back to (1, C, H, W)."""
    _, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(1, height, CELL * width, channels // CELL)
    return rows.permute(0, 3, 1, 2)
