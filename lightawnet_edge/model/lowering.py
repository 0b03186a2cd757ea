"""LightAWNet rewritten for inference: exact rewrites, and the choice of routing.

Each rewrite is exact in real numbers; in float32 the whole network moves by less than 1e-5. What is
not exact is static routing: it replaces a kernel that depends on the frame by a constant one.

1. The batch norm after a dynamic convolution folds into its kernel bank; a constant bias is left.
2. A gate per pixel commutes with a 1x1 convolution, so the encoder's `project(cat[a, a * s])` is
   `D1 a + s * D2 a`. D1, D2 and the gate stack into one 1x1 convolution, or stay three.
3. Bilinear x2 keeps the mean and commutes with a scale per channel: the decoder's channel attention
   runs before the up-sampling, on a quarter of the pixels.
4. Every other batch norm folds into the convolution before it.
5. At batch 1 a dynamic convolution needs no groups: one convolution whose kernel is computed.
6. A 3x3 convolution to one channel leaves 15 of 16 vector lanes empty. It becomes one of stride 4
   to the 16 pixels of a tile, whose 6x6 kernels are the 3x3 one at 16 places, and the channels of
   a tile are then laid out as pixels.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.network import (
    NEGATIVE_SLOPE,
    DecoderBlock,
    DynamicConv,
    EncoderBlock,
    LightAWNet,
)
from lightawnet_edge.model.routing import RoutingTable, check_blocks

TILE = 4
"""Height and width of the tile of rewrite 6; network sizes are multiples of 16."""


class ComputedConv(nn.Module):
    """A dynamic convolution at batch 1: rewrites 1, 5 and, to one channel, 6."""

    def __init__(self, conv: DynamicConv) -> None:
        """Fold the batch norm of `conv`, in float64 so that the fold adds no error of its own."""
        super().__init__()
        assert conv.routing is not None
        self.routing = copy.deepcopy(conv.routing)
        bank, bias = folded_bank(conv)
        self.tile = TILE if conv.out_channels == 1 else 1
        if self.tile > 1:
            bank = tiled(bank[:, 0])
            bias = bias.repeat(TILE * TILE)
        self.kernel_shape = tuple(bank.shape[1:])
        # One row per expert: the kernel is then a (1, K) x (K, rest) matrix product.
        self.bank = nn.Parameter(bank.flatten(1), requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(1, Cin, H, W) to (1, Cout, H, W)."""
        routing = torch.sigmoid(self.routing(x.mean((2, 3), keepdim=True))).flatten(1)
        kernel = (routing @ self.bank).reshape(self.kernel_shape)
        out = F.conv2d(x, kernel, self.bias, stride=self.tile, padding=1)
        return F.pixel_shuffle(out, self.tile) if self.tile > 1 else out


