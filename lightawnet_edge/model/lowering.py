"""LightAWNet rewritten for inference: exact rewrites, and the choice of routing.

Each rewrite is exact in real numbers; in float32 the whole network moves by less than 1e-5. What is
not exact is static routing: it replaces a kernel that depends on the frame by a constant one.

For every target:

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
7. Nothing stands between a decoder's 3x3 convolution and the 1x1 one that the next decoder begins
   with: they are one, to half the channels; a bank of kernels likewise.
9. `reduce(gamma A v + x) = reduce(x) + A (gamma R v)`: the attention mixes half the channels.

Where `Rewrites` asks for it:

8. The first block works on cells of four pixels: its 7x7 convolution per channel is a dense one of
   12 channels, and no vector lane is empty.
10. Bilinear x2 is a transposed convolution per channel over repeated edges.
11. The gates of 16 pixels are one convolution of block-diagonal kernel.
12. The logits are one linear map of two small inputs: see `model.head`.

A convolution that does the work of several goes by their names with a plus, `u1/dynamic+u2/reduce`,
and is dynamic where its first part is.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.decoders import InterpolatedUp, LoweredAttention, LoweredDecoder
from lightawnet_edge.model.encoders import (
    CellEncoder,
    LoweredEncoder,
    RunEncoder,
    StackedEncoder,
)
from lightawnet_edge.model.head import TiledHead
from lightawnet_edge.model.kernels import TILE, folded, folded_bank, plain, reduced, tiled
from lightawnet_edge.model.network import DynamicConv, EncoderBlock, LightAWNet, resize_aligned
from lightawnet_edge.model.routing import RoutingTable, check_blocks
from lightawnet_edge.rewrites import USUAL, Rewrites

_ENCODERS = ("e1", "e2", "e3", "a4", "a5")
_DECODERS = ("u1", "u2", "u3", "u4")
_IN_RUNS = ("e2", "e3")
_IN_TILES = ("e1", "u4", "out")


class ComputedConv(nn.Module):
    """A dynamic convolution at batch 1: rewrites 1, 5 and, to one channel, 6."""

    def __init__(self, routing: nn.Conv2d, bank: Tensor, bias: Tensor) -> None:
        """Mix a folded bank (K, Cout, Cin, 3, 3) by the sigmoid of `routing`."""
        super().__init__()
        self.routing = copy.deepcopy(routing)
        self.tile = TILE if bank.shape[1] == 1 else 1
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


class LoweredNetwork(nn.Module):
    """LightAWNet at batch 1, with the rewrites that were asked for."""

    e1: LoweredEncoder
    e2: LoweredEncoder
    e3: LoweredEncoder
    a4: LoweredEncoder
    a5: LoweredEncoder
    u1: LoweredDecoder
    u2: LoweredDecoder
    u3: LoweredDecoder
    u4: LoweredDecoder

    def __init__(
        self, model: LightAWNet, dynamic: dict[str, nn.Module], rewrites: Rewrites, *, bgr: bool
    ) -> None:
        """Rewrite a network in eval mode, which may be used no more.

        Args:
            model: The network.
            dynamic: Its dynamic convolutions by block, lowered; those of the decoders with the
                1x1 convolution behind them.
            rewrites: Beside those that are always made.
            bgr: Whether the network was turned to take BGR.
        """
        super().__init__()
        self.takes_bgr = bgr
        self.tiles_logits = _can_tile(dynamic, rewrites)
        for name in _ENCODERS:
            setattr(self, name, _encoder(name, getattr(model, name), dynamic[name], rewrites))
        self.b4, self.b5, self.s4 = model.b4, model.b5, model.s4
        first = folded(model.u1.reduce, model.u1.reduce_norm)
        self.attention = LoweredAttention(model.attention, first, "u1/reduce")
        for name, after in zip(_DECODERS, (*_DECODERS[1:], None), strict=True):
            joined = "dynamic" if after is None else f"dynamic+{after}/reduce"
            decoder = LoweredDecoder(getattr(model, name), transposed=rewrites.transposed)
            if name != "u4" or not self.tiles_logits:
                decoder.join(joined, dynamic[name])
            setattr(self, name, decoder)
        self.u1.reduce = first
        self.out = _tiled_head(model, dynamic) if self.tiles_logits else dynamic["out"]

    def forward(self, x: Tensor) -> Tensor:
        """Logits (1, Cout, H, W) of (1, Cin, H, W); H and W are multiples of 16."""
        mixed, e1 = self.e1(x)
        _, e2 = self.e2(F.max_pool2d(e1, 2))
        _, e3 = self.e3(F.max_pool2d(e2, 2))
        d = F.max_pool2d(e3, 2)
        (_, a4), b4 = self.a4(d), self.b4(d)
        deep = F.max_pool2d(a4, 2)
        _, a5 = self.a5(deep * torch.sigmoid(resize_aligned(b4, deep)))
        b5 = self.b5(torch.sigmoid(a4) * b4)
        c = a5 * torch.sigmoid(resize_aligned(b5, a5))
        s4 = self.s4(b5 * torch.sigmoid(resize_aligned(a5, b5)))
        z = self.u1(self.u1.reduce(c) + self.attention(c), s4)
        z = self.u3(self.u2(z, e3), e2)
        logits: Tensor
        if self.tiles_logits:
            logits = self.out(self.u4(z, None), mixed)
        else:
            logits = self.out(self.u4(z, e1))
        return logits


def lower(
    model: LightAWNet,
    frozen: RoutingTable | None = None,
    rewrites: Rewrites = USUAL,
    *,
    bgr: bool = False,
) -> LoweredNetwork:
    """Rewrite a network for batch-1 inference; `model` itself stays as it is.

    Args:
        model: The network in eval mode. The result has its type; kernels are computed in float64.
        frozen: Blocks whose routing becomes constant; None keeps all of them dynamic.
        rewrites: Which rewrites are made beside those that always are.
        bgr: Whether its input comes in BGR order: the first block's kernels are reordered, and
            nothing before it needs to be.

    Raises:
        SpecError: The network is in training mode, or `frozen` names a block that is not dynamic.
    """
    if model.training:
        raise SpecError("Only a network in eval mode can be lowered: call model.eval() first.")
    frozen = frozen or {}
    check_blocks(frozen, model.dynamic_convs())
    exact = copy.deepcopy(model).double()
    if bgr:
        _turn(exact.e1)
    behind = {
        block: folded(following.reduce, following.reduce_norm)
        for block, following in (("u1", exact.u2), ("u2", exact.u3), ("u3", exact.u4))
    }
    dynamic = {
        name: lower_dynamic(conv, frozen.get(name), behind.get(name))
        for name, conv in exact.dynamic_convs().items()
    }
    lowered = LoweredNetwork(exact, dynamic, rewrites, bgr=bgr)
    return lowered.to(next(model.parameters()).dtype).eval()


def lower_dynamic(
    conv: DynamicConv, routing: Tensor | None = None, after: nn.Conv2d | None = None
) -> nn.Module:
    """A computed-kernel convolution, or a constant one where `routing` of shape (K,) is given.

    Args:
        conv: The dynamic convolution.
        routing: Its constant mixture.
        after: A 1x1 convolution that follows, and becomes part of it.
    """
    if conv.routing is None:
        routing = torch.ones(1)
    bank, bias = folded_bank(conv)
    if after is not None:
        bank, bias = reduced(bank, bias, after)
    if routing is None:
        assert conv.routing is not None
        return ComputedConv(conv.routing, bank, bias)
    if routing.shape != bank.shape[:1]:
        raise SpecError(
            f"Routing of shape {tuple(routing.shape)} does not fit {bank.shape[0]} experts."
        )
    kernel = torch.einsum("k,koihw->oihw", routing.to(bank.dtype), bank)
    constant = plain(kernel, bias, padding=(1, 1))
    return TiledConv(constant) if constant.out_channels == 1 else constant


@torch.no_grad()
def _turn(block: EncoderBlock) -> None:
    """Reverse the input channels of the first block, which its dynamic convolution reads, too."""
    for of_input in (block.depthwise.weight, block.depthwise.bias, *block.project.parameters()):
        assert of_input is not None
        of_input.copy_(of_input.flip(0))
    block.expand.weight.copy_(block.expand.weight.flip(1))
    block.dynamic.bank.copy_(block.dynamic.bank.flip(2))
    if block.dynamic.routing is not None:
        block.dynamic.routing.weight.copy_(block.dynamic.routing.weight.flip(1))


def _encoder(
    name: str, block: EncoderBlock, dynamic: nn.Module, rewrites: Rewrites
) -> LoweredEncoder:
    if name == "e1" and rewrites.cells:
        wide = rewrites.wide_cells and isinstance(dynamic, nn.Conv2d)
        return CellEncoder(block, dynamic, wide=wide)
    if name in _IN_RUNS and rewrites.gate_runs:
        return RunEncoder(block, dynamic)
    return (StackedEncoder if rewrites.stacked else LoweredEncoder)(block, dynamic)


def _can_tile(dynamic: dict[str, nn.Module], rewrites: Rewrites) -> bool:
    """Whether the logits are a constant linear map, to one channel."""
    constant = all(isinstance(dynamic[name], nn.Conv2d) for name in _IN_TILES)
    to_one = isinstance(dynamic["out"], TiledConv)
    return rewrites.tiled_head and rewrites.cells and constant and to_one


def _tiled_head(model: LightAWNet, dynamic: dict[str, nn.Module]) -> TiledHead:
    up, first, last, out = InterpolatedUp(), *(dynamic[name] for name in _IN_TILES)

    def exact(z: Tensor, v: Tensor) -> Tensor:
        logits: Tensor = out(last(up(z) + first(v)))
        return logits

    z = model.u4.reduce.weight.new_empty(1, model.u4.reduce.out_channels, 1, 1)
    return TiledHead(exact, z, z.new_empty(1, model.in_channels, 1, 1))