class LoweredEncoder(nn.Module):
    """Encoder block after rewrites 2 and 4; its dynamic convolution is lowered apart."""

    def __init__(self, block: EncoderBlock, dynamic: nn.Module) -> None:
        super().__init__()
        self.depthwise = copy.deepcopy(block.depthwise)
        self.expand = _folded(block.expand, block.expand_norm)
        wide = block.expand.out_channels
        direct, gated = torch.split(block.project.weight, wide, dim=1)
        # The projection's bias belongs to the direct half; the gated half has none.
        self.direct = _conv(direct, block.project.bias)
        self.gated = _conv(gated, None)
        self.gate = copy.deepcopy(block.gate)
        self.dynamic = dynamic

    def forward(self, x: Tensor) -> Tensor:
        """(1, Cin, H, W) to (1, Cout, H, W)."""
        a = F.leaky_relu(self.expand(self.depthwise(x)), NEGATIVE_SLOPE)
        direct, gated, gate = self.project(a)
        out: Tensor = self.dynamic(direct + torch.sigmoid(gate) * gated + x)
        return out

    def project(self, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The halves of the projection, and the gate's logit, of (1, 4 Cin, H, W)."""
        return self.direct(a), self.gated(a), self.gate(a)


class StackedEncoder(LoweredEncoder):
    """The same with one convolution for the projection and the gate."""

    def __init__(self, block: EncoderBlock, dynamic: nn.Module) -> None:
        super().__init__(block, dynamic)
        parts = (self.direct, self.gated, self.gate)
        self.channels = [part.out_channels for part in parts]
        biases = [torch.zeros(p.out_channels) if p.bias is None else p.bias for p in parts]
        self.stacked = _conv(torch.cat([part.weight for part in parts]), torch.cat(biases))
        del self.direct, self.gated, self.gate

    def project(self, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As for `LoweredEncoder`."""
        direct, gated, gate = self.stacked(a).split(self.channels, dim=1)
        return direct, gated, gate


class TiledConv(nn.Conv2d):
    """A 3x3 convolution to one channel, computed for a tile of pixels at once: rewrite 6."""

    def __init__(self, conv: nn.Conv2d) -> None:
        """Take over the kernel of `conv`, which has padding 1."""
        super().__init__(conv.in_channels, TILE * TILE, TILE + 2, stride=TILE, padding=1)
        assert conv.bias is not None
        self.weight = nn.Parameter(tiled(conv.weight.detach())[0])
        self.bias = nn.Parameter(conv.bias.detach().repeat(TILE * TILE))

    def forward(self, x: Tensor) -> Tensor:
        """(1, C, H, W) to (1, 1, H, W); H and W are multiples of the tile."""
        return F.pixel_shuffle(super().forward(x), TILE)


def tiled(kernels: Tensor) -> Tensor:
    """Kernels (K, C, 3, 3) of one output channel, each at every place of a tile.

    Returns:
        (K, TILE * TILE, C, TILE + 2, TILE + 2).
    """
    placed = [
        F.pad(kernels, (x, TILE - 1 - x, y, TILE - 1 - y)) for y in range(TILE) for x in range(TILE)
    ]
    return torch.stack(placed, dim=1)


class LoweredDecoder(nn.Module):
    """Decoder block after rewrites 3 and 4; its dynamic convolution is lowered apart."""

    def __init__(self, block: DecoderBlock, dynamic: nn.Module) -> None:
        super().__init__()
        self.reduce = _folded(block.reduce, block.reduce_norm)
        self.squeeze = _as_conv(block.squeeze)
        self.excite = _as_conv(block.excite)
        self.dynamic = dynamic

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(1, Cin, H, W) and a skip (1, Cin/2, 2H, 2W) to (1, Cin/2, 2H, 2W)."""
        z = F.leaky_relu(self.reduce(x), NEGATIVE_SLOPE)
        hidden = F.relu(self.squeeze(z.mean((2, 3), keepdim=True)))
        z = z * torch.sigmoid(self.excite(hidden))
        size = (2 * x.shape[2], 2 * x.shape[3])
        z = F.interpolate(z, size=size, mode="bilinear", align_corners=False)
        out: Tensor = self.dynamic(z + skip)
        return out


def lower(
    model: LightAWNet, frozen: RoutingTable | None = None, *, stacked: bool = True
) -> LightAWNet:
    """Rewrite a network for batch-1 inference; `model` itself stays as it is.

    Args:
        model: The network in eval mode.
        frozen: Blocks whose routing becomes constant; None keeps all of them dynamic.
        stacked: Whether an encoder's projection and gate are one convolution, whose output is split
            (for ONNX Runtime, where that is a copy of rows), or three (for OpenVINO, whose split of
            interleaved channels takes longer than the three).

    Raises:
        SpecError: The network is in training mode, or `frozen` names a block that is not dynamic.
    """
    if model.training:
        raise SpecError("Only a network in eval mode can be lowered: call model.eval() first.")
    frozen = frozen or {}
    known = model.dynamic_convs()
    check_blocks(frozen, known)
    lowered = copy.deepcopy(model)
    encoder = StackedEncoder if stacked else LoweredEncoder
    for name, block in model.named_children():
        if name not in known:
            continue
        dynamic = lower_dynamic(known[name], frozen.get(name))
        if isinstance(block, EncoderBlock):
            setattr(lowered, name, encoder(block, dynamic))
        elif isinstance(block, DecoderBlock):
            setattr(lowered, name, LoweredDecoder(block, dynamic))
        else:
            setattr(lowered, name, dynamic)
    return lowered.eval()


def lower_dynamic(conv: DynamicConv, routing: Tensor | None = None) -> nn.Module:
    """A computed-kernel convolution, or a constant one where `routing` of shape (K,) is given."""
    if conv.routing is None:
        routing = torch.ones(1)
    if routing is None:
        return ComputedConv(conv)
    bank, bias = folded_bank(conv)
    if routing.shape != bank.shape[:1]:
        raise SpecError(
            f"Routing of shape {tuple(routing.shape)} does not fit {bank.shape[0]} experts."
        )
    plain = _conv(torch.einsum("k,koihw->oihw", routing.to(bank.dtype), bank), bias, padding=1)
    return TiledConv(plain) if plain.out_channels == 1 else plain


def folded_bank(conv: DynamicConv) -> tuple[Tensor, Tensor]:
    """Kernel bank (K, Cout, Cin, 3, 3) with its batch norm folded in, and the bias left (Cout,)."""
    norm = conv.norm
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    bank = conv.bank.double() * scale[None, :, None, None, None]
    bias = norm.bias.double() - norm.running_mean.double() * scale
    return bank.float().detach(), bias.float().detach()


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    return fuse_conv_bn_eval(copy.deepcopy(conv).double(), copy.deepcopy(norm).double()).float()


def _as_conv(linear: nn.Linear) -> nn.Conv2d:
    """A linear layer over channels as a 1x1 convolution: no reshape in the exported graph."""
    return _conv(linear.weight[:, :, None, None], None)


def _conv(weight: Tensor, bias: Tensor | None, padding: int = 0) -> nn.Conv2d:
    """A plain convolution with these tensors, copied."""
    out_channels, in_channels, *kernel = weight.shape
    conv = nn.Conv2d(in_channels, out_channels, (kernel[0], kernel[1]), padding=padding)
    conv.weight = nn.Parameter(weight.detach().clone())
    conv.bias = None if bias is None else nn.Parameter(bias.detach().clone())
    return conv
